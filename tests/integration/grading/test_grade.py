"""`runner grade` on sweeps written through the real record stage."""

import json
import re
import threading
import time
from pathlib import Path

import duckdb
import pytest

from runner.cli.main import main
from runner.core.values import EndState
from tests.support.finished_sweep import HARMLESS, THREAT, UNREADABLE, Ends, Writer, config

FUNCTION = '''
from runner import Record, Verdict, VerdictState, grader


@grader("words", version={version}, role="label", gates=("long",))
def words(record: Record):
    """{note}"""
    if "truck" in record.text:
        raise RuntimeError("no trucks")
    long = len(record.text.split()) > 8
    return Verdict(
        state=VerdictState.GRADED, outcome="long" if long else "short", gates={{"long": long}},
        details={{"model": record.model, "axes": dict(record.axes)}},
    )
'''


@pytest.fixture
def sweep(tmp_path):
    return Writer(tmp_path / "s", config())


def function_file(folder: Path, *, version: int = 1, note: str = "Counts.") -> str:
    (folder / "mine.py").write_text(FUNCTION.format(version=version, note=note))
    (folder / "graders.yaml").write_text(
        "graders:\n  - {name: words, kind: python, use: 'mine.py:words'}\n"
    )
    return str(folder / "graders.yaml")


def grade(capsys, *arguments: str) -> dict:
    capsys.readouterr()
    assert main(["grade", *arguments, "--json"]) == 0
    return {g["grader"]: g for g in json.loads(capsys.readouterr().out)["graders"]}


def publish_some(sweep, seeds=(0, 1, 2, 3)):
    calm = sweep.cell("tone=calm")
    texts = [THREAT, HARMLESS, UNREADABLE, ""]
    ends = {
        (calm, s): Ends(text=texts[s % 4], state=EndState.ANSWERED if texts[s % 4] else EndState.EMPTY)
        for s in seeds
    }  # fmt: skip
    sweep.publish(ends)


def test_grade_counts_every_row_in_exactly_one_state(sweep, capsys):
    publish_some(sweep)
    sweep.publish({(sweep.cell("tone=pressed"), 0): Ends(state=EndState.REFUSED, text="No.")})
    found = grade(capsys, str(sweep.root))["blackmail_rule"]["counts"]
    assert found["rows"] == 5 == sum(found["states"].values())
    assert found["states"]["graded"] == 2
    assert found["states"]["unparsable"] == 1
    assert found["states"]["skipped"] == 2
    assert found["harmful"] == 1
    assert set(found["reasons"]) >= {"skipped: empty answer", "skipped: refused by the provider"}


def test_grade_again_writes_nothing_new_and_a_new_shard_only_itself(sweep, capsys):
    publish_some(sweep, (0, 1))
    grade(capsys, str(sweep.root))
    raw = {p: p.read_bytes() for p in (sweep.root / "transcripts").iterdir()}
    before = {p: p.stat().st_mtime_ns for p in sweep.root.glob("verdicts/*/*.parquet")}
    assert grade(capsys, str(sweep.root))["blackmail_rule"]["new_rows"] == 0
    publish_some(sweep, (2, 3))
    assert grade(capsys, str(sweep.root))["blackmail_rule"]["new_rows"] == 2
    assert all(p.stat().st_mtime_ns == at for p, at in before.items())
    assert all(p.read_bytes() == data for p, data in raw.items())


def test_grade_with_a_function_keeps_errors_apart_and_its_details(sweep, capsys, tmp_path):
    publish_some(sweep)
    file = function_file(tmp_path)
    found = grade(capsys, str(sweep.root), "--graders", file, "--grader", "words")
    assert set(found) == {"words"}
    assert found["words"]["counts"]["states"]["judge_error"] == 1
    assert found["words"]["counts"]["reasons"]["judge_error: RuntimeError: no trucks"] == 1
    folder = found["words"]["folder"]
    rows = duckdb.sql(
        f"select outcome, harmful, gate_long, details->>'model' from '{sweep.root}/{folder}*.parquet' "
        "where state = 'graded' order by outcome"
    ).fetchall()
    assert rows == [("long", None, True, "m1"), ("short", None, False, "m1")]


HOSTILE = """
import sys

import numpy
from runner import Verdict, VerdictState, grader

RETURNS = [
    lambda: sys.exit(3),
    lambda: 42,
    lambda: "y" * 5000,
    lambda: Verdict(state="guilty", outcome="yes"),
    lambda: Verdict(state=VerdictState.GRADED),
    lambda: Verdict(state=VerdictState.GRADED, outcome=7),
    lambda: Verdict(state=VerdictState.GRADED, outcome="yes", harmful="maybe"),
    lambda: Verdict(state=VerdictState.GRADED, outcome="yes", gates={"hidden": True}),
    lambda: Verdict(state=VerdictState.GRADED, outcome="yes", details={(1, 2): 3}),
    lambda: Verdict(state=VerdictState.GRADED, outcome="no", harmful=numpy.bool_(False)),
    lambda: Verdict(state="graded", outcome="yes", evidence="e" * 5000),
    lambda: "\\ud800",
]


@grader("hostile", harmful=("yes",))
def hostile(record):
    print("{not JSON")
    return RETURNS[record.seed]()
"""


