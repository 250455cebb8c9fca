"""Sums over the last minute, in slots of a second. Pure."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field


@dataclass(slots=True)
class Window:
    """What was added during the last `span_s` seconds; the oldest second goes as a whole."""

    span_s: float = 60.0
    total: float = 0.0
    _slots: deque[list[float]] = field(default_factory=deque[list[float]])

    def add(self, amount: float, now: float) -> None:
        """Count an amount; may be negative (a correction)."""
        if self._slots and now - self._slots[-1][0] < 1.0:
            self._slots[-1][1] += amount
        else:
            self._slots.append([now, amount])
        self.total += amount
        self._forget(now)

    def sum(self, now: float) -> float:
        """Return the sum over the window."""
        self._forget(now)
        return self.total

    def seconds(self, now: float) -> float:
        """Return the time that the sum covers: less than the span at the start."""
        return min(self.span_s, now - self._slots[0][0]) if self._slots else 0.0

    def _forget(self, now: float) -> None:
        while self._slots and now - self._slots[0][0] > self.span_s:
            self.total -= self._slots.popleft()[1]
