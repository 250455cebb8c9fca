import threading

import pytest

import runner
from runner.core.errors import RecordError, SweepStateError
from runner.core.seeds import SeedSet
from runner.record.compact import compact
from tests.support.records import answered, failed
from tests.support.sweeps import SweepMaker


@pytest.fixture
def sweep(tmp_path):
    return SweepMaker(tmp_path / "s")


def seeds(shards):
    return [sorted(shard.arrow(["seed"])["seed"].to_pylist()) for shard in shards]


def test_follow_when_published_then_shards_come_in_order_once(sweep):
    for seed in range(4):
        sweep.publish(answered(1, seed))

    assert seeds(runner.follow(sweep.root)) == [[0], [1], [2], [3]]


def test_follow_when_begun_again_from_each_cursor_then_exactly_the_rest_comes(sweep):
    for seed in range(3):
        sweep.publish(answered(1, seed), failed(2, seed))
    cursors = [None, *(shard.cursor for shard in runner.follow(sweep.root))]
    sweep.claim("n2")
    sweep.publish(answered(1, 3))

    for done, cursor in enumerate(cursors):
        assert seeds(runner.follow(sweep.root, cursor)) == [[n] for n in range(done, 4)]


def test_follow_when_a_part_is_not_published_then_it_does_not_come(sweep):
    sweep.seal(answered(1, 0))

    assert list(runner.follow(sweep.root)) == []


def test_follow_when_a_won_entry_is_not_carried_out_then_it_waits_and_keeps_order(sweep):
    first = sweep.publish(answered(1, 0), complete=False)
    sweep.publish(answered(1, 1))

    assert list(runner.follow(sweep.root)) == []
    sweep.complete(first)
    assert seeds(runner.follow(sweep.root)) == [[0], [1]]


def test_follow_when_a_shard_was_lost_then_it_says_so(sweep):
    entry = sweep.publish(answered(1, 0))
    sweep.snapshot()
    (sweep.root / entry.transcripts[0].name).unlink()

    with pytest.raises(RecordError, match="missing"):
        list(runner.follow(sweep.root))


def test_follow_when_compacted_then_nothing_changes(sweep):
    sweep.publish(answered(1, 0))
    (first,) = runner.follow(sweep.root)
    sweep.publish(answered(1, 1))
    compact(sweep.root)

    assert seeds(runner.follow(sweep.root)) == [[0], [1]]
    assert seeds(runner.follow(sweep.root, first.cursor)) == [[1]]


def test_follow_when_polling_then_it_ends_with_the_release(sweep):
    sweep.publish(answered(1, 0))
    shards = runner.follow(sweep.root, poll_s=0.01)

    got = [next(shards)]
    sweep.publish(answered(1, 1))
    sweep.release()
    got += list(shards)

    assert seeds(got) == [[0], [1]]


def test_follow_when_stopped_then_it_ends_without_a_release(sweep):
    stop = threading.Event()
    stop.set()

    assert list(runner.follow(sweep.root, poll_s=60, stop=stop)) == []


def test_follow_when_rows_are_superseded_then_a_new_reader_gets_the_rest_only(sweep):
    entry = sweep.publish(answered(1, 0), answered(2, 0))
    (seen,) = runner.follow(sweep.root)
    sweep.supersede(entry.transcripts[0], [answered(2, 0)], {1: SeedSet.parse("0")})
    sweep.publish(answered(3, 0))

    fresh = list(runner.follow(sweep.root))
    later = list(runner.follow(sweep.root, seen.cursor))

    assert [list(shard.jobs) for shard in fresh] == [[2], [3]]
    assert [list(shard.jobs) for shard in later] == [[3]]


def test_follow_when_superseded_rest_is_still_owed_to_a_cursor_then_it_comes(sweep):
    first = sweep.publish(answered(1, 0), answered(2, 0))
    sweep.publish(answered(4, 0))
    sweep.supersede(first.transcripts[0], [answered(2, 0)], {1: SeedSet.parse("0")})

    one = next(runner.follow(sweep.root))

    assert list(one.jobs) == [4]
    assert [list(s.jobs) for s in runner.follow(sweep.root, one.cursor)] == [[2]]


def test_follow_when_the_cursor_is_of_another_sweep_or_table_then_it_is_refused(sweep, tmp_path):
    sweep.publish(answered(1, 0))
    (shard,) = runner.follow(sweep.root)
    other = SweepMaker(tmp_path / "other", nonce="n9")

    with pytest.raises(SweepStateError, match="not of the transcripts"):
        list(runner.follow(other.root, shard.cursor))
    with pytest.raises(SweepStateError, match="not of the failures"):
        list(runner.follow(sweep.root, shard.cursor, table="failures"))


@pytest.mark.parametrize("cursor", ["", "x", "{}", "[]"])
def test_follow_when_the_cursor_is_none_then_it_is_refused(sweep, cursor):
    sweep.publish(answered(1, 0))

    with pytest.raises(RecordError, match="cursor"):
        list(runner.follow(sweep.root, cursor))
