"""Journals of dead processes on a node's own disk: handed in whole, read by coordinators elsewhere."""

from __future__ import annotations

import asyncio

import pytest

from runner.core.errors import RecordError, StorageError
from runner.core.seams import ProcessIdentity
from runner.core.values import Job
from runner.record.frames import Frame, encode
from runner.record.handed_in import JoinedDisk, decode_segments, hand_in
from runner.record.recovery import delete_journal, incarnations, read_journal
from tests.support.journals import HEADER, PROCESS, answered
from tests.support.memory_disk import MemoryDisk, MemoryFile
from tests.support.memory_store import MemoryStore


class Table:
    """A process table in which everybody is dead, running, or on another host."""

    def __init__(self, dead: bool | None = True) -> None:
        self.dead = dead

    def current(self) -> ProcessIdentity:
        return PROCESS

    def is_dead(self, other: ProcessIdentity) -> bool | None:
        return self.dead


def disk_with(*segments: tuple[str, tuple[Frame, ...]]) -> MemoryDisk:
    disk = MemoryDisk()
    for name, frames in segments:
        disk.files[name] = MemoryFile(bytearray(b"".join(map(encode, frames))))
    return disk


def two_segments() -> MemoryDisk:
    return disk_with(
        ("w1-00001.wal", (HEADER, answered(1, 0))), ("w1-00002.wal", (HEADER, answered(1, 1)))
    )


def test_journal_of_a_dead_process_is_read_elsewhere_as_it_was_and_gone_here():
    async def main() -> None:
        disk, store = two_segments(), MemoryStore()
        before = await read_journal(disk, "w1")
        await hand_in(disk, store, Table())
        assert disk.files == {}
        elsewhere = JoinedDisk(MemoryDisk(), store)
        assert await incarnations(elsewhere) == ["w1"]
        assert elsewhere.handed_in == {"w1"}
        assert await read_journal(elsewhere, "w1") == before
        await delete_journal(elsewhere, "w1")
        assert store.objects == {}
        assert await elsewhere.list() == []
        assert elsewhere.handed_in == frozenset()

    asyncio.run(main())


@pytest.mark.parametrize("dead", [False, None])
def test_journal_of_a_process_that_may_run_stays(dead):
    disk, store = two_segments(), MemoryStore()
    asyncio.run(hand_in(disk, store, Table(dead)))
    assert len(disk.files) == 2
    assert store.objects == {}


def test_journal_without_a_whole_first_frame_stays():
    disk, store = disk_with(("w1-00001.wal", (HEADER,))), MemoryStore()
    del disk.files["w1-00001.wal"].data[10:]  # a process that is just beginning looks like that
    asyncio.run(hand_in(disk, store, Table()))
    assert len(disk.files) == 1
    assert store.objects == {}


@pytest.mark.parametrize("fault", ["before", "after"])
def test_store_that_refuses_leaves_the_journal_here_and_the_next_call_hands_it_in(fault):
    async def main() -> None:
        disk, store = two_segments(), MemoryStore()
        before = await read_journal(disk, "w1")
        setattr(store, fault, 1)
        with pytest.raises(StorageError):
            await hand_in(disk, store, Table())
        assert len(disk.files) == 2
        await hand_in(disk, store, Table())
        assert disk.files == {}
        assert await read_journal(JoinedDisk(MemoryDisk(), store), "w1") == before

    asyncio.run(main())


def test_coordinator_of_the_same_node_reads_a_journal_that_goes_while_it_reads():
    async def main() -> None:
        disk, store = two_segments(), MemoryStore()
        joined = JoinedDisk(disk, store)
        names = await joined.list()
        await hand_in(disk, store, Table())
        read = [await joined.read(name) for name in names]
        assert read == [b"".join(map(encode, (HEADER, answered(1, seed)))) for seed in (0, 1)]

    asyncio.run(main())


def test_object_that_the_store_did_not_delete_is_deleted_by_the_next_call():
    async def main() -> None:
        disk, store = two_segments(), MemoryStore()
        await hand_in(disk, store, Table())
        joined = JoinedDisk(MemoryDisk(), store)
        store.before = 1
        with pytest.raises(StorageError):
            await delete_journal(joined, "w1")
        assert await joined.list() == ["w1-00002.wal"]
        await delete_journal(joined, "w1")
        assert store.objects == {}

    asyncio.run(main())


def test_name_that_is_nowhere_reads_as_nothing():
    assert asyncio.run(JoinedDisk(MemoryDisk(), MemoryStore()).read("w9-00001.wal")) == b""


def test_object_that_is_cut_off_is_told():
    disk, store = two_segments(), MemoryStore()
    asyncio.run(hand_in(disk, store, Table()))
    (key,) = store.objects
    with pytest.raises(RecordError, match=key):
        decode_segments(store.objects[key][:-1], key)
    assert decode_segments(store.objects[key], key)[1] == PROCESS.boot_id
    assert Job(1, 1) in asyncio.run(read_journal(JoinedDisk(MemoryDisk(), store), "w1")).jobs
