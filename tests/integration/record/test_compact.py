import argparse
import fcntl
import json

import pyarrow.parquet as pq
import pytest

from runner.cli import compact as command
from runner.core.errors import RecordError, SweepStateError
from runner.core.seeds import SeedSet
from runner.record.compact import compact
from tests.support.records import answered, failed
from tests.support.sweeps import SweepMaker


@pytest.fixture
def sweep(tmp_path):
    maker = SweepMaker(tmp_path / "s")
    for seed in range(4):
        maker.publish(answered(1, seed), failed(2, seed))
    return maker


def tree(folder):
    return {p.name: p.read_bytes() for p in folder.iterdir()}


def rows(root, kind="transcripts"):
    paths = sorted((root / "compacted").glob(f"{kind}-*.parquet"))
    return [sorted(pq.ParquetFile(p).read()["seed"].to_pylist()) for p in paths]


def test_compact_when_shards_are_small_then_one_file_per_table_holds_them(sweep):
    before = tree(sweep.root / "transcripts")

    done = compact(sweep.root)

    assert sorted((f.kind, f.rows, len(f.shards)) for f in done.written) == [
        ("attempts", 16, 4),
        ("failures", 4, 4),
        ("transcripts", 4, 4),
    ]
    assert rows(sweep.root) == [[0, 1, 2, 3]]
    assert tree(sweep.root / "transcripts") == before


def test_compact_when_run_twice_then_nothing_changes(sweep):
    compact(sweep.root)
    before = tree(sweep.root / "compacted")

    done = compact(sweep.root)

    assert (done.written, done.deleted) == ((), ())
    assert tree(sweep.root / "compacted") == before


def test_compact_when_the_target_is_reached_then_a_new_file_begins(sweep):
    compact(sweep.root, target_bytes=1)

    assert sorted(rows(sweep.root)) == [[0], [1], [2], [3]]


def test_compact_when_more_was_published_then_full_files_stay_and_the_tail_is_written_again(sweep):
    full = compact(sweep.root, target_bytes=1).written
    sweep.publish(answered(1, 9))

    added = compact(sweep.root, target_bytes=10**9)

    assert all(file in full for file in added.kept)
    assert sorted(seed for found in rows(sweep.root) for seed in found) == [0, 1, 2, 3, 9]
    assert not (sweep.root / ".tmp" / "compact-transcripts.parquet").exists()


def test_compact_when_shards_were_superseded_then_their_rows_leave(sweep):
    entry = sweep.publish(answered(3, 0), answered(4, 7))
    compact(sweep.root)
    sweep.supersede(entry.transcripts[0], [answered(4, 7)], {3: SeedSet.parse("0")})

    compact(sweep.root)

    assert rows(sweep.root) == [[0, 1, 2, 3, 7]]


def test_compact_when_a_killed_run_left_files_then_only_its_own_are_deleted(sweep):
    folder = sweep.root / "compacted"
    folder.mkdir()
    (folder / "transcripts-0123456789ab.parquet").write_bytes(b"left")
    (folder / "mine.parquet").write_bytes(b"foreign")

    done = compact(sweep.root)

    assert done.deleted == ("compacted/transcripts-0123456789ab.parquet",)
    assert (folder / "mine.parquet").exists()


def test_compact_when_another_one_runs_then_it_refuses(sweep):
    (sweep.root / ".tmp").mkdir(exist_ok=True)
    with (sweep.root / ".tmp" / "compact.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)

        with pytest.raises(SweepStateError, match="another"):
            compact(sweep.root)


def test_compact_when_a_shard_is_torn_then_it_names_it(sweep):
    path = sweep.root / "transcripts" / "w1.00002.parquet"
    path.write_bytes(path.read_bytes()[:50])

    with pytest.raises(RecordError, match=r"w1\.00002"):
        compact(sweep.root)


def test_compact_when_there_is_no_sweep_then_it_writes_nothing(tmp_path):
    with pytest.raises(SweepStateError, match="no manifest"):
        compact(tmp_path)

    assert list(tmp_path.iterdir()) == []


def test_command_when_run_then_it_prints_what_it_wrote(sweep, capsys):
    args = argparse.Namespace(directory=str(sweep.root), target_mb=128, json=True)

    assert command.run(args) == 0

    assert len(json.loads(capsys.readouterr().out)["written"]) == 3
