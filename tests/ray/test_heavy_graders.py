"""Heavy Python graders over Ray Data give the verdict files that one process gives."""

import asyncio
import json
from pathlib import Path

import duckdb
import pytest

from runner.cli.main import main
from tests.support.finished_sweep import HARMLESS, THREAT, Ends, Writer, config
from tests.support.ray_head import RayHead

pytestmark = pytest.mark.ray

GRADER = """
import os

from runner import Record, Verdict, grader
from runner.grade.verdict import VerdictState


@grader("slow", version=1, heavy={heavy}, harmful=("bad",))
def slow(record: Record):
    if "odd" in record.text:
        raise ValueError("odd")
    outcome = "bad" if "affair" in record.text else "good"
    return Verdict(
        state=VerdictState.GRADED, outcome=outcome, harmful=outcome == "bad",
        details={{"process": os.getpid()}},
    )
"""


def test_heavy_grader_on_ray_grades_what_one_process_does_elsewhere(
    tmp_path: Path, joined: RayHead, capsys: pytest.CaptureFixture[str]
):
    writer = Writer(tmp_path / "s", config(seeds=8))
    cells = [c.number for c in writer.book.plan.cells]
    for seed in range(8):
        text = (THREAT, HARMLESS, "odd")[seed % 3]
        writer.publish({(c, seed): Ends(text=text) for c in cells})
    writer.release()

    def graded(*, heavy: bool, flags: tuple[str, ...]) -> dict[str, object]:
        (tmp_path / "mine.py").write_text(GRADER.format(heavy=heavy))
        (tmp_path / "mine.yaml").write_text(
            "graders:\n  - {name: slow, kind: python, use: 'mine.py:slow'}\n"
        )
        given = ["grade", str(writer.root), "--graders", str(tmp_path / "mine.yaml")]
        capsys.readouterr()
        assert main([*given, "--grader", "slow", "--json", *flags]) == 0
        out = capsys.readouterr().out  # Ray, which is the fixture's, may have printed before it
        return json.loads(out[out.index("{\n") :])["graders"][0]

    spread = graded(heavy=True, flags=("--workers", "2"))
    counts = spread["counts"]
    assert counts["states"]["graded"] == 12
    assert counts["states"]["judge_error"] == 4
    assert counts["harmful"] == 6
    files = f"{writer.root}/{spread['folder']}*.parquet"
    found = duckdb.sql(f"select distinct details->>'process' from '{files}' where state='graded'")
    import os

    assert str(os.getpid()) not in {row[0] for row in found.fetchall()}
    assert graded(heavy=True, flags=("--workers", "2"))["new_rows"] == 0
    here = graded(heavy=False, flags=())
    assert here["counts"] == counts
    query = "select job_key, state, outcome, harmful, reason from '{}' order by job_key"
    alone = f"{writer.root}/{here['folder']}*.parquet"
    assert alone != files
    assert duckdb.sql(query.format(files)).fetchall() == duckdb.sql(query.format(alone)).fetchall()
    assert asyncio.run(writer.store.list("verdicts/"))
