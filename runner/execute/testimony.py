"""Whom a worker calls gone: processes of its node that have ended and whose journals were handed in.

A coordinator asks about workers that it does not hear. To be called gone means that what is left of them
can be read, so that nothing paid for is asked again: on a shared folder that is so at once, beside a URL
once this node's disk was emptied of dead journals (record/handed_in.py).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from runner.core.errors import StorageError
from runner.core.seams import Processes, ProcessIdentity

FIRST_S = 20.0
"""A worker waits so long at its start, until what its predecessors left is handed in."""

HandIn = Callable[[], Awaitable[None]]
"""Hands in the journals of dead processes here; raises StorageError, OSError: call again."""


@dataclass(slots=True)
class DeathsHere:
    """What one worker knows of deaths on its node."""

    processes: Processes
    hand_in: HandIn | None
    """None: the coordinator reads every journal as it is."""
    _settled: set[ProcessIdentity] = field(default_factory=set[ProcessIdentity])
    _task: asyncio.Task[None] | None = None

    async def begin(self) -> None:
        """Hand in what lies here; a store that does not take it is asked again later."""
        if self.hand_in is None:
            return
        with contextlib.suppress(StorageError, OSError, TimeoutError):
            async with asyncio.timeout(FIRST_S):
                await self.hand_in()

    def of(self, missing: tuple[ProcessIdentity, ...]) -> tuple[ProcessIdentity, ...]:
        """Return who of these is gone, as far as it may be said by now."""
        dead = tuple(p for p in missing if self.processes.is_dead(p))
        if self.hand_in is None:
            return dead
        if not self._settled.issuperset(dead) and (self._task is None or self._task.done()):
            self._task = asyncio.get_running_loop().create_task(self._settle(self.hand_in, dead))
        return tuple(p for p in dead if p in self._settled)

    def end(self) -> None:
        """Leave the rest to the next worker here."""
        if self._task is not None:
            self._task.cancel()

    async def _settle(self, hand_in: HandIn, dead: tuple[ProcessIdentity, ...]) -> None:
        with contextlib.suppress(StorageError, OSError):
            await hand_in()
            self._settled.update(dead)
