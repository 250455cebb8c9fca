"""What the calls of each cell are like: from its prompts and from what is known of answers. Pure.

The same guesses as `plan/estimate.py`: a token is four characters, or as recorded rows have it; each
later call of a job carries the answers before it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache

from runner.plan.cells import Plan
from runner.plan.estimate import Cast, PromptSize
from runner.rehearse.scene import CHARACTERS_PER_TOKEN, Companion, Shape


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """What is known of one model under test."""

    tokens: float
    """Of one answer, on average."""
    calls: float | None = None
    """Of a job; None: as many as are scripted."""
    input_tokens: float | None = None
    """Of a job; None: by the length of its prompts."""
    companions: Mapping[str, Companion] = field(default_factory=dict[str, Companion])
    """Calls to other models as recorded, by their name."""


def shapes(
    plan: Plan,
    *,
    size: Callable[[int], PromptSize],
    cast: Callable[[int], tuple[Cast, ...]],
    answers: Mapping[str, Answers],
) -> Callable[[int], Shape]:
    """Return cell number → the calls of one of its jobs.

    Args:
        plan: the whole plan of the sweep.
        size: cell number to the size of its scripted input.
        cast: cell number to the roles that other models play.
        answers: by model under test.
    """
    ratios = {m: _ratio(plan, m, size, answers[m]) for m in plan.models}

    @cache
    def shape(number: int) -> Shape:
        model = plan.cell(number).model
        known, one, ratio = answers[model], size(number), ratios[model]
        calls = _calls(one, known)
        per_call = max(1.0, one.input_tokens(calls, known.tokens) * ratio / calls)
        return Shape(
            calls=calls,
            input_tokens=per_call,
            shared_tokens=min(int(one.shared / CHARACTERS_PER_TOKEN * ratio), int(per_call)),
            shared_characters=one.shared,
            companions=tuple(
                known.companions.get(c.model)
                or Companion(model=c.model, calls=c.calls, input_tokens=per_call)
                for c in _merged(cast(number), calls)
            ),
        )

    return shape


def _merged(cast: tuple[Cast, ...], target_calls: float) -> tuple[Cast, ...]:
    """Return one entry for each model, with its calls of a job."""
    calls: dict[str, float] = {}
    for one in cast:
        asked = one.calls + one.per_call * target_calls
        calls[one.model] = calls.get(one.model, 0.0) + asked
    return tuple(Cast(model=model, calls=n) for model, n in calls.items())


def _calls(size: PromptSize, known: Answers) -> float:
    """Return the calls of one job."""
    return max(1.0, known.calls if known.calls is not None else float(size.calls))


def _ratio(plan: Plan, model: str, size: Callable[[int], PromptSize], known: Answers) -> float:
    if known.input_tokens is None:
        return 1.0
    cells = plan.of_model(model)
    jobs = sum(len(c.seeds) for c in cells)
    guessed = 0.0
    for cell in cells:
        one = size(cell.number)
        guessed += one.input_tokens(_calls(one, known), known.tokens) * len(cell.seeds)
    return known.input_tokens * jobs / guessed if guessed else 1.0
