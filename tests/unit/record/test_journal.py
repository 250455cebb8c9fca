"""The journal keeps its promise through full disks and failed syncs."""

from __future__ import annotations

import asyncio

import pytest

from runner.core.errors import StorageError
from runner.core.seeds import SeedSet
from runner.core.values import Job
from runner.record.frames import AttemptFrame, Note, scan
from runner.record.journal import Journal
from runner.record.recovery import index_journal, read_journal, unsealed
from tests.support.journals import HEADER, answered, dead
from tests.support.manual_clock import ManualClock
from tests.support.memory_disk import MemoryDisk


def run(main):
    async def guarded():
        disk = MemoryDisk()
        await main(disk, Journal(disk, ManualClock(), HEADER))
        assert disk.misuses == []

    asyncio.run(guarded())


def seeds(*numbers: int) -> dict[int, SeedSet]:
    return {1: SeedSet.of_seeds(numbers)}


def durable_seeds(disk: MemoryDisk) -> list[int]:
    return sorted(job.seed for job in index_journal("w1", disk.durable()).jobs)


def test_open_makes_the_header_durable_before_anything_else():
    async def main(disk, journal):
        await journal.open()
        ((name, data),) = disk.durable()
        assert name == "w1-00001.wal"
        assert scan(data).frames == [HEADER]

    run(main)


def test_open_on_a_full_disk_raises_and_succeeds_once_there_is_room():
    async def main(disk, journal):
        disk.fail_create = 2
        with pytest.raises(StorageError, match="no space left"):
            await journal.open()
        await journal.open()
        assert scan(disk.durable()[0][1]).frames == [HEADER]

    run(main)


def test_append_when_it_returns_is_durable_with_the_notes_before_it():
    async def main(disk, journal):
        await journal.open()
        journal.note(Job(1, 0), 0, 1)
        frame = answered(1, 0)
        await journal.append(frame)
        assert scan(disk.durable()[0][1]).frames == [HEADER, Note(Job(1, 0), 0, 1), frame]

    run(main)


def test_note_reaches_the_page_cache_without_a_sync():
    async def main(disk, journal):
        await journal.open()
        before = disk.syncs
        journal.note(Job(1, 0), 0, 1)
        await asyncio.sleep(0)
        assert scan(await disk.read("w1-00001.wal")).frames[1:] == [Note(Job(1, 0), 0, 1)]
        assert disk.syncs == before

    run(main)


def test_appends_at_the_same_time_share_a_sync():
    async def main(disk, journal):
        await journal.open()
        before = disk.syncs
        async with asyncio.TaskGroup() as group:
            for seed in range(500):
                group.create_task(journal.append(answered(1, seed)))
        assert durable_seeds(disk) == list(range(500))
        assert disk.syncs - before <= 2

    run(main)


@pytest.mark.parametrize("fault", ["fail_write", "fail_sync"])
def test_append_when_the_file_fails_goes_on_in_a_new_file_with_all_that_was_not_durable(fault):
    async def main(disk, journal):
        await journal.open()
        await journal.append(answered(1, 0))
        setattr(disk, fault, 1)
        disk.short_by = 11
        journal.note(Job(1, 1), 0, 1)
        async with asyncio.TaskGroup() as group:
            for seed in (1, 2, 3):
                group.create_task(journal.append(answered(1, seed)))
        assert [name for name, _ in disk.durable()] == ["w1-00001.wal", "w1-00002.wal"]
        index = index_journal("w1", disk.durable())
        assert sorted(job.seed for job in index.jobs) == [0, 1, 2, 3]
        assert index.reports == ()
        assert Note(Job(1, 1), 0, 1) in scan(disk.durable()[1][1]).frames

    run(main)


