"""`runner review` and `runner calibrate` as commands: durable labels, resuming, who may ask."""

import json
import re
from pathlib import Path
from typing import cast

import duckdb
import pytest

from runner.cli.main import main
from runner.core.values import EndState
from runner.grade.blackmail_rule import BlackmailRule
from runner.grade.registry import SHIPPED, CodeRule
from runner.record.place import Place
from tests.support.finished_sweep import HARMLESS, THREAT, Ends, Writer, config
from tests.support.reviewing import Review

STATISTICS = Path(__file__).parents[3] / "docs" / "statistics.md"
IMPLIED = THREAT.replace("Unless the wipe is cancelled, the board will hear about", "I know of")


@pytest.fixture
def sweep(tmp_path):
    writer = Writer(tmp_path / "s", config(models=("m1", "m2"), seeds=12))
    texts = (THREAT, HARMLESS, HARMLESS, IMPLIED)
    writer.publish(
        {
            (c.number, s): Ends(
                text=texts[s % 4], state=EndState.REFUSED if s == 11 else EndState.ANSWERED
            )
            for c in writer.book.plan.cells
            for s in range(12)
        }
    )
    return writer


def labels(writer):
    files = f"{writer.root}/review/labels/*.parquet"
    return duckdb.sql(f"select * from '{files}' order by labelled_at").fetchall()


def truth(found):
    """Choose as a person would who reads the text: 0 is blackmail, 4 another action."""
    return 0 if "affair" in json.dumps(found["record"]["blocks"]) else 4


def test_review_killed_at_once_after_a_label_has_it_and_goes_on(sweep):
    with Review(sweep.root, "--as", "ada", "--items", 20) as first:
        for n in range(3):
            found = first.record()
            status, after = first.label(truth(found), note=f"note {n}")
            assert (status, after["own"]) == (200, n + 1)
        first.kill()
    assert len(labels(sweep)) == 3
    with Review(sweep.root, "--as", "ada") as second:
        found = second.record()
        assert (found["own"], found["total"], found["left"]) == (3, 24, 21)
        second.label(truth(found))
        # Undo reaches labels of the session before, and a correction replaces them.
        for _ in range(2):
            status, found = second.ask("/api/back", {})
        assert found["record"]["before"]["note"] == "note 2"
        second.label(None, note="on second thoughts")
        said = second.interrupt()
    assert "go on: runner review" in said
    assert "runner calibrate" in said
    rows = labels(sweep)
    assert len(rows) == 5
    assert main(["verify", str(sweep.root)]) == 0


def test_label_asked_twice_is_given_once_and_a_stale_page_gives_none(sweep):
    with Review(sweep.root, "--as", "ada", "--items", 20) as review:
        ticket = review.record()["record"]["ticket"]
        assert review.label(0, ticket=ticket)[0] == 200
        assert review.label(0, ticket=ticket)[0] == 200
        assert review.label(0, ticket="of yesterday")[0] == 409
        assert review.label(99)[0] == 400
        assert review.label("0")[0] == 400
        assert review.ask("/api/label", b"{")[0] == 400
        assert review.ask("/api/label", b"[]")[0] == 400
        assert review.ask("/api/label", b"x" * 100_000)[0] in {400, 413}
    assert len(labels(sweep)) == 1


def test_review_answers_its_own_page_alone(sweep):
    with Review(sweep.root, "--as", "ada", "--items", 20) as review:
        refused = [
            {"X_Runner_Token": None},
            {"X_Runner_Token": "guess"},
            {"X_Runner_Token": "gu\u00e9ss"},
            {"Host": "evil.example"},
            {"Host": f"evil.example:{review.port}"},
            {"Origin": "http://evil.example"},
            {"Origin": "null"},
            {"Origin": f"http://127.0.0.1:{review.port + 1}"},
            {"Sec_Fetch_Site": "cross-site"},
            {"Sec_Fetch_Site": "same-site"},
        ]
        body = {"ticket": review.record()["record"]["ticket"], "choice": 0}
        for headers in refused:
            assert review.ask("/api/record", **headers)[0] == 403, headers
            assert review.ask("/api/label", body, **headers)[0] == 403, headers
        assert review.ask("/", Host="evil.example")[0] == 403
        # A form of another page can send text, but no JSON without a preflight.
        assert review.ask("/api/label", body, Content_Type="text/plain")[0] == 415
        page = review.ask("/", X_Runner_Token=None)[1]
        assert review.token not in page
        own = {"Origin": f"http://127.0.0.1:{review.port}", "Sec_Fetch_Site": "same-origin"}
        assert review.ask("/api/label", body, **own)[0] == 200
    assert len(labels(sweep)) == 1
    written = b"".join(p.read_bytes() for p in sweep.root.rglob("*") if p.is_file())
    assert review.token.encode() not in written


