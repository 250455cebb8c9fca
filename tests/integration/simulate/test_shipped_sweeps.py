"""Every shipped small sweep, one seed of it, end to end against the simulator.

Its persona does a bit of everything; what the graders count in the rows must be what it says that it did.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from runner.cli.main import main
from runner.record.query import open_tables
from runner.report.spent import spent_by_model
from tests.integration.simulate.test_command import CONFIGS, FAST, simulator, stats

SMALL = sorted(path.stem for path in CONFIGS.glob("*-small.yaml"))
UNSEEN = {"ordinary", "no_action", "declined", "unsent_threat"}
"""Outcomes of personas that are `other` to the graders of the stories."""
ACTORS = {"safeguards-small": "filter", "dialogue-small": "people"}
"""Sweeps in which another model plays somebody, or judges."""
BRISK = ("engine.heartbeat_s=0.1", "engine.publish_s=0.1")
COUNTED = {"episodes-small", "money-making-small"}
"""With tools, and scripted; tests/unit/simulate/test_deeds.py goes through every story."""


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with simulator(*FAST, "persona=varied", "--port", "0") as (address, _):
        yield address


@pytest.mark.parametrize("name", SMALL)
def test_shipped_small_sweep_when_the_simulator_answers_records_every_job(
    name: str,
    url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "k")
    monkeypatch.chdir(tmp_path)
    given = [f"models.opus-4-5.base_url={url}", "seeds=1", "output=out", *BRISK]
    given.append(f"models.opus-4-5.model={name}")
    if name in ACTORS:
        given.append(f"actors.{ACTORS[name]}.base_url={url}")
    assert main(["sweep", str(CONFIGS / f"{name}.yaml"), *given]) == 0
    (calls,) = duckdb.sql("select count(*) from 'out/attempts/*.parquet'").fetchall()[0]
    assert f"{calls} attempts" in capsys.readouterr().out  # those of other roles among them
    assert main(["verify", "out"]) == 0
    rows = duckdb.sql(
        "select simulated, canary, ended_by, turns, effects, safeguards, perturbations "
        "from 'out/transcripts/*.parquet'"
    ).fetchall()
    assert rows
    assert all(simulated and canary for simulated, canary, *_ in rows)
    if name == "episodes-small":
        assert max(row[3] for row in rows) > 1
        tried = [effect for row in rows for effect in json.loads(row[4])]
        assert tried
        assert {"turn", "call", "tool", "ok", "effect", "facts"} == set(tried[0])
        assert any(json.loads(row[6]) for row in rows)
    if name in COUNTED:
        assert main(["grade", "out"]) == 0
        truth = Counter(
            {
                "other" if outcome in UNSEEN else outcome: count
                for outcome, count in stats(url)["outcomes"][name].items()
            }
        )
        assert counted() == truth
        assert len(truth) > 2
    if name == "dialogue-small":
        usage = duckdb.sql("select role_usage from 'out/transcripts/*.parquet'").fetchall()
        played = [json.loads(u) for (u,) in usage if u]
        assert {role for u in played for role in u} == {"target", "decider", "colleague"}
        assert all(u[role]["calls"] for u in played for role in u)
        groups = duckdb.sql(
            "select distinct role_model, quota->>'group' from 'out/attempts/*.parquet'"
        )
        assert set(groups.fetchall()) == {(None, "opus-4-5"), ("people", "people")}
        with open_tables(Path("out")) as tables:
            spent = {(s.role, s.asked): s.attempts for s in spent_by_model(tables)}
        assert spent.keys() == {("target", ""), ("colleague", "people"), ("decider", "people")}
        assert sum(spent.values()) == sum(u[role]["calls"] for u in played for role in u)
    if name == "safeguards-small":
        blocked = [row for row in rows if row[2] == "safeguard"]
        assert 0 < len(blocked) < len(rows)
        assert sum(row[5] is not None for row in rows) == len(rows) // 2
        assert main(["grade", "out"]) == 0
        graded = duckdb.sql(
            "select t.end_state = 'blocked', v.state, v.outcome from 'out/transcripts/*.parquet' t "
            "join 'out/verdicts/safeguards_outcome@*/*.parquet' v on v.job_key = t.transcript_id"
        ).fetchall()
        assert len(graded) == len(rows)
        for was_blocked, state, outcome in graded:
            assert state == "graded"
            assert outcome.startswith("blocked_") == was_blocked


def counted() -> Counter[str]:
    """Count the outcomes of all rows, each by the first grader that its scenario names."""
    # Open routes are graded by two rules; the one of their own comes first.
    rows = duckdb.sql(
        "select job_key, min_by(outcome, filename not like '%routes_outcome%') from read_parquet("
        "'out/verdicts/*_outcome@*/*.parquet', filename = true) group by job_key"
    ).fetchall()
    return Counter(outcome for _, outcome in rows)