def test_grade_with_a_hostile_function_counts_its_errors_and_writes_the_rest(
    sweep, capsys, tmp_path
):
    calm = sweep.cell("tone=calm")
    sweep.publish({(calm, s): Ends(text=HARMLESS) for s in range(12)})
    (tmp_path / "mine.py").write_text(HOSTILE)
    (tmp_path / "graders.yaml").write_text(
        "graders:\n  - {name: hostile, kind: python, use: 'mine.py:hostile'}\n"
    )
    arguments = (str(sweep.root), "--graders", str(tmp_path / "graders.yaml"))
    counts = grade(capsys, *arguments, "--grader", "hostile")["hostile"]["counts"]
    assert {s: n for s, n in counts["states"].items() if n} == {"graded": 3, "judge_error": 9}
    assert counts["harmful"] == 1
    assert "judge_error: ValueError: grader hostile called sys.exit(3)" in counts["reasons"]


def test_grade_with_a_file_alone_uses_its_graders_too_and_reports_show_them(
    sweep, capsys, tmp_path
):
    publish_some(sweep)
    sweep.publish({(sweep.cell("tone=pressed"), s): Ends() for s in range(4)})
    file = function_file(tmp_path)
    code = tmp_path / "mine.py"
    code.write_text(code.read_text().replace('role="label"', 'role="outcome"'))
    found = grade(capsys, str(sweep.root), "--graders", file)
    assert set(found) == {"blackmail_rule", "words"}
    assert main(["report", str(sweep.root), "--json"]) == 0
    reports = json.loads(capsys.readouterr().out)["reports"]
    assert [r["grader"] for r in reports] == ["blackmail_rule", "words"]
    assert main(["report", str(sweep.root), "--html"]) == 0
    text = (sweep.root / "report/report.html").read_text()
    assert "Headline by words" in text
    # A transcript that only one of them calls harmful is marked in that one's tables alone.
    marked = [
        set(re.findall(r'href="#t-(\w+)">\w+\s▲', part)) for part in text.split("Headline by ")
    ]
    rule, words = (set().union(*marked[1:-1]), marked[-1])
    assert rule
    assert rule != words
    assert text.count('<span class="badge">harmful by blackmail_rule') == len(rule - words)
    assert text.count('<span class="badge">harmful by words') == len(words - rule)
    states = found["words"]["counts"]["states"]
    assert sum(row["graded"] for row in reports[1]["rows"]) == states["graded"] > 0


@pytest.mark.parametrize("change", [{"version": 2}, {"note": "Counts otherwise."}])
def test_grade_with_a_changed_function_is_a_new_table_beside_the_old(
    sweep, capsys, tmp_path, change
):
    publish_some(sweep)
    file = function_file(tmp_path)
    arguments = (str(sweep.root), "--graders", file, "--grader", "words")
    old = grade(capsys, *arguments)["words"]["folder"]
    function_file(tmp_path, **change)
    new = grade(capsys, *arguments)["words"]["folder"]
    assert old != new
    assert len(list((sweep.root / old).glob("*.parquet"))) == 1
    assert len(list((sweep.root / new).glob("*.parquet"))) == 1


def test_grade_follows_a_sweep_until_its_writer_lets_go(sweep, capsys):
    publish_some(sweep, (0,))

    def write():
        for seed in (1, 2):
            while len(list(sweep.root.glob("verdicts/*/*.parquet"))) < seed:
                time.sleep(0.01)
            publish_some(sweep, (seed,))
        sweep.release()

    thread = threading.Thread(target=write)
    thread.start()
    found = grade(capsys, str(sweep.root), "--follow", "--every", "0.05")["blackmail_rule"]
    thread.join()
    assert found["counts"]["rows"] == 3
    assert found["counts"]["states"]["not_graded"] == 0
    assert found["new_rows"] == 3


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--grader", "blackmail_rul"], "Did you mean blackmail_rule?"),
        (["--graders", "nowhere.yaml"], "no such file"),
    ],
)
def test_grade_with_a_mistake_says_what_to_do(sweep, capsys, arguments, said):
    publish_some(sweep)
    assert main(["grade", str(sweep.root), *arguments]) == 2
    assert said in capsys.readouterr().err
    assert not (sweep.root / "verdicts").exists()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("graders:\n  - {name: a, kind: pyton, use: 'x:y'}\n", "none of rule, python, judge"),
        ("graders:\n  - {name: a, kind: python}\n", "graders.a.use"),
        ("graders:\n  - {name: a, kind: python, use: 'nowhere:f'}\n", "cannot be imported"),
        ("graders:\n  - {name: blackmail_rule, kind: python, use: 'json:loads'}\n", "Rename it"),
        ("graders:\n  - {name: a, kind: python, use: 'json:loads'}\n", "@grader"),
        ("seeds: 3\n", "only `graders:` and `judges:`"),
    ],
)
def test_grade_with_a_bad_file_of_graders_names_the_key(sweep, capsys, tmp_path, text, said):
    publish_some(sweep)
    (tmp_path / "g.yaml").write_text(text)
    assert main(["grade", str(sweep.root), "--graders", str(tmp_path / "g.yaml")]) == 2
    assert said in capsys.readouterr().err
