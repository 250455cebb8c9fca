"""Paced reservations: the generic cell rate algorithm without burst, one number of state. Pure.

ITU-T I.371's virtual scheduling: a cell's theoretical arrival time is where the previous one's
cost ends. A reservation returns the time at which to start, so nobody polls and nobody queues.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Gcra:
    """A timeline on which reservations of one meter lie one behind the other."""

    free_at: float
    """End of the last reservation."""

    def reserve(self, amount: float, rate: float, first: float) -> float:
        """Reserve `amount` at `rate` a second, not before `first`; return the start.

        Starts of unit reservations at a constant rate r lie at least 1/r apart: in no window of
        w seconds do more than `r·w + 1` of them start.
        """
        start = max(self.free_at, first)
        self.free_at = start + amount / rate
        return start
