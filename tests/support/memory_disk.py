"""A journal disk in memory that knows what is durable, and fails when it is told to."""

from __future__ import annotations

import asyncio
import errno
from dataclasses import dataclass, field


@dataclass(slots=True)
class MemoryFile:
    """What was written to one file, and how much of it a power cut would leave."""

    data: bytearray = field(default_factory=bytearray)
    durable: int = 0
    broken: bool = False
    """A write or a sync failed; any further use is the journal's mistake."""
    closed: bool = False


class MemoryDisk:
    """Implements `runner.core.seams.Disk`. `fail_*` count down: so many of the next calls fail."""

    def __init__(self) -> None:
        self.files: dict[str, MemoryFile] = {}
        self.fail_create = 0
        self.fail_write = 0
        self.fail_sync = 0
        self.short_by = 0
        """Bytes of a failing write that still arrive."""
        self.syncs = 0
        self.misuses: list[str] = []

    def create(self, name: str) -> MemoryHandle:
        if name in self.files:
            self.misuses.append(f"{name} created twice")
            raise FileExistsError(errno.EEXIST, "exists", name)
        if self.fail_create:
            self.fail_create -= 1
            raise OSError(errno.ENOSPC, "no space left", name)
        self.files[name] = MemoryFile()
        return MemoryHandle(self, name)

    async def list(self) -> list[str]:
        return sorted(self.files)

    async def read(self, name: str) -> bytes:
        file = self.files.get(name)
        return bytes(file.data) if file else b""

    async def delete(self, name: str) -> None:
        self.files.pop(name, None)

    def durable(self, extra: int = 0) -> list[tuple[str, bytes]]:
        """Return what a power cut leaves, with up to `extra` bytes of what was not synced."""
        return [
            (name, bytes(file.data[: file.durable + extra]))
            for name, file in sorted(self.files.items())
        ]


class MemoryHandle:
    """Implements `runner.core.seams.DiskFile`."""

    def __init__(self, disk: MemoryDisk, name: str) -> None:
        self._disk = disk
        self._file = disk.files[name]
        self.name = name

    def write(self, data: bytes) -> None:
        disk, file = self._disk, self._file
        if file.broken or file.closed:
            disk.misuses.append(f"{self.name} written after an error or its closing")
        if disk.fail_write:
            disk.fail_write -= 1
            file.broken = True
            file.data += data[: disk.short_by]
            raise OSError(errno.ENOSPC, "no space left", self.name)
        file.data += data

    async def sync(self) -> None:
        disk, file = self._disk, self._file
        if file.broken or file.closed:
            disk.misuses.append(f"{self.name} synced after an error or its closing")
        size = len(file.data)
        disk.syncs += 1
        await asyncio.sleep(0)
        if disk.fail_sync:
            disk.fail_sync -= 1
            file.broken = True
            raise OSError(errno.EIO, "input/output error", self.name)
        if file.closed:
            disk.misuses.append(f"{self.name} closed during a sync")
        file.durable = max(file.durable, size)

    def close(self) -> None:
        self._file.closed = True
