"""The seams between the engine and the world: clock, store, journal disk, processes, peers.

The engine (coordinator, worker, journal, publishing, limits) reaches the outside only through
these protocols, so that all of it runs in one process in virtual time (tests/dst). Real
implementations: `core/clock.py`, `core/process.py`, `record/posix_store.py`, `record/disk.py`.
Everything asynchronous also obeys `asyncio`'s own timers, which follow the loop's clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


class Clock(Protocol):
    """Time. Wall clocks of two hosts are never compared."""

    def monotonic(self) -> float:
        """Return seconds on a clock that counts suspended time; comparable on one host only."""
        ...

    def wall(self) -> float:
        """Return Unix seconds, for rows that people read; never for a decision."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait at least that long."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessIdentity:
    """A process such that equality means the very same one."""

    host: str
    boot_id: str
    pid_namespace: str
    pid: int
    started: str
    """Start time in the kernel's ticks: tells a reused pid from the process meant."""


class Processes(Protocol):
    """Knows this process and whether another one is gone."""

    def current(self) -> ProcessIdentity:
        """Return the identity of the calling process."""
        ...

    def is_dead(self, other: ProcessIdentity) -> bool | None:
        """Return True if provably gone, False if running, None if this host cannot tell."""
        ...


class KeyExistsError(Exception):
    """`Store.create` met an existing key."""


class KeyMissingError(Exception):
    """`Store.get` met no such key."""


class Store(Protocol):
    """The sweep directory. Keys are relative, `/`-separated. The only durable truth.

    Every method may raise `runner.core.errors.StorageError` (full, read-only, not reachable);
    after it the effect may or may not have happened, and the caller may repeat the call, except
    that an ambiguous `create` is resolved by reading the key back.
    """

    async def create(self, key: str, data: bytes) -> None:
        """Write a new object, durable and whole when it returns; of two racing calls one wins.

        Raises:
            KeyExistsError: the key exists.
        """
        ...

    async def put(self, key: str, data: bytes) -> None:
        """Write or replace an object atomically; durable when it returns."""
        ...

    async def get(self, key: str) -> bytes:
        """Read an object.

        Raises:
            KeyMissingError: there is none.
        """
        ...

    async def list(self, prefix: str) -> list[str]:
        """Return the keys below a folder such as `parts/`, sorted; empty if there is none."""
        ...

    async def move(self, source: str, target: str) -> bool:
        """Consume the source: afterwards it is gone and the target holds its bytes, durably.

        Idempotent: returns False, changing nothing, where the source is missing. Readers of the
        target see nothing or the whole.
        """
        ...

    async def delete(self, key: str) -> None:
        """Remove an object; no error where there is none."""
        ...


class DiskFile(Protocol):
    """One append-only file on the worker's own disk."""

    @property
    def name(self) -> str:
        """Name below the journal folder."""
        ...

    def write(self, data: bytes) -> None:
        """Append to the page cache, at once; survives the process, not the host.

        Raises:
            OSError: full disk or short write; the tail may hold part of the data.
        """
        ...

    async def sync(self) -> None:
        """Make everything written before the call durable.

        Raises:
            OSError: the kernel reports that it could not; the file must not be used further.
        """
        ...

    def close(self) -> None:
        """Close; never raises."""
        ...


class Disk(Protocol):
    """The journal folder of a sweep, on this node."""

    def create(self, name: str) -> DiskFile:
        """Create a new file, exclusively; the name is durable after the first `sync`.

        Raises:
            OSError: it exists, or the disk refuses.
        """
        ...

    async def list(self) -> list[str]:
        """Return the names of all files, sorted."""
        ...

    async def read(self, name: str) -> bytes:
        """Read a whole file, as far as it is written now; b'' where there is none."""
        ...

    async def delete(self, name: str) -> None:
        """Remove a file; no error where there is none."""
        ...
