"""What is made of journals: damage is told, doubles collapse, two workers' turns are joined."""

from __future__ import annotations

import asyncio
from itertools import permutations

import pytest

from runner.core.errors import RecordError
from runner.core.seeds import SeedSet
from runner.core.values import Job
from runner.record.frames import FORMAT_VERSION, Header, Note, SealFrame, encode
from runner.record.recovery import (
    JobTrace,
    delete_journal,
    incarnations,
    index_journal,
    merge,
    read_journal,
    unsealed,
)
from tests.support.journals import HEADER, PROCESS, SMALL_JOURNAL, answered, dead, failed
from tests.support.memory_disk import MemoryDisk


def file(*frames) -> bytes:
    return b"".join(encode(frame) for frame in frames)


def trace(*frames) -> JobTrace:
    (found,) = index_journal("w", [("w-00001.wal", file(*frames))]).jobs.values()
    return found


def test_index_of_a_journal_sorts_attempts_and_keeps_notes_that_nobody_answered():
    written = [answered(1, 0, 1), failed(1, 0, 0, 1), answered(1, 0, 0, 2)]
    notes = [Note(Job(1, 0), turn, number) for turn, number in [(0, 1), (0, 2), (1, 1), (2, 1)]]
    found = trace(HEADER, *notes, *written)
    assert [(a.turn, a.number) for a in found.attempts] == [(0, 1), (0, 2), (1, 1)]
    assert found.open_notes == (Note(Job(1, 0), 2, 1),)
    assert found.dead is None


def test_index_of_frames_written_twice_collapses_them():
    first = file(HEADER, answered(1, 0), Note(Job(1, 1), 0, 1))
    second = file(HEADER, answered(1, 0), Note(Job(1, 1), 0, 1), answered(1, 1))
    index = index_journal("w1", [("w1-00001.wal", first), ("w1-00002.wal", second)])
    assert {job.seed: len(t.attempts) for job, t in index.jobs.items()} == {0: 1, 1: 1}
    assert index.header == HEADER


def test_index_of_a_damaged_segment_reports_file_and_offset_and_goes_on():
    data = bytearray(file(HEADER, answered(1, 0), answered(1, 1)))
    data[len(encode(HEADER)) + 20] ^= 1
    index = index_journal("w1", [("w1-00001.wal", bytes(data))])
    assert list(index.jobs) == [Job(1, 1)]
    (report,) = index.reports
    assert "w1-00001.wal" in report
    assert str(len(encode(HEADER))) in report


def test_index_of_a_torn_segment_is_no_damage():
    index = index_journal("w1", [("w1-00001.wal", file(HEADER, answered(1, 0))[:-3])])
    assert index.jobs == {}
    assert index.reports == ()
    assert index.torn == ("w1-00001.wal",)


@pytest.mark.parametrize("data", [b"", encode(HEADER)[:10]])
def test_index_of_a_segment_without_a_header_takes_it_from_another(data):
    segments = [("w1-00001.wal", data), ("w1-00002.wal", file(HEADER, answered(1, 0)))]
    assert index_journal("w1", segments).header == HEADER
    assert index_journal("w1", segments[:1]).header is None


def test_index_of_a_segment_under_anothers_name_is_reported():
    index = index_journal("w2", [("w2-00001.wal", file(HEADER))])
    assert index.header is None
    assert "names the incarnation w1" in index.reports[0]


def test_index_of_a_newer_format_says_upgrade():
    newer = Header(
        incarnation="w1",
        process=PROCESS,
        node="n",
        claim=1,
        sweep_id="s",
        format_version=FORMAT_VERSION + 1,
    )
    with pytest.raises(RecordError, match=r"w1-00001\.wal.*upgrade"):
        index_journal("w1", [("w1-00001.wal", file(newer))])


def test_index_of_any_journal_cut_anywhere_recovers_only_attempts_that_were_written():
    data = file(*SMALL_JOURNAL)
    whole = index_journal("w1", [("w1-00001.wal", data)])
    for at in range(len(data)):
        found = index_journal("w1", [("w1-00001.wal", data[:at])])
        for job, known in found.jobs.items():
            assert all(a in whole.jobs[job].attempts for a in known.attempts)
            assert known.dead is None or known.dead == whole.jobs[job].dead


def test_unsealed_leaves_out_what_lies_before_a_published_seal_only():
    seal = SealFrame(seal="w1.00001", jobs={1: SeedSet.of_seeds([0, 1])})
    frames = [HEADER, answered(1, 0), dead(1, 1), answered(1, 2), seal, answered(1, 0, number=2)]
    index = index_journal("w1", [("w1-00001.wal", file(*frames))])
    left = unsealed(index, {"w1.00001"})
    assert {job.seed: [a.number for a in t.attempts] for job, t in left.items()} == {0: [2], 2: [1]}
    assert unsealed(index, set()).keys() == {Job(1, 0), Job(1, 1), Job(1, 2)}


def test_unsealed_when_a_seal_frame_was_written_twice_believes_either_copy():
    """The first copy's segment has lost the attempt that both copies speak for."""
    seal = SealFrame(seal="w1.00001", jobs={1: SeedSet.of_seeds([0, 1])})
    first = file(HEADER, answered(1, 1), seal)
    second = file(HEADER, answered(1, 0), seal)
    for segments in permutations([first, second]):
        named = [(f"w1-0000{i}.wal", data) for i, data in enumerate(segments)]
        assert unsealed(index_journal("w1", named), {"w1.00001"}) == {}


def test_merge_puts_the_answer_of_the_worker_that_got_furthest_first():
    far = trace(*(answered(1, 0, t, 2, incarnation="w9") for t in range(3)))
    near = trace(failed(1, 0, 0, 1), answered(1, 0, 0, 1, incarnation="w2"))
    for order in permutations([far, near]):
        first = [a for a in merge(order).attempts if a.turn == 0 and a.answer]
        assert [a.incarnation for a in first] == ["w9", "w2"]
        assert len(merge(order).attempts) == 5


def test_merge_of_a_continued_rollout_keeps_every_turn_of_both_workers():
    begun = trace(answered(1, 0, 0, incarnation="w2"))
    continued = trace(answered(1, 0, 1, incarnation="w9"))
    assert [a.turn for a in merge([continued, begun]).attempts] == [0, 1]


def test_read_journal_takes_the_segments_of_one_incarnation_in_their_order():
    async def main():
        disk = MemoryDisk()
        for name, frames in [
            ("w1-00001.wal", [HEADER, answered(1, 0)]),
            ("w1-100000.wal", [HEADER, dead(1, 0)]),
            ("w1-99999.wal", [HEADER, answered(1, 1)]),
            ("w1-x-00001.wal", [answered(1, 5)]),
            ("foreign.txt", []),
        ]:
            disk.create(name).write(file(*frames))
        assert await incarnations(disk) == ["w1", "w1-x"]
        assert sorted((await read_journal(disk, "w1")).jobs) == [Job(1, 0), Job(1, 1)]
        await delete_journal(disk, "w1")
        assert sorted(disk.files) == ["foreign.txt", "w1-x-00001.wal"]

    asyncio.run(main())
