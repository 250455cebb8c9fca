"""Every shipped small sweep, one seed of it, end to end against the simulator."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from runner.cli.main import main
from tests.integration.simulate.test_command import CONFIGS, FAST, simulator

SMALL = sorted(path.stem for path in CONFIGS.glob("*-small.yaml"))
STAGED = {"episodes-small", "safeguards-small"}


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    settings = json.dumps({"ordinary": 0.2, "tool_use": 0.8})
    given = (f"personas.caller.outcomes={settings}", "persona=caller")
    with simulator(*FAST, *given, "--port", "0") as (address, _):
        yield address


@pytest.mark.parametrize("name", SMALL)
def test_shipped_small_sweep_when_the_simulator_answers_records_every_job(
    name: str, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "k")
    monkeypatch.chdir(tmp_path)
    given = [f"models.opus-4-5.base_url={url}", "seeds=1", "output=out"]
    if name == "safeguards-small":
        given.append(f"actors.filter.base_url={url}")
    assert main(["sweep", str(CONFIGS / f"{name}.yaml"), *given]) == 0
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
