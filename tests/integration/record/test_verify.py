import argparse
import json
from dataclasses import replace

import pyarrow as pa
import pytest

from runner.cli import verify as command
from runner.core.errors import SweepStateError
from runner.core.seeds import SeedSet
from runner.record.compact import compact
from runner.record.entries import Publish, Shard
from runner.record.findings import Level
from runner.record.parts import encode_parts, read_parquet, to_parquet, without_jobs
from runner.record.schema import Kind
from runner.record.verify import verify
from tests.support.records import answered, cell_facts, failed
from tests.support.sweeps import SweepMaker


@pytest.fixture
def sweep(tmp_path):
    """Two publications: five answers and a dead letter."""
    maker = SweepMaker(tmp_path / "s")
    maker.publish(*(answered(1, seed, retries=seed) for seed in range(3)), failed(2, 0))
    maker.publish(answered(2, 1), answered(2, 2))
    return maker


def found(root, level=Level.VIOLATION):
    return sorted({f.code for f in verify(root).findings if f.level is level})


def shard_file(sweep, number=1, kind="transcripts"):
    return sweep.root / kind / f"w1.{number:05d}.parquet"


def test_verify_when_all_is_well_then_it_counts_and_finds_nothing(sweep):
    result = verify(sweep.root)

    assert result.findings == []
    assert result.ok
    assert (result.recorded, result.dead, result.files, result.entries) == (5, 1, 5, 3)
    assert result.rows == {Kind.TRANSCRIPTS: 5, Kind.FAILURES: 1, Kind.ATTEMPTS: 11}


def test_verify_when_a_bit_flips_then_the_checksum_is_wrong(sweep):
    path = shard_file(sweep)
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 1
    path.write_bytes(data)

    assert "checksum" in found(sweep.root)


def test_verify_when_a_shard_is_torn_then_it_says_so(sweep):
    path = shard_file(sweep)
    path.write_bytes(path.read_bytes()[:-100])

    assert found(sweep.root) == ["checksum", "recorded", "torn"]


def test_verify_when_a_shard_is_missing_then_it_and_its_jobs_are_named(sweep):
    shard_file(sweep).unlink()

    result = verify(sweep.root)

    assert {f.code for f in result.findings} == {"missing", "recorded"}
    assert "cell 1: seeds 0-2" in [f"{f.where}: {f.message[:9]}" for f in result.findings]


@pytest.mark.parametrize(("data", "rows"), [(b"PAR1 torn", "torn"), (None, "3 rows")])
def test_verify_when_a_foreign_table_lies_there_then_it_is_a_violation(sweep, data, rows):
    whole = shard_file(sweep).read_bytes()
    (sweep.root / "transcripts" / "deep").mkdir()
    (sweep.root / "transcripts" / "deep" / "mine.parquet").write_bytes(data or whole)

    (finding,) = verify(sweep.root).findings

    assert (finding.code, finding.level) == ("foreign", Level.VIOLATION)
    assert rows in finding.message


def test_verify_when_a_note_lies_there_then_it_is_a_warning(sweep):
    (sweep.root / "transcripts" / "README.md").write_text("mine")

    assert found(sweep.root, Level.WARNING) == ["foreign"]
    assert verify(sweep.root).ok


def test_verify_when_a_job_has_two_rows_in_two_shards_then_it_is_found(sweep):
    """The manifest's own guard refuses such an entry: it lies about the jobs."""
    parts = {p.kind: p for p in encode_parts([answered(1, 1, incarnation="w2")], cell_facts)}
    publish_lying(sweep, parts[Kind.TRANSCRIPTS], {9: SeedSet.parse("0")})

    assert found(sweep.root) == ["duplicate", "jobs", "recorded"]


def publish_lying(sweep, part, jobs, *, rows=None):
    import hashlib

    key = f"{part.kind}/lie.00001.parquet"
    (sweep.root / key).parent.mkdir(exist_ok=True)
    (sweep.root / key).write_bytes(part.data)
    shard = Shard(
        name=key,
        rows=part.rows if rows is None else rows,
        bytes=len(part.data),
        sha256=hashlib.sha256(part.data).hexdigest(),
        jobs=jobs,
    )
    sweep.append(Publish(**{part.kind: (shard,)}))


def test_verify_when_rows_are_fewer_than_the_manifest_says_then_it_is_found(sweep):
    part = next(iter(encode_parts([answered(5, 1)], cell_facts)))
    publish_lying(sweep, part, part.jobs, rows=2)

    assert found(sweep.root) == ["rows"]


