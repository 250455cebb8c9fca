"""What every journal `Disk` promises: the same suite on the real one and on those of tests."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from runner.core.seams import Disk
from runner.record.disk import PosixDisk
from tests.dst.disk import DiskState, SimDisk
from tests.dst.world import SimProcess, World
from tests.support.memory_disk import MemoryDisk

Main = Callable[[Callable[[], Disk]], Awaitable[None]]
"""A test's body; its argument opens the same disk once more, as another process would."""


@pytest.fixture(params=["posix", "memory", "simulated"])
def run(request, tmp_path):
    """Return a function that runs a test's body against one kind of disk."""

    def in_kind(main: Main) -> None:
        match request.param:
            case "posix":
                asyncio.run(main(lambda: PosixDisk(tmp_path / "sweep" / "journal")))
            case "memory":
                disk = MemoryDisk()
                asyncio.run(main(lambda: disk))
            case _:
                world = World(1)
                process = SimProcess(world.host("h0"), "p")
                state = DiskState([process.host], "d")
                try:
                    world.loop.run_until_complete(main(lambda: SimDisk(state, process)))
                finally:
                    world.loop.dispose()

    return in_kind


def test_write_is_seen_by_readers_before_any_sync(run):
    async def main(open_disk):
        file = open_disk().create("w1-00001.wal")
        file.write(b"ab")
        file.write(b"")
        file.write(b"c")
        assert await open_disk().read("w1-00001.wal") == b"abc"
        await file.sync()
        file.close()
        assert await open_disk().read("w1-00001.wal") == b"abc"

    run(main)


def test_create_of_an_existing_file_raises_and_leaves_it(run):
    async def main(open_disk):
        open_disk().create("a").write(b"1")
        with pytest.raises(FileExistsError):
            open_disk().create("a")
        assert await open_disk().read("a") == b"1"

    run(main)


def test_list_of_an_unused_disk_is_empty_and_else_sorted(run):
    async def main(open_disk):
        disk = open_disk()
        assert await disk.list() == []
        for name in ("b", "a", "c"):
            disk.create(name)
        assert await open_disk().list() == ["a", "b", "c"]

    run(main)


def test_read_and_delete_of_nothing_are_no_errors(run):
    async def main(open_disk):
        disk = open_disk()
        assert await disk.read("a") == b""
        await disk.delete("a")
        disk.create("a").write(b"1")
        await disk.delete("a")
        assert await open_disk().list() == []

    run(main)


def test_file_knows_its_name_and_syncs_as_often_as_asked(run):
    async def main(open_disk):
        file = open_disk().create("a")
        assert file.name == "a"
        for _ in range(3):
            file.write(b"x")
            await file.sync()
        await asyncio.gather(file.sync(), file.sync())
        assert await open_disk().read("a") == b"xxx"

    run(main)
