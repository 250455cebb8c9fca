"""The journal disk of a host: a page cache that survives processes and a platter that survives
the host. Implements `runner.core.seams.Disk` with full disks, short writes and lying syncs.
"""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from tests.dst.world import SimHost, SimProcess


@dataclass(slots=True, eq=False)
class SimFile:
    """One file: what readers see, and how much of it the platter holds."""

    name: str
    disk: DiskState
    host: SimHost
    """Whose page cache holds what is not durable yet."""
    data: bytearray = field(default_factory=bytearray)
    durable: int = 0
    named: bool = False
    """Whether the name itself is durable (after the first sync)."""
    lied: bool = False
    """A sync failed: the kernel has dropped the dirty mark, later syncs promise nothing."""
    seen: int = 0
    """How far the oracle has looked."""


@dataclass(slots=True)
class DiskFaults:
    """What goes wrong at present; the schedule turns these."""

    full: bool = False
    short_write: float = 0.0
    sync_error: float = 0.0
    slow: float = 1.0


class DiskState:
    """The files of one host's own disk, or of one that all hosts share.

    The hooks let the oracle follow what is durable.
    """

    def __init__(self, hosts: Sequence[SimHost], name: str) -> None:
        self.name = name
        self.world = hosts[0].world
        self.shared = len(hosts) > 1
        self.files: dict[str, SimFile] = {}
        self.faults = DiskFaults()
        self.on_change: list[Callable[[DiskState, SimFile], None]] = []
        self.on_delete: list[Callable[[DiskState, SimFile, SimProcess], None]] = []
        self.on_crash: list[Callable[[DiskState], None]] = []
        self._deleted: list[tuple[float, SimFile]] = []
        for host in hosts:
            host.disk = self

    def crash(self, host: SimHost, *, lost: bool) -> None:
        """A host is gone: lose all of its own disk, or the unsynced part of what it wrote.

        The tail is torn at a random byte, and sometimes followed by garbage.
        """
        rng = self.world.rng
        if lost and not self.shared:
            self.files.clear()
            for hook in self.on_crash:
                hook(self)
            return
        for file in [f for f in self.files.values() if f.host is host]:
            if not file.named and rng.random() < 0.5:
                del self.files[file.name]
                continue
            keep = rng.randint(file.durable, len(file.data))
            torn = keep < len(file.data)
            del file.data[keep:]
            if torn and rng.random() < 0.3:  # the size was written, the blocks were not
                file.data += bytes(rng.randint(1, 64))
            file.durable, file.named = len(file.data), True
        for when, file in self._deleted:
            # A deletion whose call has not returned yet may not have reached the platter.
            recent = self.world.now - when < 0.002 and file.named and file.host is host
            if recent and file.name not in self.files and rng.random() < 0.3:
                del file.data[file.durable :]
                self.files[file.name] = file
                self.world.trace("undelete", self.name, file.name)
        self._deleted.clear()
        for hook in self.on_crash:
            hook(self)

    def changed(self, file: SimFile) -> None:
        for hook in self.on_change:
            hook(self, file)

    def deleted(self, file: SimFile, process: SimProcess) -> None:
        for hook in self.on_delete:
            hook(self, file, process)
        self._deleted.append((self.world.now, file))


class SimDiskFile:
    """`DiskFile` handle of one process."""

    def __init__(self, disk: SimDisk, file: SimFile) -> None:
        self._disk = disk
        self._file = file

    @property
    def name(self) -> str:
        return self._file.name

    def write(self, data: bytes) -> None:
        self._disk.process.check()
        state = self._disk.state
        faults, world = state.faults, state.world
        if faults.full or world.chance(faults.short_write):
            part = world.rng.randrange(len(data)) if data and world.chance(0.5) else 0
            self._file.data += data[:part]
            state.changed(self._file)
            code = errno.ENOSPC if faults.full else errno.EIO
            world.trace("disk-fail", self._disk.process.name, "write", self.name)
            raise OSError(code, "simulated: no space or short write")
        self._file.data += data
        state.changed(self._file)

    async def sync(self) -> None:
        process, state, file = self._disk.process, self._disk.state, self._file
        process.check()
        size = len(file.data)

        def effect() -> None:
            if state.world.chance(state.faults.sync_error):
                file.lied = True
                state.world.trace("disk-fail", process.name, "sync", file.name)
                raise OSError(errno.EIO, "simulated: the kernel could not write")
            if not file.lied:
                file.durable = max(file.durable, size)
                file.named = True
                state.changed(file)

        await self._disk.carry_out(effect, 0.002)

    def close(self) -> None:
        pass


class SimDisk:
    """`Disk` handle of one process: the journal folder on a host."""

    def __init__(self, state: DiskState, process: SimProcess) -> None:
        self.state = state
        self.process = process

    def create(self, name: str) -> SimDiskFile:
        self.process.check()
        if name in self.state.files:
            raise FileExistsError(errno.EEXIST, "exists", name)
        if self.state.faults.full:
            raise OSError(errno.ENOSPC, "simulated: no space", name)
        file = SimFile(name, self.state, self.process.host)
        self.state.files[name] = file
        return SimDiskFile(self, file)

    async def list(self) -> list[str]:
        return await self.carry_out(lambda: sorted(self.state.files), 0.001)

    async def read(self, name: str) -> bytes:
        def effect() -> bytes:
            file = self.state.files.get(name)
            return bytes(file.data) if file is not None else b""

        return await self.carry_out(effect, 0.002)

    async def delete(self, name: str) -> None:
        def effect() -> None:
            file = self.state.files.pop(name, None)
            if file is not None:
                self.state.world.trace("unlink", self.process.name, name)
                self.state.deleted(file, self.process)

        await self.carry_out(effect, 0.001)

    async def carry_out(self, effect: Callable[[], object], typical_s: float) -> object:
        """Wait a latency, then apply the effect, unless the process has died meanwhile."""
        self.process.check()
        world = self.state.world
        done: asyncio.Future[object] = world.loop.create_future()
        delay = world.latency(typical_s) * self.state.faults.slow

        def act() -> None:
            try:
                result = effect()
            except OSError as error:
                if not done.done():
                    done.set_exception(error)
                return
            if not done.done():
                done.set_result(result)

        # A stopped process has its threads stopped too; a dead one's system call did not happen.
        world.loop.in_world(delay, self.process.when_running, act)
        return await done