def test_verify_when_a_key_does_not_follow_from_its_cell_then_it_is_found(sweep):
    part = next(iter(encode_parts([answered(5, 1), answered(5, 2)], cell_facts)))
    _, table = read_parquet(part.data)
    at = table.schema.get_field_index("cell_digest")
    column = pa.array(["cd" * 32, f"{5:064x}"], pa.large_string())
    wrong = table.set_column(at, table.schema.field(at), column)
    publish_lying(sweep, replace(part, data=to_parquet(wrong)), part.jobs)

    (finding,) = verify(sweep.root).findings

    assert finding.code == "job-key"
    assert finding.message.startswith("1 keys")


def test_verify_when_rows_of_another_table_lie_there_then_it_is_found(sweep):
    parts = {p.kind: p for p in encode_parts([answered(5, 1)], cell_facts)}
    wrong = replace(parts[Kind.ATTEMPTS], kind=Kind.FAILURES)
    publish_lying(sweep, wrong, {})

    assert found(sweep.root) == ["table"]


def test_verify_when_an_attempt_has_two_rows_then_it_is_found(sweep):
    parts = {p.kind: p for p in encode_parts([answered(1, 0)], cell_facts)}
    publish_lying(sweep, parts[Kind.ATTEMPTS], parts[Kind.ATTEMPTS].jobs)

    assert found(sweep.root) == ["duplicate-attempts"]


def test_verify_when_a_dead_letter_was_answered_later_then_all_is_well(sweep):
    sweep.owe_again({2: SeedSet.parse("0")})
    sweep.publish(answered(2, 0, incarnation="w2"))

    result = verify(sweep.root)

    assert result.findings == []
    assert result.dead == 0


def test_verify_when_a_won_entry_is_not_carried_out_then_it_is_only_information(sweep):
    sweep.publish(answered(3, 0), complete=False)
    sweep.seal(answered(3, 1))

    assert found(sweep.root, Level.INFO) == ["incomplete", "leftover"]
    assert verify(sweep.root).ok


def test_verify_when_rows_were_superseded_then_all_is_well(sweep):
    entry = sweep.publish(answered(3, 0), answered(4, 0))
    sweep.supersede(entry.transcripts[0], [answered(4, 0)], {3: SeedSet.parse("0")})

    assert verify(sweep.root).ok


@pytest.mark.parametrize("data", [b"", b"{}", b"no json"])
def test_verify_when_a_manifest_entry_is_damaged_then_it_is_found(sweep, data):
    (sweep.root / "manifest" / "00000002.json").write_bytes(data)

    assert found(sweep.root) == ["manifest"]


def test_verify_when_a_manifest_entry_is_missing_then_the_gap_is_found(sweep):
    (sweep.root / "manifest" / "00000002.json").unlink()

    assert found(sweep.root) == ["manifest-gap"]


def test_verify_when_a_snapshot_lies_then_it_is_found(sweep):
    sweep.snapshot()
    (path,) = (sweep.root / "manifest").glob("snapshot-*.json")
    assert verify(sweep.root).ok
    path.write_text(path.read_text().replace('"1":"0-2"', '"1":"0-1"'))

    assert found(sweep.root) == ["snapshot"]


def test_verify_when_compacted_files_are_stale_then_it_is_a_warning(sweep):
    compact(sweep.root)
    assert verify(sweep.root).findings == []
    next((sweep.root / "compacted").glob("transcripts-*.parquet")).unlink()

    assert found(sweep.root, Level.WARNING) == ["compacted"]


def test_verify_when_overlap_was_rewritten_then_all_is_well(sweep):
    parts = {p.kind: p for p in encode_parts([answered(1, 1), answered(6, 1)], cell_facts)}
    left = without_jobs(parts[Kind.TRANSCRIPTS].data, {1: SeedSet.parse("1")})
    assert left is not None
    publish_lying(sweep, left, left.jobs)

    assert verify(sweep.root).ok


def test_verify_when_there_is_no_sweep_then_it_says_so(tmp_path):
    with pytest.raises(SweepStateError, match="no manifest"):
        verify(tmp_path)


@pytest.mark.parametrize("damage", [False, True])
def test_command_when_run_then_exit_code_and_json_tell(sweep, capsys, damage):
    if damage:
        shard_file(sweep).unlink()

    code = command.run(argparse.Namespace(directory=str(sweep.root), json=True))

    assert code == (5 if damage else 0)
    printed = json.loads(capsys.readouterr().out)
    assert printed["ok"] is not damage
    assert printed["recorded"] == (2 if damage else 5)


def test_command_when_a_file_name_is_hostile_then_the_terminal_obeys_nothing(sweep, capsys):
    (sweep.root / "transcripts" / "a\x1b[2J\n.txt").write_text("")

    command.run(argparse.Namespace(directory=str(sweep.root), json=False))

    assert "\x1b" not in capsys.readouterr().out
