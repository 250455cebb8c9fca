"""The mirror of a server's token bucket: reservations now, true-up with actual usage later. Pure.

The level is kept at zero rather than full: a server promises no burst, so what counts is that
use over any few seconds equals the refill. A level above zero (requests cost less than reserved)
speeds grants up, one below slows them down, to a stop where the debt reaches `DEBT_S`.
"""

from __future__ import annotations

from dataclasses import dataclass

CREDIT_S = 0.5
"""Seconds of refill that an idle or over-reserving group may save up."""
DEBT_S = 2.0
"""Seconds of refill in debt at which nothing is granted any more."""
MOST = 1.5
"""Grants are never faster than this multiple of the refill."""


@dataclass(slots=True)
class MirroredBucket:
    """One token meter of a group.

    Over any window of w seconds, what is charged is at most
    `rate · (w + CREDIT_S + DEBT_S)` plus one block and what true-ups add beyond the reserves.
    """

    at: float
    level: float = 0.0
    """Tokens."""

    def advance(self, now: float, rate: float) -> None:
        """Refill up to `now` at `rate` tokens a second."""
        if now > self.at:
            self.level = min(self.level + rate * (now - self.at), rate * CREDIT_S)
            self.at = now

    def charge(self, tokens: float) -> None:
        """Take tokens off, whatever the level; a negative amount gives exactly that back."""
        self.level -= tokens

    def speed(self, rate: float) -> float:
        """Return the tokens a second at which reservations may be made now."""
        return rate * min(MOST, max(0.0, 1.0 + self.level / (rate * DEBT_S)))
