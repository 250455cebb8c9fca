"""docs/statistics.md: its queries give the report's figures, its tables what the benchmark prints."""

import json
import re
from pathlib import Path

import duckdb
import pytest

from runner.cli.main import main
from runner.config.schema import ExclusionConfig
from runner.core.values import EndState
from tests.bench import coverage
from tests.support.finished_sweep import THREAT, UNREADABLE, Ends, Writer, config

PAGE = (Path(__file__).parents[2] / "docs" / "statistics.md").read_text()


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    writer = Writer(tmp_path_factory.mktemp("sweep") / "s", config(seeds=12, models=("m1", "m2")))
    jobs = {}
    for cell in writer.book.plan.cells:
        for seed in range(12):
            end = Ends(text=f"Sorted {cell.number} {seed}.", retries=seed % 2)
            if seed < 2 + 2 * (cell.number % 3):
                end = Ends(text=f"{seed} {THREAT}")
            elif seed == 8:
                end = Ends(state=EndState.BLOCKED, text=THREAT)
            elif seed == 9:
                end = Ends(text=UNREADABLE)
            elif seed == 10:
                end = Ends(state=EndState.REFUSED, text="")
            elif seed == 11:
                end = Ends(state=EndState.FAILED, retries=2)
            jobs[(cell.number, seed)] = end
    writer.publish(jobs)
    return writer.root


@pytest.fixture(scope="module")
def report(swept):
    import contextlib
    import io

    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        assert main(["report", str(swept), "--json"]) == 0
    (found,) = json.loads(out.getvalue())["reports"]
    return found


def query(swept, name):
    (sql,) = re.findall(rf"```sql\n-- {name}\n(.*?)```", PAGE, re.DOTALL)
    found = duckdb.sql(sql.replace("outputs/hello", str(swept)))
    return [dict(zip(found.columns, row, strict=True)) for row in found.fetchall()]


def test_query_of_cells_gives_every_rate_of_the_report(swept, report):
    found = {row["cell"]: row for row in query(swept, "cells")}
    for row in report["rows"]:
        again = found[row["cell"]]
        assert (again["events"], again["n"]) == (row["harmful"], row["n"])
        assert again["rate"] == pytest.approx(row["rate"])
        assert again["condition"] == row["condition"]
    assert sum(row["n"] for row in found.values()) == 40


def test_blocked_answers_are_graded_without_what_was_withheld_and_are_shown(report):
    for row in report["rows"]:
        assert (row["blocked"], row["n"], row["graded"]) == (1, 10, 9)
        assert row["harmful"] == 2 + 2 * (row["cell"] % 3)


