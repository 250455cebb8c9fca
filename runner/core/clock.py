"""The real clock: the only module that reads time."""

from __future__ import annotations

import asyncio
import time


class SystemClock:
    """Clock of this machine; monotonic seconds count suspended time (CLOCK_BOOTTIME)."""

    def monotonic(self) -> float:
        """Return seconds since boot, suspended time included."""
        return time.clock_gettime(time.CLOCK_BOOTTIME)

    def wall(self) -> float:
        """Return Unix seconds."""
        return time.time()

    async def sleep(self, seconds: float) -> None:
        """Wait on the event loop."""
        await asyncio.sleep(seconds)