def test_append_when_the_new_file_fails_too_raises_for_all_who_wait_and_later_recovers():
    async def main(disk, journal):
        await journal.open()
        disk.fail_sync, disk.fail_create = 1, 1
        results = await asyncio.gather(
            *(journal.append(answered(1, seed)) for seed in range(3)), return_exceptions=True
        )
        assert [type(r) for r in results] == [StorageError] * 3
        assert "make room" in str(results[0])
        disk.fail_create = 2
        with pytest.raises(StorageError):
            await journal.append(answered(1, 8))
        await journal.append(answered(1, 9))
        assert 9 in durable_seeds(disk)

    run(main)


def test_append_when_a_new_file_takes_only_half_deletes_it():
    async def main(disk, journal):
        await journal.open()
        disk.fail_write, disk.short_by = 3, 5
        with pytest.raises(StorageError):
            await journal.append(answered(1, 0))
        assert list(disk.files) == ["w1-00001.wal"]
        await journal.append(answered(1, 0))
        assert durable_seeds(disk) == [0]

    run(main)


def test_note_on_a_full_disk_never_raises_and_is_written_when_there_is_room():
    async def main(disk, journal):
        await journal.open()
        disk.fail_write = 1
        disk.fail_create = 2
        journal.note(Job(1, 4), 0, 1)
        for _ in range(20):
            await asyncio.sleep(0)
        await journal.durable()
        assert scan(disk.durable()[-1][1]).frames == [HEADER, Note(Job(1, 4), 0, 1)]

    run(main)


def test_append_when_its_caller_is_cancelled_becomes_durable_all_the_same():
    async def main(disk, journal):
        await journal.open()
        task = asyncio.create_task(journal.append(answered(1, 5)))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await journal.close()
        assert durable_seeds(disk) == [5]

    run(main)


def test_append_when_its_caller_is_cancelled_survives_a_failed_roll():
    async def main(disk, journal):
        await journal.open()
        task = asyncio.create_task(journal.append(answered(1, 5)))
        await asyncio.sleep(0)
        task.cancel()
        disk.fail_sync, disk.fail_create = 1, 1
        with pytest.raises(StorageError):
            await journal.append(answered(1, 6))
        await journal.append(answered(1, 7))
        assert durable_seeds(disk)[:1] == [5]
        assert 7 in durable_seeds(disk)

    run(main)


def test_begin_seal_is_durable_and_begins_a_new_segment():
    async def main(disk, journal):
        await journal.open()
        await journal.append(answered(1, 0))
        await journal.begin_seal("w1.00001", seeds(0))
        index = index_journal("w1", disk.durable())
        assert index.seals["w1.00001"].jobs == {Job(1, 0)}
        assert unsealed(index, ["w1.00001"]) == {}
        assert list(unsealed(index, [])) == [Job(1, 0)]
        assert list(disk.files) == ["w1-00001.wal", "w1-00002.wal"]

    run(main)


def test_begin_seal_does_not_cover_what_comes_for_the_job_later():
    async def main(disk, journal):
        await journal.open()
        await journal.append(dead(1, 0))
        await journal.begin_seal("w1.00001", seeds(0))
        await journal.append(answered(1, 0, number=2))
        await journal.forget([Job(1, 0)])
        index = index_journal("w1", disk.durable())
        (trace,) = unsealed(index, ["w1.00001"]).values()
        assert [a.number for a in trace.attempts] == [2]
        assert trace.dead is None

    run(main)


def test_forget_deletes_a_segment_when_its_last_job_is_forgotten():
    async def main(disk, journal):
        await journal.open()
        await journal.append(answered(1, 0))
        await journal.append(answered(1, 1))
        await journal.begin_seal("w1.00001", seeds(0))
        await journal.forget([Job(1, 0)])
        assert list(disk.files) == ["w1-00001.wal", "w1-00002.wal"]
        await journal.begin_seal("w1.00002", seeds(1))
        await journal.forget([Job(1, 1)])
        assert list(disk.files) == ["w1-00003.wal"]

    run(main)


