"""How many requests a server without limits takes at once, found by trying. Pure.

For servers of one's own: no quota, no headers, and often no refusal either, only a queue. What they
have is a throughput that stops growing. So the number goes up by half as long as more in flight
brings more answers, and back when it does not; trouble (overload, 429s, timeouts, lost connections)
takes a third off. Round-trip times would mislead here: they grow with the length of an answer, and
batching servers slow everybody down smoothly.
"""

from __future__ import annotations

from dataclasses import dataclass, field

START = 64
STEP_UP = 1.5
STEP_DOWN = 0.7
GAIN = 1.05
"""Growth of throughput that makes a step up worth keeping."""
SHORTEST_S = 2.0
LONGEST_S = 60.0
LEAST_ENDS = 20
"""Ends to judge by, unless LONGEST_S pass."""
TROUBLE = 0.02
"""Share of trouble among ends above which the number goes down."""
REST_S = 60.0
"""After a step up that brought nothing, until the next try."""


@dataclass(slots=True)
class Concurrency:
    """The number of requests in flight of one model, over the whole cluster."""

    most: int
    """`max_in_flight`."""
    at: float
    limit: float = field(init=False)
    _ended: int = 0
    _trouble: int = 0
    _peak: int = 0
    _before: float = 0.0
    """Answers a second at the step below; 0.0: not known."""
    _step_from: float | None = None
    _rest_until: float = 0.0

    def __post_init__(self) -> None:
        self.limit = float(min(self.most, START))

    def bound(self, most: int) -> None:
        """Try no number above `most` from now on."""
        self.most = most
        self.limit = min(self.limit, float(most))

    def observe(self, *, answered: int, trouble: int, in_flight: int, now: float) -> None:
        """Take in what happened since the last call.

        Args:
            answered: requests.
            trouble: requests that ended by overload, 429, timeout or a lost connection.
            in_flight: over the cluster, now.
            now: seconds.
        """
        self._ended += answered
        self._trouble += trouble
        self._peak = max(self._peak, in_flight)
        passed = now - self.at
        ends = self._ended + self._trouble
        rate = self._ended / passed if passed > 0 else 0.0
        lasts = in_flight / rate if rate > 0 else LONGEST_S
        enough = passed >= max(SHORTEST_S, min(2 * lasts, LONGEST_S)) and ends >= LEAST_ENDS
        if not enough and passed < LONGEST_S:
            return
        saturated = self._peak >= 0.8 * int(self.limit)
        troubled = self._trouble > max(1.0, TROUBLE * ends)
        self.at, self._ended, self._trouble, self._peak = now, 0, 0, in_flight
        if troubled:
            self.limit = max(1.0, STEP_DOWN * self.limit)
            self._before, self._step_from = 0.0, None
        elif self._step_from is not None and rate < GAIN * self._before:
            self.limit, self._step_from = self._step_from, None
            self._rest_until = now + REST_S
        elif saturated and now >= self._rest_until and self.limit < self.most:
            self._before, self._step_from = rate, self.limit
            self.limit = min(float(self.most), STEP_UP * self.limit + 1)
        else:
            self._step_from = None

    def restart(self, now: float, share: float) -> None:
        """Begin low again after an outage."""
        self.limit = max(1.0, share * self.limit)
        self.at, self._ended, self._trouble, self._peak = now, 0, 0, 0
        self._before, self._step_from, self._rest_until = 0.0, None, 0.0
