"""Speeding up gradually: from a share of the rate to all of it, doubling at a given pace. Pure.

Servers refuse sharp rises although quota is free ("acceleration limits"); where exactly is
unpublished. A refusal that names the ramp freezes it for the time asked and lowers it; one that met
a rise of ours halves its slope, too. What is let in without one makes the slope steeper again.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, log2

SLOWEST_DOUBLE_S = 120.0
LOWER = 0.75
"""A refusal lowers the share by that factor."""
ROSE = 1.1
"""From what a refusal left, for the next one to speak of the slope rather than of the level."""
TRUSTED = 1.4
"""A rise by that factor without a refusal makes the next one `STEEPER`."""
STEEPER = 1.25


@dataclass(slots=True)
class RampUp:
    """The share of the target rate that is allowed now."""

    share: float
    double_s: float
    at: float
    frozen_until: float = 0.0
    _from: float = inf
    """The share after the latest refusal, or where the slope changed last; none: not refused yet."""
    _steepest_s: float = 0.0

    def __post_init__(self) -> None:
        self._steepest_s = self.double_s

    def allowed(self, now: float) -> float:
        """Return the share in (0, 1] and move on."""
        begins = max(self.at, min(now, self.frozen_until))
        left = now - begins
        while self.share < 1.0 and left > 0:
            rise = 2.0 ** (left / self.double_s)
            goal = self._from * TRUSTED
            if self.share * rise < goal:
                self.share = min(1.0, self.share * rise)
                break
            left -= self.double_s * max(0.0, log2(goal / self.share))
            self.share = self._from = goal
            self.double_s = max(self._steepest_s, self.double_s / STEEPER)
        self.share = min(1.0, self.share)
        self.at = max(self.at, now)
        return self.share

    def refused(self, now: float, retry_after_s: float) -> None:
        """`ramp_limit_exceeded`: stay for that long, a quarter lower; rise half as fast if it rose."""
        if now < self.frozen_until:
            return  # more of the same wave
        share = self.allowed(now)
        if self._from == inf or share > ROSE * self._from:
            self.double_s = min(SLOWEST_DOUBLE_S, self.double_s * 2.0)
        self.share = self._from = max(0.02, LOWER * share)
        self.frozen_until = now + max(1.0, retry_after_s)

    def restart(self, now: float, share: float) -> None:
        """Begin again from a share, after an outage."""
        self.share, self.at = min(self.share, share), now
