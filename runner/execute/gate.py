"""When may the next request of a model go out? One gate per model in a worker.

Owns the count of requests on the wire and who waits for a place. A place is held only while a
request is on the wire: never while sleeping before a retry, never between turns.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable


class Gate:
    """Places for requests of one model; its worker sets `slots` from each heartbeat reply."""

    def __init__(self, may_call: Callable[[], bool], now: Callable[[], float]) -> None:
        """Make a closed gate (no slots).

        Args:
            may_call: the worker's own conditions (lease valid, room for unsealed rows).
            now: monotonic seconds.
        """
        self.slots = 0
        self.in_flight = 0
        self.closed = False
        """No further request at all: stopped model, or the grace period is over."""
        self.paused_until = 0.0
        """After a rate limit: no request of any job before (monotonic seconds)."""
        self._may_call = may_call
        self._now = now
        self._waiters: deque[asyncio.Future[None]] = deque()

    @property
    def waiting(self) -> int:
        """Return how many calls wait for a place."""
        return len(self._waiters)

    def free(self) -> int:
        """Return how many requests could start now."""
        room = self.slots - self.in_flight
        if room <= 0 or self.closed:
            return 0
        if self.paused_until and self._now() < self.paused_until:
            return 0
        return room if self._may_call() else 0

    async def acquire(self) -> bool:
        """Wait for a place and take it; False where the gate is closed."""
        while self.free() <= 0:
            if self.closed:
                return False
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            try:
                await waiter
            except asyncio.CancelledError:
                if waiter in self._waiters:
                    self._waiters.remove(waiter)
                else:
                    self.kick()  # the wake-up it was given belongs to the next one
                raise
        self.in_flight += 1
        return True

    def release(self) -> None:
        """Give the place back."""
        self.in_flight -= 1
        if self._waiters:
            self.kick()

    def pause(self, seconds: float) -> None:
        """Hold every job's next request back: the server said so to one of them."""
        until = self._now() + seconds
        if until > self.paused_until:
            self.paused_until = until
            asyncio.get_running_loop().call_later(seconds + 0.001, self.kick)

    def close(self) -> None:
        """Let nothing start any more; those who wait get False."""
        self.closed = True
        self.kick()

    def kick(self) -> None:
        """Wake as many waiters as may start now (all of them where the gate is closed)."""
        count = len(self._waiters) if self.closed else min(self.free(), len(self._waiters))
        for _ in range(count):
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
