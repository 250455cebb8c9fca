"""Finished jobs on their way into parts: sealing by rows, bytes and age.

A seal is begun durably in the journal, encoded once, written under a name of its own, and then
waits for the coordinator to say that it is published. Until then the journal keeps its jobs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace

from runner.config.schema import EngineConfig
from runner.core.errors import StorageError
from runner.core.facts import CellFacts
from runner.core.seams import Clock, Store
from runner.core.seeds import by_cell
from runner.core.values import Finished, Job
from runner.record.journal import Journal
from runner.record.layout import seal_name
from runner.record.parts import EncodedPart, encode_parts, estimate_bytes
from runner.record.seals import write_seal

SEAL_RETRY_S = 1.0

Offload = Callable[[Callable[[], list[EncodedPart]]], Awaitable[list[EncodedPart]]]
"""Runs CPU work off the event loop (a thread; in simulation, on the spot)."""


@dataclass(slots=True, kw_only=True)
class Outbox:
    """Rows not sealed yet, and seals not published yet, of one worker incarnation."""

    incarnation: str
    store: Store
    journal: Journal
    clock: Clock
    bounds: EngineConfig
    facts: Callable[[int], CellFacts]
    offload: Offload
    storage_trouble: Callable[[str | None], None]
    journal_trouble: Callable[[str | None], None]
    on_sealed: Callable[[], None]
    sealed: dict[str, tuple[Job, ...]] = field(default_factory=dict[str, tuple[Job, ...]])
    """Seal name to its jobs, until published."""
    seal_s: float = 0.0
    """What the last seal took."""
    _open: list[Finished] = field(default_factory=list[Finished])
    _open_bytes: int = 0
    _open_since: float | None = None
    _sealing: list[Finished] = field(default_factory=list[Finished])
    _sealing_bytes: int = 0
    _sealing_since: float | None = None
    _count: int = 0
    _task: asyncio.Task[None] | None = None

    def add(self, finished: Finished) -> None:
        """Take a finished job; starts a seal when a bound is reached."""
        self._open.append(finished)
        self._open_bytes += estimate_bytes(finished)
        if self._open_since is None:
            self._open_since = self.clock.monotonic()
        if len(self._open) >= self.bounds.seal_rows or self._open_bytes >= self.bounds.seal_bytes:
            self.seal()

    def unsealed_bytes(self) -> int:
        """Return the bytes of row data that no part holds yet."""
        return self._open_bytes + self._sealing_bytes

    def unsealed_age_s(self) -> float:
        """Return the age of the oldest row that no part holds yet."""
        since = self._sealing_since if self._sealing_since is not None else self._open_since
        return 0.0 if since is None else self.clock.monotonic() - since

    @property
    def empty(self) -> bool:
        """Return whether everything taken is sealed."""
        return not self._open and not self._sealing

    def tick(self) -> None:
        """Seal what has become old enough."""
        since = self._open_since
        if since is not None and self.clock.monotonic() - since >= self.bounds.seal_age_s:
            self.seal()

    def seal(self) -> None:
        """Start sealing what is open, unless a seal is on its way (the next tick comes back)."""
        if not self._open or (self._task is not None and not self._task.done()):
            return
        self._sealing, self._open = self._open, []
        self._sealing_bytes, self._open_bytes = self._open_bytes, 0
        self._sealing_since, self._open_since = self._open_since, None
        self._task = asyncio.get_running_loop().create_task(self._seal(self._sealing))

    async def flush(self) -> None:
        """Seal everything and wait until it is written.

        Raises:
            StorageError: the last try failed; the rows stay in the journal.
        """
        while not self.empty:
            self.seal()
            if self._task is not None:
                await self._task

    async def abandon(self) -> None:
        """Give up a seal that the disk refuses; its rows stay in the journal."""
        if self._task is not None and not self._task.done():
            self._task.cancel()
            await asyncio.wait({self._task})

    async def _seal(self, rows: Sequence[Finished]) -> None:
        self._count += 1
        name = seal_name(self.incarnation, self._count)
        jobs = tuple(f.job for f in rows)
        own = [_by(self.incarnation, finished) for finished in rows]
        parts: list[EncodedPart] | None = None
        begun, began_at = False, self.clock.monotonic()
        while True:
            try:
                if not begun:
                    await self.journal.begin_seal(name, by_cell(jobs))
                    begun = True
                if parts is None:
                    parts = await self.offload(lambda: encode_parts(rows, self.facts, attempts=own))
                await write_seal(self.store, name, parts)
            except StorageError as error:
                (self.storage_trouble if begun else self.journal_trouble)(str(error))
                await self.clock.sleep(SEAL_RETRY_S)
            else:
                break
        self.storage_trouble(None)
        self.sealed[name] = jobs
        self.seal_s = self.clock.monotonic() - began_at
        self._sealing, self._sealing_bytes, self._sealing_since = [], 0, None
        self.on_sealed()

    async def published(self, seals: Sequence[str]) -> list[Job]:
        """Forget published seals; returns their jobs, which the journal may forget too."""
        jobs: list[Job] = []
        for seal in seals:
            jobs.extend(self.sealed.pop(seal, ()))
        if jobs:
            await self.journal.forget(jobs)
        return jobs


def _by(incarnation: str, finished: Finished) -> Finished:
    """Leave out attempts that an earlier holder made: its own journal's seals have their rows."""
    if all(a.incarnation == incarnation for a in finished.attempts):
        return finished
    own = tuple(a for a in finished.attempts if a.incarnation == incarnation)
    return replace(finished, attempts=own)
