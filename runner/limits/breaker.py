"""The breaker of one model: 529, 5xx, timeouts and lost connections, never 429s. Pure.

Closed until a good part of what ends within ten seconds ends so. Open: nothing goes out. Then
half open: one probe at a time, at intervals that double up to a minute while probes fail. A probe
that succeeds closes it; the group then ramps up from a small share. The quota is not touched.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from runner.limits.windows import Window

SHARE = 0.5
LEAST = 5
"""Bad ends within ten seconds before the breaker may open."""
FIRST_WAIT_S = 2.0
LONGEST_WAIT_S = 60.0
RESTART_SHARE = 0.1


class BreakerState(StrEnum):
    """Whether requests go out."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


def worst(states: Sequence[BreakerState]) -> BreakerState:
    """Return the state to show for several breakers."""
    for state in (BreakerState.OPEN, BreakerState.HALF_OPEN):
        if state in states:
            return state
    return BreakerState.CLOSED


def _ten_seconds() -> Window:
    return Window(span_s=10.0)


@dataclass(slots=True)
class Breaker:
    """Counts ends; says how many requests may go out."""

    state: BreakerState = BreakerState.CLOSED
    probe_at: float = 0.0
    """While open, or after a probe went out: when the next may."""
    wait_s: float = FIRST_WAIT_S
    _bad: Window = field(default_factory=_ten_seconds)
    _good: Window = field(default_factory=_ten_seconds)

    def succeeded(self, n: int, now: float) -> bool:
        """Count good ends; True where that closes the breaker (ramp up from RESTART_SHARE)."""
        if n <= 0:
            return False
        self._good.add(n, now)
        if self.state is BreakerState.CLOSED:
            return False
        if self.state is BreakerState.OPEN:
            return False  # sent before it opened
        self.state, self.wait_s = BreakerState.CLOSED, FIRST_WAIT_S
        self._bad = _ten_seconds()
        return True

    def overloaded(self, n: int, now: float) -> None:
        """Count bad ends."""
        if n <= 0:
            return
        self._bad.add(n, now)
        if self.state is BreakerState.HALF_OPEN:
            self._open(now, min(LONGEST_WAIT_S, self.wait_s * 2.0))
        elif self.state is BreakerState.CLOSED:
            bad, good = self._bad.sum(now), self._good.sum(now)
            if bad >= LEAST and bad >= SHARE * (bad + good):
                self._open(now, FIRST_WAIT_S)

    def room(self, now: float) -> int | None:
        """Return how many permits may be granted now; None: any number."""
        if self.state is BreakerState.CLOSED:
            return None
        return 1 if now >= self.probe_at else 0

    def granted(self, now: float) -> None:
        """A permit went out: while not closed it is the probe."""
        if self.state is not BreakerState.CLOSED:
            self.state = BreakerState.HALF_OPEN
            # A probe whose answer never comes must not be the last one.
            self.probe_at = now + self.wait_s

    def flows(self, now: float) -> bool:
        """Return whether anything was answered within ten seconds."""
        return self._good.sum(now) > 0

    def hold_s(self, now: float) -> float:
        """Return for how long permits in hand must not be used: until the next probe."""
        return max(0.0, self.probe_at - now) if self.state is BreakerState.OPEN else 0.0

    def _open(self, now: float, wait_s: float) -> None:
        self.state, self.wait_s, self.probe_at = BreakerState.OPEN, wait_s, now + wait_s
