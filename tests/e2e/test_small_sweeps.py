"""Conditions of two shipped small sweeps on the real small model: single turns with safeguards, an episode with tools.

They are narrowed to what some seconds allow: one scenario each, two seeds, a few conditions. By hand, on 2026-11-27, all
24 conditions of safeguards-small and all 48 of shutdown-small went through the same model, every job once.

What 135 million parameters make of a tool is anything at all; it must end in a state that has a name, be
recorded once, and be readable afterwards. Answers end at the first full stop: speed is not the point.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest

from runner.cli.main import main
from runner.config.load import load_config
from runner.config.resolved import dump_plain
from runner.config.schema import AnalysisConfig
from runner.core.values import RECORDED_STATES

pytestmark = pytest.mark.e2e
pytest.importorskip("xllamacpp", reason="needs the extra `local`")

CONFIGS = Path(__file__).parents[2] / "configs"
LOCAL = "provider: local, max_tokens: 32, params: {stop_sequences: ['.', '!', '?']}"
"""Of every model; one server serves them."""
TOLD = f"{LOCAL}, local: {{chat_template: {CONFIGS / 'shared/chatml-tools.jinja'}}}"
"""The same with a template that tells the model its tools; its own leaves them out."""
ENDS = {"answer", "finish", "turns", "output_tokens", "safeguard", "refused", "truncated", "empty"}

Sweep = Callable[..., list[dict[str, object]]]


@pytest.fixture
def swept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Sweep:
    """Run one scenario of a shipped sweep on the small model; returns its rows."""
    monkeypatch.chdir(tmp_path)

    def run(name: str, scenario: str, *overrides: str) -> list[dict[str, object]]:
        given = ["output=out", *overrides]
        if not any(one.startswith("models.") for one in overrides):
            given.append(f"models.opus-4-5={{name: opus-4-5, {LOCAL}}}")
        config = load_config(CONFIGS / f"{name}.yaml", given).config
        config.scenarios = [s for s in config.scenarios if s.name == scenario]
        config.analysis = AnalysisConfig()  # it speaks of what is left out, too
        Path("c.yaml").write_text(dump_plain(config))
        assert main(["sweep", "c.yaml"]) == 0
        assert main(["verify", "out"]) == 0
        assert not list(Path("out/failures").glob("*.parquet"))
        assert main(["report", "out"]) == 0
        assert main(["show", "out", "-n", "4", "--state"]) == 0
        printed = capsys.readouterr().out
        assert "not what it was" not in printed
        rows = duckdb.sql("from 'out/transcripts/*.parquet'").fetchall()
        names = [c[0] for c in duckdb.sql("describe from 'out/transcripts/*.parquet'").fetchall()]
        found = [dict(zip(names, row, strict=True)) for row in rows]
        assert all(row["end_state"] in {str(s) for s in RECORDED_STATES} for row in found)
        assert all(row["ended_by"] in ENDS for row in found)
        assert all(row["returned_model_id"] == "SmolLM2-135M-Instruct.Q4_1" for row in found)
        assert not any(row["simulated"] for row in found)
        return found

    return run


def test_safeguards_sweep_of_single_turns_on_the_small_model(swept: Sweep) -> None:
    axes = "scenarios.safeguards-made-up-topics.axes"
    rows = swept(
        *("safeguards-small", "safeguards-made-up-topics", f"{axes}.set=[harmless]"),
        *(f"actors.filter={{name: filter, {LOCAL}}}", f"{axes}.topic=[substance]", "seeds=2"),
    )
    assert len(rows) == 4
    wrapped = [row for row in rows if json.loads(str(row["axes"]))["safeguards"] == "on"]
    assert len(wrapped) == 2
    for row in wrapped:
        looks = json.loads(str(row["safeguards"]))
        assert looks or row["end_state"] != "answered", "nobody looks at what was cut off"
        assert {look["verdict"] for look in looks} <= {"allow", "block", "unclear"}
        asked = sum(look["by"] == "filter" for look in looks)
        if asked:
            usage = json.loads(str(row["role_usage"]))
            assert usage["safeguard_judged"]["calls"] == asked


def test_episode_sweep_with_tools_over_several_turns_on_the_small_model(swept: Sweep) -> None:
    scenario = "scenarios.shutdown-episode-tidewell"
    rows = swept(
        *("episodes-small", "shutdown-episode-tidewell", f"{scenario}.axes.requester=[authorised]"),
        f"models.opus-4-5={{name: opus-4-5, {TOLD}}}",
        *(f"{scenario}.axes.work=[finished]", f"{scenario}.axes.facts=[none]"),
        *(f"{scenario}.turns=['Which tool do you use?', 'And now?']", "seeds=2"),
    )
    assert len(rows) == 2
    assert max(int(str(row["turns"])) for row in rows) >= 2
    read = ("input_tokens", "cache_read_tokens")
    assert all(sum(int(str(row[k] or 0)) for k in read) > 900 for row in rows), "tools are told"
    for row in rows:
        for effect in json.loads(str(row["effects"])):
            assert {"turn", "call", "tool", "ok", "effect", "facts"} == set(effect)
