"""A configuration grows, or changes under recorded rows."""

from __future__ import annotations

import json
from typing import Any

from tests.support.commands import Bench, no_traceback
from tests.support.standin import StandIn


def _tones(*tones: str, user: str = "A {{ tone }} line. ({{ seed }})") -> list[dict[str, Any]]:
    return [{"name": "tone", "axes": {"tone": list(tones)}, "user": user}]


def test_sweep_when_grown_runs_exactly_what_is_new(bench: Bench, api: StandIn) -> None:
    bench.write()
    bench.ok("sweep", "c.yaml")
    assert api.stats()["total"] == 4
    assert "all jobs are done" in bench.ok("sweep", "c.yaml").out
    assert api.stats()["total"] == 4
    bench.write(seeds=3)
    assert "owed 2 (2 new in the plan)" in bench.ok("sweep", "c.yaml").out
    models = [bench.model(), bench.model("n", model="other")]
    bench.write(seeds=3, scenarios=_tones("polite", "blunt", "odd"), models=models)
    bench.ok("sweep", "c.yaml")
    assert api.stats()["total"] == 3 * 3 * 2
    assert bench.states() == {"answered": 18}
    bench.ok("verify", "outputs/s")


def test_sweep_when_seeds_shrink_says_what_is_left_out_and_counts_only_the_plan(
    bench: Bench, api: StandIn
) -> None:
    bench.write(seeds=3)
    bench.ok("sweep", "c.yaml")
    told = "not in these seeds: 4 jobs"
    assert told in bench.ok("plan", "c.yaml", "seeds=1").out
    ended = bench.ok("sweep", "c.yaml", "seeds=1")
    assert told in ended.out
    assert "2 planned = 2 answered" in ended.out
    status = json.loads(bench.ok("status", "outputs/s", "--json").out)["progress"]
    assert (status["planned"], status["recorded"], status["owed"]) == (2, 2, 0)
    assert api.stats()["total"] == 6
    assert bench.states() == {"answered": 6}  # what was paid for stays
    assert told not in bench.ok("sweep", "c.yaml").out
    bench.ok("verify", "outputs/s")


def test_supersede_of_cells_that_only_vanished_moves_their_rows_though_nothing_is_owed(
    bench: Bench, api: StandIn
) -> None:
    bench.write()
    bench.ok("sweep", "c.yaml")
    bench.write(scenarios=_tones("polite"))
    assert bench.run("sweep", "c.yaml").code == 3
    bench.ok("sweep", "c.yaml", "--supersede")
    assert {row["condition"] for row in bench.rows()} == {"tone=polite"}
    assert "2 planned = 2 answered" in bench.ok("report", "outputs/s").out
    bench.ok("sweep", "c.yaml")
    bench.ok("verify", "outputs/s")
    assert api.stats()["total"] == 4


def test_recorded_cells_that_changed_are_refused_by_name_and_key(
    bench: Bench, api: StandIn
) -> None:
    bench.write()
    bench.ok("sweep", "c.yaml")
    bench.write(scenarios=_tones("polite", user="Another {{ tone }} text. ({{ seed }})"))
    ended = bench.run("sweep", "c.yaml")
    no_traceback(ended)
    assert ended.code == 3
    assert "tone[tone=polite] × m" in ended.err
    assert "messages.user" in ended.err
    assert "--supersede" in ended.err
    assert api.stats()["total"] == 4
    bench.ok("sweep", "c.yaml", "--supersede")
    assert bench.states() == {"answered": 2}
    assert len(list((bench.sweep / "superseded").rglob("*.parquet"))) == 1
    bench.ok("verify", "outputs/s")
    assert "all jobs are done" in bench.ok("sweep", "c.yaml").out


def test_request_parameter_that_changed_is_named_with_both_values(bench: Bench) -> None:
    bench.write()
    bench.ok("sweep", "c.yaml")
    ended = bench.run("sweep", "c.yaml", "models.m.max_tokens=33")
    assert ended.code == 3
    assert "1024 → 33" in ended.err


def test_resume_needs_no_configuration_file(bench: Bench) -> None:
    path = bench.write()
    bench.ok("sweep", "c.yaml")
    path.unlink()
    assert "all jobs are done" in bench.ok("resume", "outputs/s").out
    elsewhere = bench.run("resume", "outputs/nothing")
    assert elsewhere.code == 3
    assert "no sweep here" in elsewhere.err


def test_one_session_after_another_without_end_leaves_nothing_behind(bench: Bench) -> None:
    bench.write()
    for seeds in (1, 2, 3):
        bench.ok("sweep", "c.yaml", f"seeds={seeds}")
    for folder in ("journal", "parts", ".tmp"):
        assert not [p for p in (bench.sweep / folder).rglob("*") if p.is_file()], folder