def test_query_of_stories_gives_the_spread_beside_every_rate(tmp_path, capsys):
    names = ("mail", "ferry", "mill")
    writer = Writer(tmp_path / "s", config(seeds=4, models=("m1", "m2"), stories=names))
    jobs = {
        (cell.number, seed): Ends(text=THREAT if seed < harmful else f"Sorted {seed}.")
        for cell in writer.book.plan.cells
        for harmful in [names.index(cell.scenario) + (cell.model == "m2")]
        for seed in range(4)
    }
    writer.publish(jobs)
    assert main(["report", str(writer.root), "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)["reports"]
    again = {
        (row["family"], row["model"], *json.loads(row["axes"]).values()): row
        for row in query(writer.root, "stories")
    }
    assert len(again) == 4
    for row in found["rows"]:
        spread = [row[name] for name in ("stories", "stories_low", "stories_high")]
        assert spread == [3, *((0, 0.5) if row["model"] == "m1" else (0.25, 0.75))]
        if row["cell"] is not None:  # one condition
            key = ("mail", row["model"], row["condition"].removeprefix("tone="))
            assert spread == [
                again[key][name] for name in ("stories", "stories_low", "stories_high")
            ]
    (contrast,) = [c for c in found["analysis"]["exploratory"] if set(c["a"]) == {"model"}]
    assert (contrast["first"]["stories_low"], contrast["second"]["stories_high"]) == (0.25, 0.5)
    assert main(["report", str(writer.root)]) == 0
    shown = capsys.readouterr().out
    assert "0 … 50.0 % of 3" in shown
    assert "25.0 … 75.0 % of 3" in shown
    (table,) = re.findall(r"Rates of each story.*?\n\n", shown, re.DOTALL)
    each = re.findall(r"(m\d) +(\w+) +(\d+) +(\d+) +([\d.]+) %", table)
    assert sorted(each) == sorted(
        (model, story, str(2 * harmful), "8", f"{25 * harmful:.1f}" if harmful else "0")
        for model, more in (("m1", 0), ("m2", 1))
        for harmful, story in enumerate(names, more)
    )


def test_query_of_outcomes_gives_those_of_the_report(swept, report):
    found = query(swept, "outcomes")
    for row in report["rows"]:
        again = {r["outcome"]: r["answers"] for r in found if r["cell"] == row["cell"]}
        assert again == {outcome: n for outcome, n in row["outcomes"].items() if n}


def test_queries_of_families_and_labels_give_pooled_rates_control_arms_and_rates_by_label(
    tmp_path, capsys
):
    whole = config(seeds=4, models=("m1", "m2"), stories=("mail", "ferry"))
    for scenario in whole.scenarios:
        scenario.graders.append("refusal")
        scenario.controls = [{"tone": "calm"}]
    whole.analysis.exclude.append(ExclusionConfig(above=0.9))
    writer = Writer(tmp_path / "s", whole)
    texts = [THREAT, "I can't help with this.", "Sorted.", "Sorted again."]
    writer.publish(
        {
            (cell.number, seed): Ends(state=EndState.REFUSED, text="")
            if seed == 3 and cell.number % 2
            else Ends(text=texts[(seed + cell.number // 4) % 4])
            for cell in writer.book.plan.cells
            for seed in range(4)
        }
    )
    assert main(["report", str(writer.root), "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)["reports"]
    again = {(r["model"], r["control"]): r for r in query(writer.root, "families")}
    pooled, arms = found["analysis"]["families"], found["analysis"]["controls"]
    assert (len(again), len(pooled), len(arms)) == (4, 2, 2)
    for one in pooled:
        row = again[one["model"], False]
        assert [row[k] for k in ("harmful", "n", "prompts")] == [
            one[k] for k in ("harmful", "n", "prompts")
        ]
        assert row["mean"] == pytest.approx(one["mean"])
    for arm in arms:
        row = again[arm["model"], True]
        assert (row["harmful"], row["n"]) == (arm["harmful"], arm["n"])
    labels = {(r["scenario"], r["model"], r["label"]): r for r in query(writer.root, "labels")}
    given = found["analysis"]["given_labels"]
    assert len(given) == len(labels) > 4
    for one in given:
        row = labels[one["scenario"], one["model"], one["label"]]
        assert (row["harmful"], row["n"]) == (one["harmful"], one["n"])


def test_query_of_states_gives_the_end_states_of_the_report(swept, report):
    found = query(swept, "states")
    for row in report["rows"]:
        states = {r["end_state"]: r["jobs"] for r in found if r["cell"] == row["cell"]}
        assert states == {s: row[s] for s in states}
        assert sum(states.values()) + row["not_run"] == row["planned"]


def test_query_of_models_gives_the_stratified_difference(swept, report):
    contrast = next(c for c in report["analysis"]["exploratory"] if set(c["a"]) == {"model"})
    (row,) = [r for r in query(swept, "models") if r["one"] == "m2"]
    assert contrast["a"] == {"model": ["m2"]}
    assert row["difference"] == pytest.approx(contrast["difference"])
    assert row["one_events"] == contrast["first"]["harmful"]
    assert row["one_mean"] == pytest.approx(contrast["first"]["mean"])
    assert (row["other_events"], row["other_n"]) == (
        contrast["second"]["harmful"], contrast["second"]["n"],
    )  # fmt: skip


def test_query_of_an_axis_gives_the_stratified_effect(swept, report):
    effects = [c for c in report["analysis"]["exploratory"] if set(c["a"]) == {"tone"}]
    found = query(swept, "axis")
    assert len(effects) == 2
    for effect in effects:
        (row,) = [
            r
            for r in found
            if (r["model"], r["one"]) == (effect["model"], effect["first"]["label"].split("=")[1])
        ]
        assert row["difference"] == pytest.approx(effect["difference"])


def test_query_of_what_was_spent_gives_the_report(swept, report):
    for again, row in zip(query(swept, "spent"), report["attempts"], strict=True):
        names = ("attempts", "retries", "rate_limited")
        assert (again["model"], again["role"]) == (row["model"], "target")
        assert [again[n] for n in names] == [row[n] for n in names]
        assert (again["tokens_in"], again["tokens_out"]) == (
            row["input_tokens"], row["output_tokens"],
        )  # fmt: skip


def test_exact_figures_of_the_page_are_those_of_the_enumeration():
    worst = coverage.cell_coverage(coverage.two_sided, 50)
    assert f"| 50 | {100 * worst[0]:.2f} (at {worst[1]:.4f}) |" in PAGE


def test_page_has_a_row_for_every_listed_truth_and_size():
    for truth in coverage.TRUTHS:
        for n in coverage.SIZES:
            assert PAGE.count(f"\n| {truth} | {n} |") == 3
