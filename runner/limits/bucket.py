"""The mirror of a server's token bucket: reservations now, true-up with actual usage later. Pure.

The level is kept at zero rather than full: a server promises no burst, so what counts is that
use over any few seconds equals the refill. A level above zero (requests cost less than reserved)
speeds grants up, one below slows them down, to a stop where the debt reaches `DEBT_S`.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

CREDIT_S = 0.5
"""Seconds of refill that an idle or over-reserving group may save up."""
DEBT_S = 2.0
"""Seconds of refill in debt at which nothing is granted any more."""
STRICT_S = 3.0
"""After a refusal nothing is saved up for so long."""
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
    _strict_until: float = -inf

    def advance(self, now: float, rate: float) -> None:
        """Refill up to `now` at `rate` tokens a second."""
        if now > self.at:
            credit_s = 0.0 if now < self._strict_until else CREDIT_S
            self.level = min(self.level + rate * (now - self.at), rate * credit_s)
            self.at = now

    def refused(self, now: float) -> None:
        """The server's bucket was empty: for a while nothing is caught up on.

        A small one has not saved what the pause after a refusal leaves unused, and would stay
        nearly empty for long: only what `safety` leaves fills it again.
        """
        self.level = min(self.level, 0.0)
        self._strict_until = now + STRICT_S

    def charge(self, tokens: float) -> None:
        """Take tokens off, whatever the level; a negative amount gives exactly that back."""
        self.level -= tokens

    def speed(self, rate: float) -> float:
        """Return the tokens a second at which reservations may be made now."""
        return rate * min(MOST, max(0.0, 1.0 + self.level / (rate * DEBT_S)))
