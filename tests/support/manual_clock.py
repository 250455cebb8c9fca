"""A clock that only moves when somebody sleeps on it."""

from __future__ import annotations

import asyncio


class ManualClock:
    """Implements `runner.core.seams.Clock`; a sleep passes at once, in its order."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def wall(self) -> float:
        return 1_900_000_000.0 + self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds
        await asyncio.sleep(0)