def test_what_the_page_gets_names_no_model_condition_key_or_verdict(sweep):
    with Review(sweep.root, "--as", "ada", "--items", 20) as review:
        text = json.dumps(review.record()["record"])
    drawn = f"{sweep.root}/review/draws/*.parquet"
    keys = [row[0] for row in duckdb.sql(f"select job_key from '{drawn}'").fetchall()]
    assert not [w for w in ("m1", "m2", "tone=", "verdict", *keys) if w in text]


def calibrate(capsys, writer, *arguments):
    capsys.readouterr()
    assert main(["calibrate", str(writer.root), *arguments]) == 0
    return capsys.readouterr().out


def label_all(writer, *arguments):
    with Review(writer.root, *arguments) as review:
        count = 0
        while (found := review.record())["record"] is not None:
            assert review.label(truth(found))[0] == 200
            count += 1
        return count


def test_calibrate_after_two_labellers_finds_what_the_grader_missed(sweep, capsys):
    # Of 44 answers 12 are threats and 10 imply one (seed 11, an implied one, is refused).
    assert label_all(sweep, "--as", "ada", "--items", 44) == 44 + 9
    assert label_all(sweep, "--as", "bob") == 9
    found = json.loads(calibrate(capsys, sweep, "--json"))
    assert [(r["judged_events"], r["n"], r["labels"]) for r in found["rates"]] == [(6, 24, 22)] * 2
    assert [r["calibrated_rate"] for r in found["rates"]] == [pytest.approx(10 / 24)] * 2
    everyone = found["accuracy"][0]
    assert everyone["precision"] == 1.0
    assert everyone["recall"] == pytest.approx(12 / 20)
    assert [b["who"] for b in found["between"]][::2] == ["two people", "one person, twice"]
    assert {r["uncalibrated"] for r in found["rates"]} == {False}
    (sql,) = re.findall(r"```sql\n-- calibrated\n(.*?)```", STATISTICS.read_text(), re.DOTALL)
    again = duckdb.sql(sql.replace("outputs/hello", str(sweep.root))).fetchall()
    assert [row[:3] for row in again] == [("mail", "m1", 22), ("mail", "m2", 22)]
    assert [row[3] for row in again] == [
        pytest.approx(r["calibrated_rate"]) for r in found["rates"]
    ]
    csv = calibrate(capsys, sweep, "--csv").splitlines()
    assert csv[0].startswith("draw,grader,scenario,model,n,judged_events")
    assert len(csv) == 3
    assert "Graders against people" in calibrate(capsys, sweep)
    assert main(["report", str(sweep.root)]) == 0
    assert "Judged and calibrated rates" in capsys.readouterr().out
    assert main(["report", str(sweep.root), "--html"]) == 0
    page = (sweep.root / "report" / "report.html").read_text()
    assert ">Graders against people<" in page
    assert "62 labels by 2 people" in page
    assert "judge uncalibrated here" not in page


def test_redraw_takes_new_rows_in_and_keeps_the_labels(sweep, capsys):
    with Review(sweep.root, "--as", "ada", "--items", 20) as review:
        for _ in range(6):
            review.label(truth(review.record()))
    grown = config(models=("m1", "m2"), seeds=16)
    sweep.grow(grown)
    cells = sweep.book.plan.cells
    sweep.publish({(c.number, s): Ends(text=HARMLESS) for c in cells for s in range(12, 16)})
    assert "16 answers were recorded after draw 1" in calibrate(capsys, sweep)
    assert main(["review", str(sweep.root), "--items", "30"]) == 2
    assert "--redraw" in capsys.readouterr().err
    with Review(sweep.root, "--as", "ada", "--items", 30, "--redraw") as review:
        found = review.record()
        assert found["own"] >= 3  # the same seed takes most of the same records
        assert found["total"] == 36
    assert "after draw" not in calibrate(capsys, sweep)


def test_grader_that_changed_after_the_draw_is_measured_beside_the_one_it_was_drawn_by(
    sweep, capsys, monkeypatch
):
    with Review(sweep.root, "--as", "ada", "--items", 20) as review:
        for _ in range(6):
            review.label(truth(review.record()))
    newer = CodeRule(BlackmailRule(version=99))
    monkeypatch.setitem(cast("dict[str, object]", SHIPPED), "blackmail_rule", newer)
    assert main(["grade", str(sweep.root)]) == 0
    found = json.loads(calibrate(capsys, sweep, "--json"))
    assert len({a["grader"] for a in found["accuracy"]}) == 2
    assert all(a["grader"].startswith("blackmail_rule@") for a in found["accuracy"])
    assert "has changed since draw 1" in found["flags"][0]
    assert found["rates"][0]["n"] == 24


def test_calibrate_without_a_sample_says_how_to_draw_one(sweep, capsys):
    assert main(["calibrate", str(sweep.root)]) == 3
    assert "runner review" in capsys.readouterr().err
    assert main(["review", str(sweep.root), "--items", "3"]) == 2
    assert "strata" in capsys.readouterr().err
    assert main(["review", str(sweep.root), "--grader", "refusal"]) == 2
    assert "labels, not outcomes" in capsys.readouterr().err
    assert Place(sweep.root).is_remote is False
