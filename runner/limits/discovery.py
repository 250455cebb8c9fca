"""Learning a limit from refusals alone. Pure.

A refusal means an empty bucket. What was accepted between two such moments, divided by the time
between them, is therefore the refill rate, whatever was sent and whatever paused meanwhile; that
also holds beside other users, whose part is simply missing. Where nothing is known the rate doubles
(slow start) until the first refusal; afterwards it stays a little below the estimate and creeps up
until the next refusal corrects it (the additive part of AIMD).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from runner.limits.windows import Window

START_PER_S = 4.0
"""First rate of a search, in requests a second."""
DOUBLE_S = 6.0
EPISODE_S = 2.0
"""Refusals closer together than this are one moment: reports of workers come a second apart."""
RECENT_S = 20.0
"""Below this distance two refusals give a fresh estimate; above, the limit may have moved."""
BELOW = 0.97
"""Of the estimate, right after a refusal."""
CREEP_PER_S = 0.0008
"""Growth per second of the rate aimed at, while nothing is refused."""
FORGOTTEN = 1.5
"""With a known limit: an estimate that has crept so far above it is dropped."""


def _recent() -> Window:
    return Window(span_s=10.0)


@dataclass(slots=True)
class Learner:
    """What one meter has taught by refusing."""

    at: float
    searching: bool
    """Nothing is known: start slowly and double."""
    rate: float | None = None
    """Aimed at, a second; None: no reason to stay below the known limit."""
    estimate: float | None = None
    _since: float | None = None
    """The last empty moment."""
    _accepted: float = 0.0
    """Since then."""
    _quiet_since: float = 0.0
    _recent: Window = field(default_factory=_recent)

    def __post_init__(self) -> None:
        if self.searching:
            self.rate = START_PER_S

    def advance(self, now: float, *, wanted: bool) -> None:
        """Grow with time; `wanted`: there was work for all of the rate (else nothing was tried)."""
        passed = now - self.at
        self.at = max(self.at, now)
        if self.rate is None or passed <= 0 or not wanted:
            return
        if self.searching:
            self.rate *= 2.0 ** (passed / DOUBLE_S)
        else:
            self.rate *= 1.0 + CREEP_PER_S * passed

    def accepted(self, amount: float, now: float) -> None:
        """Count what the server let in."""
        self._accepted += amount
        self._recent.add(amount, now)

    def refused(self, now: float) -> None:
        """The bucket was empty just now."""
        since = self._since
        if since is None:
            # The bucket was full at first, so what was accepted until now says nothing, but the
            # rate of the last seconds is an upper bound of where to go on.
            self._restart(now)
            self.searching = False
            return
        between = now - since
        if now - self._quiet_since < EPISODE_S:
            self._quiet_since = now
            return
        measured = self._accepted / between
        known = self.estimate
        if known is None or between < RECENT_S or measured >= 0.9 * known:
            weight = 1.0 if known is None or abs(measured - known) > 0.15 * known else 0.5
            self.estimate = measured if known is None else known + weight * (measured - known)
            self.rate = BELOW * self.estimate
        self._restart(now)

    def _restart(self, now: float) -> None:
        self._since = self._quiet_since = now
        self._accepted = 0.0
