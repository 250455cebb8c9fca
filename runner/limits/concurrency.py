"""How many requests a server without limits takes at once, found by trying. Pure.

For servers of one's own: no quota, no headers, and often no refusal either, only a queue. What they
have is a throughput that stops growing. So the number goes up by half as long as more in flight
brings more answers, and back when it does not. Round-trip times would mislead here: they grow with the
length of an answer, and batching servers slow everybody down smoothly.

Trouble (overload, timeouts, lost connections) takes a third off; where that costs as much throughput
and the share of trouble stays, it has nothing to do with the number, which comes back. 429s (the server
does limit, and nobody gave it a quota) take off the share that was refused, and from then on the number
only creeps up.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import sqrt

START = 64
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
CREEP = 0.05
"""Of a server that refuses: step up, one at least."""
CREEP_EVERY_S = 20.0
LEAST_KEPT, MOST_KEPT = 0.4, 0.95
"""What 429s leave of the number at once."""
FAITHFUL = 0.85
"""Throughput below which a step down was no relief."""
TOLERATED = 0.25
"""Trouble above this share is never taken for one that does not depend on the number."""


@dataclass(slots=True)
class Concurrency:
    """The number of requests in flight of one model, over the whole cluster."""

    most: int
    """`max_in_flight`."""
    at: float
    limit: float = field(init=False)
    _ended: int = 0
    _trouble: int = 0
    _refused: int = 0
    _peak: int = 0
    _before: float = 0.0
    """Answers a second at the step below; 0.0: not known."""
    _step_from: float | None = None
    _rest_until: float = 0.0
    _limits: bool = False
    """The server has refused by 429s."""
    _cut: tuple[float, float, float] | None = None
    """Before the last step down for trouble: number, answers a second, share of trouble."""
    _usual: float = TROUBLE
    """Share of trouble that does not depend on the number."""

    def __post_init__(self) -> None:
        self.limit = float(min(self.most, START))

    def bound(self, most: int) -> None:
        """Try no number above `most` from now on."""
        self.most = most
        self.limit = min(self.limit, float(most))

    def observe(
        self, *, answered: int, trouble: int, in_flight: int, now: float, refused: int = 0
    ) -> None:
        """Take in what happened since the last call.

        Args:
            answered: requests.
            trouble: requests that ended by overload, timeout or a lost connection.
            refused: requests that ended by a 429.
            in_flight: over the cluster, now.
            now: seconds.
        """
        self._ended += answered
        self._trouble += trouble
        self._refused += refused
        self._peak = max(self._peak, in_flight)
        passed = now - self.at
        ends = self._ended + self._trouble + self._refused
        rate = self._ended / passed if passed > 0 else 0.0
        lasts = in_flight / rate if rate > 0 else LONGEST_S
        at_once = self._refused >= LEAST_ENDS  # no answer that is still to come changes that
        least_s = SHORTEST_S if at_once else max(SHORTEST_S, min(2 * lasts, LONGEST_S))
        enough = passed >= least_s and ends >= LEAST_ENDS
        if enough or passed >= LONGEST_S:
            self._judge(rate, ends, now)
            self.at, self._peak = now, in_flight
            self._ended = self._trouble = self._refused = 0

    def _judge(self, rate: float, ends: int, now: float) -> None:
        """Set the number by what has happened since the last time."""
        saturated = self._peak >= 0.8 * int(self.limit)
        share, kept = self._trouble / max(1, ends), self._ended / max(1, ends - self._trouble)
        usually = self._usual * ends
        troubled = self._trouble > usually + max(1.0, 2.0 * sqrt(usually))
        overrun = self._refused > max(1.0, TROUBLE * ends)
        before, self._cut = self._cut, None
        if not troubled:
            self._usual = max(TROUBLE, self._usual + 0.2 * min(0.0, share - self._usual))
        if overrun:
            self._limits = True
            self.limit = max(1.0, min(MOST_KEPT, max(LEAST_KEPT, kept)) * self.limit)
            self._before, self._step_from = 0.0, None
            self._rest_until = now + CREEP_EVERY_S
        elif troubled:
            self._relieve(rate, share, before)
        elif self._step_from is not None and rate < GAIN * self._before and not self._limits:
            self.limit, self._step_from = self._step_from, None
            self._rest_until = now + REST_S
        elif saturated and now >= self._rest_until and self.limit < self.most:
            self._before, self._step_from = rate, self.limit
            step = max(1.0, CREEP * self.limit) if self._limits else 0.5 * self.limit + 1
            self.limit = min(float(self.most), self.limit + step)
            if self._limits:
                self._rest_until = now + CREEP_EVERY_S
        else:
            self._step_from = None

    def _relieve(
        self, rate: float, share: float, before: tuple[float, float, float] | None
    ) -> None:
        """Step down for trouble, or back up where the last step down was no relief."""
        self._before, self._step_from = 0.0, None
        if before is not None and share <= TOLERATED:
            limit, rate_before, share_before = before
            if rate < FAITHFUL * rate_before and share > STEP_DOWN * share_before:
                self.limit, self._usual = limit, max(share, share_before)
                return
        self._cut = self.limit, rate, share
        self.limit = max(1.0, STEP_DOWN * self.limit)

    def restart(self, now: float, share: float) -> None:
        """Begin low again after an outage."""
        self.limit = max(1.0, share * self.limit)
        self.at, self._ended, self._trouble, self._refused, self._peak = now, 0, 0, 0, 0
        self._before, self._step_from, self._rest_until, self._cut = 0.0, None, 0.0, None
