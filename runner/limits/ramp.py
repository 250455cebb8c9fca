"""Speeding up gradually: from a share of the rate to all of it, doubling at a given pace. Pure.

Servers refuse sharp rises although quota is free ("acceleration limits"); where exactly is
unpublished. A refusal that names the ramp freezes it for the time asked and halves its slope.
"""

from __future__ import annotations

from dataclasses import dataclass

SLOWEST_DOUBLE_S = 120.0


@dataclass(slots=True)
class RampUp:
    """The share of the target rate that is allowed now."""

    share: float
    double_s: float
    at: float
    frozen_until: float = 0.0

    def allowed(self, now: float) -> float:
        """Return the share in (0, 1] and move on."""
        begins = max(self.at, min(now, self.frozen_until))
        if self.share < 1.0 and now > begins:
            self.share = min(1.0, self.share * 2.0 ** ((now - begins) / self.double_s))
        self.at = max(self.at, now)
        return self.share

    def refused(self, now: float, retry_after_s: float) -> None:
        """`ramp_limit_exceeded`: stay for that long, a quarter lower, and rise half as fast."""
        if now < self.frozen_until:
            return  # more of the same wave
        self.share = max(0.02, 0.75 * self.allowed(now))
        self.frozen_until = now + max(1.0, retry_after_s)
        self.double_s = min(SLOWEST_DOUBLE_S, self.double_s * 2.0)

    def restart(self, now: float, share: float) -> None:
        """Begin again from a share, after an outage."""
        self.share, self.at = min(self.share, share), now