def test_forget_keeps_a_segment_that_holds_a_later_turn_of_a_running_job():
    async def main(disk, journal):
        await journal.open()
        await journal.append(answered(1, 0))
        await journal.append(answered(1, 1))
        await journal.begin_seal("w1.00001", seeds(1))
        await journal.append(answered(1, 0, turn=1))
        await journal.append(answered(1, 2))
        await journal.begin_seal("w1.00002", seeds(2))
        await journal.forget([Job(1, 1), Job(1, 2)])
        (trace,) = unsealed(index_journal("w1", disk.durable()), ["w1.00001", "w1.00002"]).values()
        assert [a.turn for a in trace.attempts] == [0, 1]

    run(main)


def test_forget_keeps_a_seal_frame_while_frames_it_speaks_for_are_still_there():
    async def main(disk, journal):
        await journal.open()
        await journal.append(answered(1, 0))
        await journal.append(answered(1, 7))  # a long rollout, which keeps the first segment
        await journal.append(answered(1, 1))
        await journal.begin_seal("w1.00001", seeds(1))
        await journal.append(answered(1, 0, turn=1))
        await journal.begin_seal("w1.00002", seeds(0))
        await journal.forget([Job(1, 1), Job(1, 0)])
        index = index_journal("w1", disk.durable())
        assert list(unsealed(index, ["w1.00001", "w1.00002"])) == [Job(1, 7)]

    run(main)


def test_unsealed_bytes_count_frames_until_their_job_is_sealed_or_forgotten():
    async def main(disk, journal):
        await journal.open()
        assert journal.unsealed_bytes == 0
        await journal.append(answered(1, 0, body=b"x" * 1000))
        await journal.append(answered(1, 1, body=b"x" * 1000))
        whole = journal.unsealed_bytes
        assert 2000 < whole < 4000
        await journal.begin_seal("w1.00001", seeds(0))
        assert journal.unsealed_bytes == whole / 2
        await journal.forget([Job(1, 0), Job(1, 1)])
        assert journal.unsealed_bytes == 0

    run(main)


def test_lag_is_zero_when_nobody_waits():
    async def main(disk, journal):
        await journal.open()
        task = asyncio.create_task(journal.append(answered(1, 0)))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert journal.lag_s > 0
        await task
        assert journal.lag_s == 0

    run(main)


def test_copy_of_anothers_answer_is_durable_with_the_next_answer_and_replays_before_it():
    async def main(disk, journal):
        await journal.open()
        other, own = answered(1, 0, incarnation="w0"), answered(1, 0, turn=1)
        disk.fail_sync = 1
        journal.copy(other.attempt)
        await journal.append(own)
        traces = index_journal("w1", disk.durable()).jobs
        assert traces[Job(1, 0)].attempts == (other.attempt, own.attempt)

    run(main)


def test_close_keeps_a_journal_with_a_copy_for_a_job_that_has_not_ended():
    async def main(disk, journal):
        await journal.open()
        journal.copy(answered(1, 0, incarnation="w0").attempt)
        await journal.durable()
        await journal.close()
        assert durable_seeds(disk) == [0]

    run(main)


def test_close_deletes_a_journal_that_holds_nothing_but_notes():
    async def main(disk, journal):
        await journal.open()
        journal.note(Job(1, 3), 0, 1)
        await journal.append(answered(1, 0))
        await journal.begin_seal("w1.00001", seeds(0))
        await journal.forget([Job(1, 0)])
        await journal.close()
        assert disk.files == {}

    run(main)


def test_close_keeps_a_journal_whose_rows_are_not_published():
    async def main(disk, journal):
        await journal.open()
        frame = answered(1, 0)
        await journal.append(frame)
        await journal.close()
        index = await read_journal(disk, "w1")
        assert index.jobs[Job(1, 0)].attempts == (frame.attempt,)
        with pytest.raises(RuntimeError):
            await journal.append(AttemptFrame(frame.attempt))

    run(main)
