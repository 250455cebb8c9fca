"""`runner rehearse` in this process: what it prints, what it takes from where, what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from runner.cli.main import main

GOOD = """\
name: n
scenarios:
- name: tone
  user: "{{ tone }} ({{ seed }})"
  axes: {tone: [polite, blunt]}
models:
- {name: m, model: claude-sonnet-5, api_key_env: NO_SUCH_KEY, max_tokens: 1000, quota: {rpm: 1200}}
seeds: 200
"""
JUDGED = """\
judges:
- {name: j, model: claude-haiku-4-5, max_tokens: 300}
graders:
- name: opinion
  kind: judge
  model: j
  rubric: Say which it is.
  votes: 2
  outcomes: [{outcome: bad, means: bad, harmful: true}, {outcome: good, means: good}]
"""


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "c.yaml"
    path.write_text(GOOD)
    return path


def found(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict:
    assert main(["rehearse", *arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_rehearsal_says_how_long_how_much_what_binds_and_what_would_change_it(config, capsys):
    assert main(["rehearse", str(config)]) == 0
    out = capsys.readouterr().out
    assert "n: 400 jobs with 1 worker would take " in out
    assert " % of 1.20k " in out
    assert "  requests\n" in out
    assert "2 workers" in out
    assert "m: the limits of tier Build" in out
    assert (
        "m: answers of 500 tokens, 0.5 s + 80 tokens/s (guess; --output-tokens, --latency)" in out
    )
    assert out.endswith(f"next: runner sweep {config}\n")
    assert [p.name for p in config.parent.iterdir()] == ["c.yaml"]


def test_rehearsal_as_json_says_the_same(config, capsys):
    told = found(capsys, str(config))
    assert (told["jobs"], told["requests"], told["simulated_jobs"]) == (400, 400, 400)
    assert 20 <= told["duration_s"] <= 40
    assert told["cost_usd"] == pytest.approx(400 * 500 * 10 / 1e6, rel=0.6)
    (group,) = told["groups"]
    assert group["binds"] == "requests"
    assert group["phases"][-1]["end_s"] == pytest.approx(told["duration_s"])
    assert {w["how"] for w in told["what_if"]} >= {"--workers 2"}


def test_options_go_before_guesses(config, capsys):
    plain = found(capsys, str(config), "--no-what-if")
    assert plain["what_if"] == []
    asked = found(
        capsys,
        *(str(config), "--no-what-if", "--output-tokens", "m=100", "--latency", "20,0"),
        *("--calls", "2"),
    )
    assert asked["requests"] == 800
    assert asked["models"][0]["output_tokens"] == pytest.approx(80_000, rel=0.02)
    assert asked["duration_s"] >= 40 + 40 / 2


def test_settings_of_a_server_go_before_the_configured_quota(config, capsys):
    (config.parent / "server.yaml").write_text(
        "quota: {rpm: 600, itpm: null, otpm: null}\noutput: {mean_tokens: 50}\n"
    )
    told = found(capsys, str(config), "--no-what-if", "--server", "server.yaml")
    assert told["groups"][0]["buckets"][0]["limit"] == 600
    assert told["models"][0]["output_tokens"] == pytest.approx(400 * 50, rel=0.02)
    assert "m: limits of --server" in told["assumed"]


def test_large_sweep_is_extrapolated_and_says_so(config, capsys):
    assert main(["rehearse", str(config), "seeds=500000", "--no-what-if"]) == 0
    out = capsys.readouterr().out
    assert "1,000,000 jobs" in out
    assert "call by call; a line through it and its half for the rest)" in out
    assert "14 h" in out  # a million requests at 1,188 a minute


def test_judges_are_rehearsed_after_the_sweep(config, capsys):
    config.write_text(GOOD.replace("  axes:", "  graders: [opinion]\n  axes:") + JUDGED)
    told = found(capsys, str(config), "--no-what-if", "seeds=20")
    assert told["judges"]["opinion"]["requests"] == 80
    assert main(["rehearse", str(config), "--no-what-if", "seeds=20"]) == 0
    out = capsys.readouterr().out
    assert "afterwards, judge opinion (runner grade): 80 requests" in out
    assert "judge opinion: answers of 120 tokens (guess)" in out


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--output-tokens", "many"], "--output-tokens many: give a number from 1"),
        (["--output-tokens", "n=5"], "there is no model 'n'. Known here: m."),
        (["--latency", "fast"], "--latency fast: give seconds and tokens a second"),
        (["--latency", "0,0"], "an answer would take no time"),
        (["--burst", "0"], "--burst 0: give a number above 0."),
        (["--server", "none.yaml"], "none.yaml: cannot be read"),
        (["seeds=0"], "seeds: a count lies in"),
    ],
)
def test_what_cannot_be_meant_is_refused_by_name(config, capsys, words, told):
    assert main(["rehearse", str(config), *words]) == 2
    err = capsys.readouterr().err
    assert told in err
    assert "Traceback" not in err
