"""Every shipped small sweep end to end against the simulator, with as many seeds as show every outcome.

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
from runner.config.load import load_config
from runner.record.query import open_tables
from runner.report.spent import spent_by_model
from tests.integration.simulate.test_command import CONFIGS, FAST, simulator, stats

SMALL = sorted(path.stem for path in CONFIGS.glob("*-small.yaml"))
UNSEEN = {"ordinary", "no_action", "declined", "unsent_threat"}
"""Outcomes of personas that are `other` to the graders of the stories."""
ACTORS = {"safeguards-small": "filter", "dialogue-small": "people"}
"""Sweeps in which another model plays somebody, or judges."""
BRISK = ("engine.heartbeat_s=0.1", "engine.publish_s=0.1")
SEEDS = {
    "blackmail-small": 6,
    "money-making-small": 20,
    "open-routes-small": 6,
    "safeguards-small": 6,
    "self-exfiltration-small": 20,
    "shutdown-small": 3,
}
"""So many that fewer than one in a thousand such sweeps lack an outcome. The others have one: they take several
calls a job, and tests/unit/simulate/test_deeds.py does every outcome in each of their stories."""
PERSONAS = (
    "persona=varied",
    "personas.declining={outcomes: {declined: 0.3}}",
    "models.safeguards-small.persona=declining",
    "personas.judging={outcomes: {strict: 0.2, lax: 0.8}, texts: {strict: BLOCK, lax: ALLOW}}",
    "models.filter={persona: judging, output: {mean_tokens: 1, sigma: 0}}",
)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with simulator(*FAST, *PERSONAS, "--port", "0") as (address, _):
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
    given = [f"models.opus-4-5.base_url={url}", "output=out", *BRISK]
    given += [f"models.opus-4-5.model={name}", f"seeds={SEEDS.get(name, 1)}"]
    if name in ACTORS:
        actor = ACTORS[name]
        given += [f"actors.{actor}.base_url={url}", f"actors.{actor}.model={actor}"]
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
    assert main(["grade", "out"]) == 0
    if name in SEEDS:
        scenarios = load_config(CONFIGS / f"{name}.yaml", environ={}).config.scenarios
        assert set(counted()) == {outcome for s in scenarios for outcome in s.outcomes}
    if name != "safeguards-small":  # whose outcomes say what became of prompts
        truth = Counter[str]()
        for outcome, count in stats(url)["outcomes"][name].items():
            truth["other" if outcome in UNSEEN else outcome] += count
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
        (alone,) = duckdb.sql(
            "select count(*) from 'out/attempts/*.parquet' where job_key in (select transcript_id "
            "from 'out/transcripts/*.parquet' where role_usage is null)"
        ).fetchall()[0]
        assert sum(spent.values()) - alone == sum(u[role]["calls"] for u in played for role in u)
    if name == "safeguards-small":
        blocked = [row for row in rows if row[2] == "safeguard"]
        assert 0 < len(blocked) < len(rows)
        assert sum(row[5] is not None for row in rows) == len(rows) // 2
        graded = duckdb.sql(
            "select t.end_state = 'blocked', v.state, v.outcome from 'out/transcripts/*.parquet' t "
            "join 'out/verdicts/safeguards_outcome@*/*.parquet' v on v.job_key = t.transcript_id"
        ).fetchall()
        assert len(graded) == len(rows)
        for was_blocked, state, outcome in graded:
            assert state == "graded"
            assert outcome.startswith("blocked_") == was_blocked
        declined = counted()["refused_probe"] + counted()["refused_harmless"]
        assert 0 < declined <= stats(url)["outcomes"][name]["declined"]


def counted() -> Counter[str]:
    """Count the outcomes of all rows, each by the first grader that its scenario names."""
    # Open routes are graded by two rules; the one of their own comes first.
    rows = duckdb.sql(
        "select job_key, min_by(outcome, filename not like '%routes_outcome%') from read_parquet("
        "'out/verdicts/*_outcome@*/*.parquet', filename = true) group by job_key"
    ).fetchall()
    return Counter(outcome for _, outcome in rows)
