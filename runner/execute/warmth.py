"""One call per shared prefix goes ahead and writes the cache; the others wait and read it.

An entry can be read once the first response that has it has begun (a stream tells when; of a plain
call its end is taken), and lives for its time-to-live from its last use. Without this, a block of
jobs that start together would all write, each at a quarter more than the plain price. A job that
waits holds no place at the gate. Workers learn of each other's prefixes with each heartbeat
(`dispatch/prefixes.py`): one that another worker is about to write is waited for, too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from runner.execute.messages import AWAITS, WRITES

MARGIN = 0.9
"""Share of the time-to-live after which an entry counts as gone: it began before we heard of it."""


@dataclass(slots=True)
class _Prefix:
    warm_until: float = 0.0
    warming: bool = False
    """A call is to write it."""
    sent: bool = False
    """It is on the wire."""
    waiters: list[asyncio.Future[None]] = field(default_factory=list[asyncio.Future[None]])


@dataclass(slots=True)
class Warmth:
    """The prefixes of one model in one worker; memory grows with its cells."""

    now: Callable[[], float]
    """Monotonic seconds."""
    on_wait: Callable[[], None] = field(default=lambda: None)
    """Told when a job begins to wait: another may start in its place."""
    elsewhere: frozenset[int] = frozenset()
    """Cells whose prefix another worker writes, by the latest reply."""
    _prefixes: dict[int, _Prefix] = field(default_factory=dict[int, _Prefix])

    def cold(self, cell: int) -> bool:
        """Return whether a call would have to wait, or to go ahead."""
        prefix = self._prefixes.get(cell)
        return prefix is None or self.now() >= prefix.warm_until

    def readable(self, cell: int) -> bool:
        """Return whether a call that goes out soon will not have to write the prefix."""
        prefix = self._prefixes.get(cell)
        return prefix is not None and (prefix.warming or self.now() < prefix.warm_until)

    async def enter(self, cell: int) -> bool:
        """Wait until the prefix can be read; True: this call is the one that goes ahead.

        Whoever gets True calls `begun` or `failed` when its call has.
        """
        prefix = self._prefixes.setdefault(cell, _Prefix())
        while self.now() >= prefix.warm_until:
            if not prefix.warming and cell not in self.elsewhere:
                prefix.warming = True
                return True
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            prefix.waiters.append(waiter)
            self.on_wait()
            await waiter
        return False

    def begun(self, cell: int, cache_s: float) -> None:
        """A response with the prefix has begun: it can be read, and lives from now on."""
        prefix = self._prefixes.setdefault(cell, _Prefix())
        prefix.warm_until = self.now() + cache_s * MARGIN
        prefix.warming = prefix.sent = False
        self._wake(prefix)

    def failed(self, cell: int) -> None:
        """The call that went ahead has ended without an answer: the next one goes ahead."""
        prefix = self._prefixes[cell]
        prefix.warming = prefix.sent = False
        self._wake(prefix)

    def sent(self, cell: int) -> None:
        """The call that goes ahead has its place."""
        self._prefixes[cell].sent = True

    def left_s(self, cell: int) -> float:
        """Return what a heartbeat says of a prefix (see `Heartbeat.prefixes`)."""
        prefix = self._prefixes.get(cell)
        if prefix is None:
            return 0.0
        left = prefix.warm_until - self.now()
        if left <= 0 and not prefix.warming and prefix.waiters:
            return AWAITS
        return left if left > 0 else WRITES if prefix.sent else 0.0

    def told(self, readable: Mapping[int, float], elsewhere: frozenset[int]) -> None:
        """Take in what other workers have done, or are about to do.

        Args:
            readable: cell to seconds for which its prefix can be read.
            elsewhere: cells whose prefix another worker writes.
        """
        freed = self.elsewhere - elsewhere
        self.elsewhere = elsewhere
        for cell, left in readable.items():
            prefix = self._prefixes.setdefault(cell, _Prefix())
            prefix.warm_until = max(prefix.warm_until, self.now() + left)
        for cell in (*readable, *freed):
            if cell in self._prefixes:
                self._wake(self._prefixes[cell])

    def _wake(self, prefix: _Prefix) -> None:
        waiters, prefix.waiters = prefix.waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)
