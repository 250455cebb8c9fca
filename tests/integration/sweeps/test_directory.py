"""What lies in a sweep directory that should not: torn, foreign, newer, full, read-only."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from runner.config.load import load_config
from runner.record.parts import encode_parts
from runner.record.posix_store import PosixStore
from runner.record.seals import write_seal
from runner.scenarios.build import build_book
from tests.support.commands import Bench, no_traceback
from tests.support.records import answered
from tests.support.standin import StandIn

FOLDERS = ("parts", "journal", "plan", "failures", "attempts", "events", "manifest", "transcripts")


@pytest.mark.parametrize("folder", FOLDERS)
def test_foreign_files_are_left_alone_and_reported(bench: Bench, folder: str) -> None:
    bench.write()
    bench.ok("sweep", "c.yaml")
    foreign = {"notes.txt": b"hello", "x.json": b"{", "x.wal": b"junk", "y.parquet": b"PAR1xx"}
    (bench.sweep / folder).mkdir(exist_ok=True)
    for name, data in foreign.items():
        (bench.sweep / folder / name).write_bytes(data)
    ended = bench.run("sweep", "c.yaml", "seeds=3")
    no_traceback(ended)
    assert ended.code == 0, ended
    for name, data in foreign.items():
        assert (bench.sweep / folder / name).read_bytes() == data
    verified = bench.run("verify", "outputs/s")
    no_traceback(verified)
    assert "notes.txt" in verified.text or folder in {"events", "plan", "journal", "manifest"}
    if folder in {"transcripts", "failures", "attempts"}:
        assert verified.code == 5


def _torn(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize(
    ("pattern", "says"),
    [
        ("manifest/0*.json", "manifest/"),
        ("plan/*.parquet", "plan/"),
        ("sweep.yaml", "sweep.yaml"),
    ],
)
def test_torn_file_of_ours_is_named_and_nothing_is_lost(
    bench: Bench, api: StandIn, pattern: str, says: str
) -> None:
    bench.write()
    bench.ok("sweep", "c.yaml")
    victim = min(bench.sweep.glob(pattern))
    kept = bench.folder / "kept"
    shutil.copy(victim, kept)
    _torn(victim)
    ended = bench.run("resume", "outputs/s")
    no_traceback(ended)
    assert ended.code == 5, ended
    assert says in ended.err
    shutil.copy(kept, victim)
    bench.ok("resume", "outputs/s")
    assert api.stats()["total"] == 4


def test_torn_shard_is_found_by_verify(bench: Bench) -> None:
    bench.write()
    bench.ok("sweep", "c.yaml")
    _torn(next((bench.sweep / "transcripts").glob("*.parquet")))
    ended = bench.run("verify", "outputs/s")
    no_traceback(ended)
    assert ended.code == 5


def test_lost_shard_when_all_is_recorded_is_said_and_not_called_done(
    bench: Bench, api: StandIn
) -> None:
    bench.write()
    bench.ok("sweep", "c.yaml")
    for shard in (bench.sweep / "transcripts").glob("*.parquet"):
        shard.unlink()
    ended = bench.run("resume", "outputs/s")
    no_traceback(ended)
    assert ended.code == 5, ended
    assert "the rows of 4 jobs are not there" in ended.err
    assert "runner verify outputs/s" in ended.err
    assert api.stats()["total"] == 4


def test_resume_with_another_output_is_refused(bench: Bench, api: StandIn) -> None:
    bench.write()
    bench.ok("sweep", "c.yaml")
    before = (bench.sweep / "sweep.yaml").read_bytes()
    ended = bench.run("resume", "outputs/s", "output=elsewhere")
    no_traceback(ended)
    assert ended.code == 2, ended
    assert "goes on where it lies, in outputs/s" in ended.err
    assert (bench.sweep / "sweep.yaml").read_bytes() == before
    assert api.stats()["total"] == 4


def test_directory_of_a_newer_runner_is_refused(bench: Bench) -> None:
    bench.write()
    bench.ok("sweep", "c.yaml")
    entry = max((bench.sweep / "manifest").glob("0*.json"))
    fields = json.loads(entry.read_text())
    entry.write_text(json.dumps(fields | {"schema_version": 99}))
    ended = bench.run("sweep", "c.yaml", "seeds=3")
    no_traceback(ended)
    assert ended.code == 5
    assert "newer runner" in ended.err


def _newer_snapshot(sweep: Path) -> None:
    path = max((sweep / "manifest").glob("snapshot-*.json"))
    path.write_text(json.dumps(json.loads(path.read_text()) | {"schema_version": 99}))


def test_snapshot_of_a_newer_runner_stops_before_any_call(bench: Bench, api: StandIn) -> None:
    bench.write()
    bench.ok("sweep", "c.yaml", "engine.snapshot_every=1")
    _newer_snapshot(bench.sweep)
    before = {p: p.read_bytes() for p in bench.sweep.glob("transcripts/*")}
    ended = bench.run("sweep", "c.yaml", "seeds=3")
    no_traceback(ended)
    assert ended.code == 5, ended
    assert "newer" in ended.err
    assert api.stats()["total"] == 4
    assert {p: p.read_bytes() for p in bench.sweep.glob("transcripts/*")} == before


def test_resolved_configuration_of_a_newer_runner_is_refused(bench: Bench) -> None:
    bench.write()
    bench.ok("sweep", "c.yaml")
    path = bench.sweep / "sweep.yaml"
    fields = yaml.safe_load(path.read_text())
    fields["resolved"]["version"] = 99
    path.write_text(yaml.safe_dump(fields))
    ended = bench.run("resume", "outputs/s")
    assert ended.code == 5
    assert "newer runner" in ended.err


def test_sweep_over_a_configuration_of_a_newer_runner_does_not_overwrite_it(bench: Bench) -> None:
    bench.write()
    bench.ok("sweep", "c.yaml")
    path = bench.sweep / "sweep.yaml"
    newer = path.read_text().replace("version: 1", "version: 99", 1)
    path.write_text(newer)
    ended = bench.run("sweep", "c.yaml", "seeds=3")
    assert ended.code == 5
    assert "newer runner" in ended.err
    assert path.read_text() == newer


@pytest.mark.parametrize("damage", ["torn", "gone"])
def test_sweep_writes_a_damaged_resolved_configuration_again(bench: Bench, damage: str) -> None:
    bench.write()
    bench.ok("sweep", "c.yaml")
    path = bench.sweep / "sweep.yaml"
    whole = path.read_text()
    if damage == "torn":
        path.write_text(whole[: len(whole) // 2] + "[")
    else:
        path.unlink()
    verified = bench.ok("verify", "outputs/s")
    assert "sweep.yaml" in verified.out
    bench.ok("sweep", "c.yaml", "seeds=3")
    assert bench.states() == {"answered": 6}
    assert len({row["sweep_id"] for row in bench.rows()}) == 1
    bench.ok("resume", "outputs/s")


def test_plan_that_is_not_the_one_of_the_manifest_is_found_by_verify(bench: Bench) -> None:
    bench.write()
    bench.ok("sweep", "c.yaml")
    table = bench.sweep / "plan/00001.parquet"
    bench.ok("sweep", "c.yaml", "seeds=3")
    table.write_bytes((bench.sweep / "plan/00002.parquet").read_bytes())
    ended = bench.run("verify", "outputs/s")
    assert ended.code == 5
    assert "plan/00001.parquet" in ended.out


def test_parts_without_a_journal_are_published_before_anything_is_leased(
    bench: Bench, api: StandIn
) -> None:
    """What a node sealed that is lost, with the journal on its disk."""
    bench.write()
    book = build_book(load_config("c.yaml", []).config)
    rows = [answered(cell.number, 0) for cell in book.plan.cells]
    store = PosixStore(bench.sweep)
    asyncio.run(write_seal(store, "w0-lost.00001", encode_parts(rows, book.facts)))
    bench.ok("sweep", "c.yaml")
    assert api.stats()["total"] == 2
    assert bench.states() == {"answered": 4}
    bench.ok("verify", "outputs/s")


@pytest.mark.parametrize("below", ["", "/s"])
def test_output_that_is_a_file_is_refused(bench: Bench, api: StandIn, below: str) -> None:
    path = bench.write(output=f"place{below}")
    (bench.folder / "place").write_text("a file")
    ended = bench.run("sweep", path.name)
    no_traceback(ended)
    assert ended.code == 6
    assert "place: File exists; a file lies where a folder is needed" in ended.err
    assert (bench.folder / "place").read_text() == "a file"
    assert api.stats()["total"] == 0


def test_output_that_holds_other_things_is_refused(bench: Bench, api: StandIn) -> None:
    bench.write(output=".")
    for command in ("sweep", "plan"):
        ended = bench.run(command, "c.yaml")
        no_traceback(ended)
        assert ended.code == 3
        assert "not empty and no sweep (c.yaml" in ended.err
    assert [p.name for p in bench.folder.iterdir()] == ["c.yaml"]
    assert api.stats()["total"] == 0


_FULL = """
set -e
mount -t tmpfs -o size=400k tmpfs {folder}
ls {folder} > /dev/null
set +e
{python} -c '{impatient}' sweep {config} output={folder}/s engine.seal_rows=50
echo "ended with $?"
mount -o remount,size=64m {folder}
{python} -m runner resume {folder}/s
echo "ended with $?"
{python} -m runner verify {folder}/s
echo "ended with $?"
"""
_IMPATIENT = """
from runner.cli.main import main
from runner.dispatch import coordinator, spec
spec.DISK_PATIENCE_S = coordinator.LATE_S = 2.0
raise SystemExit(main())
"""
"""`python -m runner`, but that nobody waits half a minute for a disk to mend itself."""


def test_disk_full_during_a_run_stops_and_resumes_after_space_is_made(
    bench: Bench, api: StandIn, tmp_path: Path
) -> None:
    unshare = ["unshare", "-m"] if os.geteuid() == 0 else ["unshare", "-rm"]
    if subprocess.run([*unshare, "true"], capture_output=True, check=False).returncode:
        pytest.skip("needs a mount namespace: root, or user namespaces")
    bench.write(seeds=400, engine={"heartbeat_s": 0.1, "publish_s": 0.1, "grace_s": 1.0})
    api.configure(answer_bytes=6000)
    folder = tmp_path / "small"
    folder.mkdir()
    script = _FULL.format(
        folder=folder,
        python=sys.executable,
        config=bench.folder / "c.yaml",
        impatient=_IMPATIENT,
    )
    done = subprocess.run(
        [*unshare, "bash", "-c", script], capture_output=True, text=True, timeout=200, check=False
    )
    said = done.stdout + done.stderr
    codes = [line for line in said.splitlines() if line.startswith("ended with")]
    assert codes == ["ended with 6", "ended with 0", "ended with 0"], said
    assert "No space left" in said
    assert "800 answered" in said
    assert "Traceback" not in said


def test_changed_analysis_of_a_finished_sweep_is_written_down(bench: Bench, api: StandIn) -> None:
    bench.write()
    bench.ok("sweep", "c.yaml")
    asked = {"name": "tone", "a": {"tone": "polite"}, "b": {"tone": "blunt"}}
    bench.write(analysis={"contrasts": [asked]})
    assert "writing down the changed configuration" in bench.ok("sweep", "c.yaml").text
    written = yaml.safe_load((bench.sweep / "sweep.yaml").read_text())
    assert [c["name"] for c in written["analysis"]["contrasts"]] == ["tone"]
    assert "writing down" not in bench.ok("sweep", "c.yaml").text
    assert api.stats()["total"] == 4


@pytest.mark.parametrize(
    ("contrast", "says"),
    [
        ({"a": {"tone": "kind"}, "b": {"tone": "blunt"}}, "a.tone: no level 'kind'"),
        (
            {"a": {"tone": "polite"}, "b": {"tone": "blunt"}, "grader": "nobody"},
            "no scenario uses the grader 'nobody'",
        ),
    ],
)
def test_contrast_that_nothing_can_answer_is_refused_before_anything_is_sent(
    bench: Bench, api: StandIn, contrast: dict[str, object], says: str
) -> None:
    bench.write(analysis={"contrasts": [{"name": "tone"} | contrast]})
    ended = bench.run("sweep", "c.yaml")
    assert ended.code == 2, ended
    assert says in ended.err
    assert api.stats()["total"] == 0
    assert bench.run("sweep", "c.yaml", "analysis={}").code == 0
