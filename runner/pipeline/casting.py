"""What a sweep calls beside the models under test, and what its recorded rows say of all calls.

For what `runner plan` and `runner rehearse` say before anything is spent: who plays a role, which
safeguards and judges ask a model, how many calls a job took and how long they were.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from runner.config.schema import GraderConfig, SweepConfig
from runner.plan.estimate import Cast, Observed
from runner.record.observed import Pace, Taken, paces, taken_by_model
from runner.record.place import Place
from runner.record.reader import read
from runner.record.state import SweepState
from runner.scenarios.book import Book

JUDGE_FRAME = 900
"""Characters around a judge's rubric and the answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What recorded rows of the directory say, by model name."""

    taken: Mapping[str, Taken] = field(default_factory=dict[str, Taken])
    paces: Mapping[str, Pace] = field(default_factory=dict[str, Pace])

    def observed(self, model: str) -> Observed | None:
        """Return what jobs of a model under test took of it; None: nothing is recorded."""
        taken, pace = self.taken.get(model), self.paces.get(model)
        if taken is None or not taken.jobs:
            return None
        inputs, outputs = taken.input_tokens / taken.jobs, taken.output_tokens / taken.jobs
        calls = taken.calls / taken.jobs
        if pace is not None and pace.calls:  # rows sum over all roles, attempts tell them apart
            inputs, outputs = (
                calls * pace.input_tokens / pace.calls,
                calls * pace.tokens / pace.calls,
            )
        return Observed(jobs=taken.jobs, calls=calls, input_tokens=inputs, output_tokens=outputs)

    def others(self, model: str) -> dict[str, Observed]:
        """Return what jobs of a model under test took of each other model."""
        pace = self.paces.get(model)
        if pace is None or not pace.jobs:
            return {}
        found: dict[str, Observed] = {}
        for name, other in self.paces.items():
            asked = other.roles.get(model, 0) / pace.jobs
            if asked:
                found[name] = Observed(
                    jobs=pace.jobs,
                    calls=asked,
                    input_tokens=asked * other.input_tokens / other.calls,
                    output_tokens=asked * other.tokens / other.calls,
                )
        return found


async def recorded(directory: Place, state: SweepState, *, attempts: bool = True) -> Known:
    """Look at what a sweep has recorded.

    Args:
        directory: the sweep.
        state: what it has recorded.
        attempts: look at attempts, too: seconds, and what each of several models did.

    Raises:
        RecordError: it is damaged.
        StorageError: it cannot be read.
    """
    if not state.recorded:
        return Known()
    await directory.refresh()
    folder = Path(directory)
    return Known(
        taken=taken_by_model(read(folder).paths()),
        paces=paces(read(folder, "attempts").paths()) if attempts else {},
    )


def cast_of(book: Book, config: SweepConfig, number: int) -> tuple[Cast, ...]:
    """Return the calls of a cell's jobs to models that play roles and guard, guessed.

    A role answers once in a job; a safeguard asks once for each call, and side that it looks at.
    """
    guards = {f"safeguard_{g.name}": g for g in config.safeguards}
    found: list[Cast] = []
    for role, model in book.cast(number):
        guard = guards.get(role)
        sides = 0 if guard is None else 2 if guard.on == "both" else 1
        found.append(Cast(model=model, calls=float(guard is None), per_call=float(sides)))
    return tuple(found)


def judges_of(book: Book, config: SweepConfig, number: int) -> Iterator[Cast]:
    """Yield the calls of model judges that a cell's scenario lists."""
    judges = {g.name: g for g in config.graders if g.kind == "judge"}
    for name in book.graders(number):
        if (judge := judges.get(name)) is not None:
            yield Cast(model=judge.model or "", calls=float(judge.votes), judges=told(judge))


def told(judge: GraderConfig) -> int:
    """Return the characters that a judge is told beside what it judges."""
    outcomes = sum(len(f"- {o.get('outcome')}: {o.get('means', '')}") for o in judge.outcomes)
    return JUDGE_FRAME + len(judge.rubric or "") + outcomes
