"""How a sweep ended and what to type next: the last lines of `runner sweep`. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field

from runner.core.values import RECORDED_STATES, EndState
from runner.observe.amounts import count, duration, many
from runner.observe.terminal import one_line

_WORDS = {
    EndState.ANSWERED: "answered",
    EndState.REFUSED: "refused by provider",
    EndState.EMPTY: "empty",
    EndState.TRUNCATED: "truncated",
    EndState.BLOCKED: "blocked by safeguard",
    EndState.FAILED: "failed",
    EndState.TOO_LARGE: "too large",
    EndState.POISON: "poison",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The sweep when its process ended."""

    directory: str
    planned: int
    states: Mapping[EndState, int]
    """End state to jobs, of the whole sweep, dead letters included."""
    elapsed_s: float | None
    """Of this process; None where there was nothing to run."""
    attempts: int = 0
    """HTTP attempts of this process."""
    failed_attempts: int = 0
    """Attempts of this process that brought no answer; nearly all were tried again."""
    repeated: int = 0
    """Attempts whose answer was lost to a crash and that were sent again."""
    stopped: str | None = None
    """Why it ended with jobs owed; None where none is."""
    stopped_models: Mapping[str, str] = field(default_factory=dict[str, str])
    resume_with: str = ""
    """Overrides without which going on makes no sense."""
    money: tuple[str, ...] = ()
    """What this process spent and saved, one line each."""

    @property
    def ended(self) -> int:
        """Jobs with an end state."""
        return sum(self.states.values())

    @property
    def owed(self) -> int:
        """Jobs without one."""
        return self.planned - self.ended


def sum_line(planned: int, states: Mapping[EndState, int]) -> str:
    """Return `93,600 planned = 93,488 answered + 61 refused by provider + … + 17 not run`."""
    parts = [f"{count(states[s])} {_WORDS[s]}" for s in EndState if states.get(s)]
    left = planned - sum(states.values())
    if left or not parts:
        parts.append(f"{count(left)} not run")
    return f"{count(planned)} planned = " + " + ".join(parts)


def final_lines(outcome: Outcome) -> list[str]:
    """Return what `runner sweep` prints last."""
    o = outcome
    where = shlex.quote(o.directory)
    recorded = sum(n for s, n in o.states.items() if s in RECORDED_STATES)
    out = [
        f"  {one_line(m, 40)} stopped: {one_line(why, 400)}" for m, why in o.stopped_models.items()
    ]
    if o.owed:
        why = f" ({one_line(o.stopped, 200)})" if o.stopped else ""
        dead = f"{many(o.ended - recorded, 'dead letter')}, " if o.ended > recorded else ""
        out.append(
            f"stopped{why} after {duration(o.elapsed_s or 0.0)}: {count(recorded)} recorded, {dead}"
            f"{count(o.owed)} owed. Continue with: runner resume {where}{o.resume_with and f' {o.resume_with}'}"
        )
        return [*out, *o.money]
    return [*out, *done_lines(o), *next_commands(o.directory, dead=o.ended - recorded)]


def done_lines(outcome: Outcome) -> list[str]:
    """Return what a session did that left nothing owed: end states, attempts."""
    o = outcome
    took = "done" if o.elapsed_s is None else f"done in {duration(o.elapsed_s)}"
    out = [f"{took}   {sum_line(o.planned, o.states)}"]
    if o.attempts:
        share = f"{o.failed_attempts / o.attempts * 100:.1f} % failed"
        out.append(
            f"{many(o.attempts, 'attempt')} ({share}, {count(o.repeated)} repeated after a crash)"
        )
    return [*out, *o.money]


def next_commands(directory: str, *, dead: int) -> list[str]:
    """Return the commands that make sense on a finished sweep, one a line."""
    where = shlex.quote(directory)
    commands = [f"runner report {where}", f"runner show {where}"]
    if dead:
        commands += [f"runner show {where} --failed", f"runner resume {where} --retry-failed"]
    shards = f"'{directory}/transcripts/*.parquet'"
    commands.append(f'duckdb -c "select model, count(*) from {shards} group by 1"')  # noqa: S608  # printed, not run
    return [("next: " if i == 0 else "      ") + c for i, c in enumerate(commands)]
