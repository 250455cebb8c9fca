"""What is measured while a rehearsal runs. Pure.

Amounts are kept by the second, so that utilisation can be taken over the time in which there was
work. Output is spread over the time of its generation: two changes of slope a call, summed up once
in the end.
"""

from __future__ import annotations

from array import array
from collections import Counter
from dataclasses import dataclass, field

from runner.limits.quota import Meter


@dataclass(slots=True)
class GroupMeasure:
    """One quota of the server: everything that drew on it."""

    requests: Counter[int] = field(default_factory=Counter[int])
    """By second."""
    input_tokens: Counter[int] = field(default_factory=Counter[int])
    refused: Counter[str] = field(default_factory=Counter[str])
    """429s by limit."""
    ended: int = 0
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
        slope = tokens / max(seconds, 1e-3)
        for at, sign in ((start, slope), (start + max(seconds, 1e-3), -slope)):
            second = int(at) + 1
            self._level[second] = self._level.get(second, 0.0) + sign * (second - at)
            self._slope[second] = self._slope.get(second, 0.0) + sign

    def bound_by(self, what: str, now: float) -> None:
        """Note what holds the group back, where it changes."""
        if not self.binds or self.binds[-1][1] != what:
            self.binds.append((now, what))

    def used(self, meter: Meter, until: int) -> float:
        """Return what was used of a meter before a second."""
        if meter is Meter.REQUESTS:
            return sum(n for second, n in self.requests.items() if second < until)
        if meter is Meter.INPUT:
            return sum(n for second, n in self.input_tokens.items() if second < until)
        slope = total = 0.0
        for second in range(1, until + 1):
            total += slope + self._level.get(second, 0.0)
            slope += self._slope.get(second, 0.0)
        return total


@dataclass(slots=True)
class ModelMeasure:
    """One model of the sweep."""

    ends: array[float] = field(default_factory=lambda: array("d"))
    """When each job ended, in order."""
    calls: int = 0
    answered: int = 0
    refused: int = 0
    overloaded: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    most_in_flight: int = 0

    def rate_per_s(self) -> float:
        """Return the jobs a second between the first and the last fifth of them; 0.0: too few."""
        n = len(self.ends)
        first, last = n // 5, n - n // 5 - 1
        if last - first < 10:
            return 0.0
        return (last - first) / max(self.ends[last] - self.ends[first], 1e-9)


def intervals(binds: list[tuple[float, str]], end: float) -> dict[str, float]:
    """Return the seconds of each reason, the longest first."""
    seconds: Counter[str] = Counter()
    for (at, what), (until, _) in zip(binds, [*binds[1:], (end, "")], strict=True):
        seconds[what] += max(0.0, until - at)
    return dict(seconds.most_common())

