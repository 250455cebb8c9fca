"""What is measured while a rehearsal runs. Pure.

Amounts are kept by the second, so that utilisation can be taken over the time in which there was
work. Output is spread over the time of its generation: two changes of slope a call, summed up once
in the end.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from runner.limits.quota import Meter


@dataclass(slots=True)
class GroupMeasure:
    """One quota of the server: everything that drew on it."""

    requests: Counter[int] = field(default_factory=Counter[int])
    """By second."""
    input_tokens: Counter[int] = field(default_factory=Counter[int])
    binds: list[tuple[float, str]] = field(default_factory=list[tuple[float, str]])
    """(second, what held the group back from there on)."""
    busy_until: float = 0.0
    """Until then there was work that waited: what follows is the tail."""
    _level: dict[int, float] = field(default_factory=dict[int, float])
    _slope: dict[int, float] = field(default_factory=dict[int, float])

    def admitted(self, input_tokens: int, now: float) -> None:
        """Count a call that the server let in."""
        second = int(now)
        self.requests[second] += 1
        self.input_tokens[second] += input_tokens

    def produced(self, tokens: int, start: float, seconds: float) -> None:
        """Count output, evenly over its time."""
        seconds = max(seconds, 1e-3)
        slope = tokens / seconds
        for at, sign in ((start, slope), (start + seconds, -slope)):
            second = int(at) + 1
            self._level[second] = self._level.get(second, 0.0) + sign * (second - at)
            self._slope[second] = self._slope.get(second, 0.0) + sign

    def bound_by(self, what: str, now: float) -> None:
        """Note what holds the group back, where it changes."""
        if not self.binds or self.binds[-1][1] != what:
            self.binds.append((now, what))

    def used(self, meter: Meter, start: int, end: int) -> float:
        """Return what was used of a meter from one second on until before another."""
        if meter is Meter.OUTPUT:
            return self._output(end) - self._output(start)
        counts = self.requests if meter is Meter.REQUESTS else self.input_tokens
        return sum(n for second, n in counts.items() if start <= second < end)

    def _output(self, until: int) -> float:
        slope = total = 0.0
        for second in range(1, until + 1):
            total += slope + self._level.get(second, 0.0)
            slope += self._slope.get(second, 0.0)
        return total


@dataclass(slots=True)
class ModelMeasure:
    """One model of the sweep."""

    jobs: int = 0
    """Ended; of a model that plays roles: 0."""
    answers: array[float] = field(default_factory=lambda: array("d"))
    """When each answer came, in order."""
    ended_at: float = 0.0
    """Its last call."""
    calls: int = 0
    """All that were sent."""
    refused: int = 0
    """Of them with a 429."""
    refused_by: Counter[str] = field(default_factory=Counter[str])
    overloaded: int = 0
    input_tokens: int = 0
    """Neither read from a cache nor written to one."""
    cached_tokens: int = 0
    written_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float = 0.0
    unpriced: int = 0
    most_in_flight: int = 0


def most_done_s(model: ModelMeasure) -> float:
    """Return when nine of ten answers of a model had come; 0.0 where it gave none."""
    return model.answers[max(0, len(model.answers) * 9 // 10 - 1)] if model.answers else 0.0


def smoothed(
    binds: Sequence[tuple[float, str]], end: float, least_s: float
) -> list[tuple[float, float, str]]:
    """Return (from, until, reason) in order; what lasts less than `least_s` joins the one before.

    Args:
        binds: (second, reason from there on).
        end: of the last one.
        least_s: seconds.
    """
    found: list[tuple[float, float, str]] = []
    edges = [0.0, *(at for at, _ in binds[1:]), end]
    for (_, what), at, after in zip(binds, edges, edges[1:], strict=False):
        until = min(after, end)
        if until <= at:
            continue
        if found and (until - at < least_s or found[-1][2] == what):
            found[-1] = (found[-1][0], until, found[-1][2])
        elif found and found[-1][1] - found[-1][0] < least_s:
            found[-1] = (found[-1][0], until, what)
        else:
            found.append((at, until, what))
    return found
