import subprocess
import sys
from pathlib import Path

import pytest

import runner
from runner.core.errors import RecordError, SweepStateError
from runner.record.compact import compact
from tests.support.records import answered, failed
from tests.support.sweeps import SweepMaker


@pytest.fixture
def sweep(tmp_path):
    return SweepMaker(tmp_path / "s")


def ids(table):
    return sorted(table["seed"].to_pylist())


def test_read_when_published_then_every_library_sees_the_rows(sweep):
    sweep.publish(answered(1, 0), answered(1, 1), failed(1, 2))
    sweep.publish(answered(1, 3))

    reader = runner.read(sweep.root)

    assert ids(reader.arrow().to_table()) == [0, 1, 3]
    assert sorted(reader.duckdb().project("seed").fetchall()) == [(0,), (1,), (3,)]
    assert reader.polars().select("seed").collect()["seed"].sort().to_list() == [0, 1, 3]
    assert runner.read(sweep.root, "failures").arrow().count_rows() == 1
    assert runner.read(sweep.root, "attempts").arrow().count_rows() == 6


def test_read_when_nothing_is_published_then_tables_are_empty_with_their_columns(sweep):
    reader = runner.read(sweep.root)

    assert reader.arrow().count_rows() == 0
    assert reader.duckdb().fetchall() == []
    assert "messages" in reader.duckdb().columns
    assert "messages" in reader.polars().collect_schema().names()


def test_read_when_more_is_published_then_the_same_reader_sees_it(sweep):
    reader = runner.read(sweep.root)
    sweep.publish(answered(1, 0))

    assert len(reader.paths()) == 1


def test_read_when_foreign_and_unpublished_files_lie_there_then_they_are_not_read(sweep):
    sweep.publish(answered(1, 0))
    sweep.publish(answered(1, 1), complete=False)
    sweep.seal(answered(1, 2))
    (sweep.root / "transcripts" / "torn.parquet").write_bytes(b"PAR1 torn")

    assert ids(runner.read(sweep.root).arrow().to_table()) == [0]


def test_read_when_compacted_is_asked_for_then_rows_are_the_same(sweep):
    sweep.publish(answered(1, 0))
    sweep.publish(answered(1, 1))
    compact(sweep.root)
    sweep.publish(answered(1, 2))

    reader = runner.read(sweep.root, compacted=True)

    assert ids(reader.arrow().to_table()) == [0, 1, 2]
    assert [Path(p).parent.name for p in reader.paths()] == ["compacted", "transcripts"]


def test_read_when_there_is_no_manifest_then_the_folder_is_read_as_a_glob(sweep, tmp_path):
    sweep.publish(answered(1, 0))
    (tmp_path / "copy").mkdir()
    (sweep.root / "transcripts").rename(tmp_path / "copy" / "transcripts")

    assert ids(runner.read(tmp_path / "copy").arrow().to_table()) == [0]


@pytest.mark.parametrize(
    ("directory", "table", "error"),
    [
        ("s", "rows", RecordError("no table of a sweep")),
        ("nowhere", "transcripts", SweepStateError("no such directory")),
    ],
)
def test_read_when_asked_for_what_is_not_there_then_it_says_so(
    sweep, tmp_path, directory, table, error
):
    with pytest.raises(type(error), match=str(error)):
        runner.read(tmp_path / directory, table)


def test_import_when_only_the_package_is_imported_then_no_heavy_library_is():
    code = (
        "import sys, runner; assert 'pyarrow' not in sys.modules; runner.read; "
        "assert not {'ray', 'duckdb', 'polars', 'anthropic'} & set(sys.modules)"
    )

    subprocess.run([sys.executable, "-c", code], check=True)
