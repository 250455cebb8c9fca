"""Learning a limit from refusals alone. Pure.

A refusal means an empty bucket. What was accepted between two such moments, divided by the time
between them, is therefore the refill rate, whatever was sent and whatever paused meanwhile; that
also holds beside other users, whose part is simply missing. Where nothing is known the rate doubles
(slow start) until the first refusal; afterwards it stays a little below the estimate and creeps up
until the next refusal corrects it (the additive part of AIMD).
"""

from __future__ import annotations

from dataclasses import dataclass

START_PER_S = 8.0
"""First rate of a search, in requests a second."""
DOUBLE_S = 8.0
EPISODE_S = 3.0
"""The shortest time to measure over: reports of workers come a second apart."""
FIRST_CUT = 0.7
"""Of the rate of a search at its first refusal, which a full bucket had put off."""
RECENT_S = 20.0
"""Over so long refusals in a row make one measurement, ever more exact, since reports come a
second apart; what took longer and found less may have seen two limits."""
FORGET_S = 120.0
"""Above this nothing is measured: the bucket may have been full for most of it."""
BELOW = 0.97
"""Of the estimate, right after a refusal."""
CREEP_PER_S = 0.0005
"""Growth per second of the rate aimed at right after a refusal; doubles every CREEP_DOUBLE_S
without one, since an estimate that is too low never meets a refusal that would correct it."""
CREEP_DOUBLE_S = 10.0
FASTEST_CREEP_PER_S = 0.02
LEAST_SHARE = 0.02
"""Of the known limit, or of the highest rate measured: no estimate goes below, since a server that
lets nothing in for a while teaches 0, and growth by shares never leaves that."""
FORGOTTEN = 1.5
"""With a known limit: what has crept so far above it is dropped."""
NOISE = 0.85
"""With a known limit: an estimate above this share of it is a chance refusal."""


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
    _highest: float = 0.0
    """Ever measured, or aimed at in a search."""

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
            quiet = max(0.0, now - self._quiet_since)
            creep = min(FASTEST_CREEP_PER_S, CREEP_PER_S * 2.0 ** (quiet / CREEP_DOUBLE_S))
            self.rate *= 1.0 + creep * passed

    def accepted(self, amount: float) -> None:
        """Count what the server let in."""
        self._accepted += amount

    def refused(self, now: float, known: float | None) -> None:
        """The bucket was empty just now.

        Args:
            now: seconds.
            known: the limit a second, where it is known.
        """
        if self.searching and self.rate is not None:
            self._highest = max(self._highest, self.rate)
            self.rate *= FIRST_CUT
        self.searching = False
        since = self._since
        if since is None or now - since > FORGET_S:
            # A bucket that was full, or has been idle: what it let in until now says nothing.
            self._restart(now)
            return
        self._quiet_since = now
        if now - since < EPISODE_S:
            return
        measured = self._accepted / (now - since)
        self._highest = max(self._highest, measured)
        measured = max(measured, LEAST_SHARE * max(self._highest, known or 0.0))
        if measured <= 0:
            return  # a limit that nobody knows, and nothing was let in: the pause has to do
        before = self.estimate
        if before is None or now - since < RECENT_S or measured >= 0.9 * before:
            self.estimate = measured
            self.rate = BELOW * measured
            if known is not None and measured > NOISE * known:
                self.rate = None
        if now - since >= RECENT_S:
            self._restart(now)

    def _restart(self, now: float) -> None:
        self._since = self._quiet_since = now
        self._accepted = 0.0
