"""Every kind of answer and failure ends where it should; model output never reaches a terminal raw."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from runner.dispatch.inprocess import InProcessBackend
from runner.execute import endpoints
from runner.limits import breaker
from tests.support.commands import Bench, no_traceback
from tests.support.standin import StandIn

RECORDED = {
    "refusal": "refused",
    "empty": "empty",
    "max_tokens": "truncated",
    "pause_turn": None,
    "control": "answered",
}
"""Fault of the stand-in to end state; None: it depends on the wire."""
DEAD = {
    "huge": "too_large",
    "not_json": "failed",
    "truncated": "failed",
    "server_error": "failed",
}
PASSING = ("rate_limited", "overloaded", "disconnect", "error_200")
"""Met once, then answered: never an end state."""
IMPATIENT = {"wait_initial_s": 0.02, "wait_max_s": 0.05, "infrastructure_wait_s": 1.0}


@pytest.fixture(autouse=True)
def brief_outages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a breaker probe every few heartbeats; tests/dst/test_outages.py waits in full."""
    monkeypatch.setattr(breaker, "FIRST_WAIT_S", 0.1)
    monkeypatch.setattr(breaker, "LONGEST_WAIT_S", 0.2)
    monkeypatch.setattr(endpoints, "PROBE_FAILED_S", 0.2)


@pytest.mark.parametrize("provider", ["anthropic", "openai"])
def test_answers_of_every_kind_end_where_they_should(
    bench: Bench, api: StandIn, provider: str
) -> None:
    kinds = [*RECORDED, *DEAD, *PASSING]
    bench.write(
        scenarios=[{"name": "k", "axes": {"kind": kinds}, "user": "do={{ kind }}."}],
        seeds=1,
        models=[bench.model(provider=provider)],
        retry=IMPATIENT,
    )
    api.configure(
        answer_bytes=100,
        faults=[
            {"kind": k, "contains": f"do={k}.", "times": 1 if k in PASSING else 0} for k in kinds
        ],
    )
    ended = bench.run("sweep", "c.yaml")
    no_traceback(ended)
    assert ended.code == 7, ended
    states = {row["condition"].partition("=")[2]: row["end_state"] for row in bench.rows()}
    dead = {r["condition"].partition("=")[2]: r["end_state"] for r in bench.rows("failures")}
    assert dead == DEAD
    assert {k: states[k] for k in PASSING} == dict.fromkeys(PASSING, "answered")
    assert {k: s for k, s in states.items() if RECORDED.get(k)} == {
        k: s for k, s in RECORDED.items() if s
    }
    assert set(states) == {*RECORDED, *PASSING}
    for command in (
        ("report", "outputs/s"),
        ("show", "outputs/s", "--condition", "kind=control", "--full"),
        ("show", "outputs/s", "--failed"),
        ("status", "outputs/s"),
        ("verify", "outputs/s"),
    ):
        shown = bench.ok(*command)
        no_traceback(shown)
        assert not {c for c in shown.text if ord(c) < 32 and c not in "\n\t"}, command
        assert "\u202e" not in shown.text


def test_storm_of_overload_burns_no_job(bench: Bench, api: StandIn) -> None:
    bench.write(retry=IMPATIENT | {"job_failures": 2})
    api.configure(answer_bytes=100, faults=[{"kind": "overloaded", "times": 7}])
    assert bench.ok("sweep", "c.yaml")
    assert bench.states() == {"answered": 4}


def test_prompt_that_always_fails_ends_in_failures_and_can_be_owed_again(
    bench: Bench, api: StandIn
) -> None:
    bench.write(seeds=6, retry=IMPATIENT)
    api.configure(answer_bytes=100, faults=[{"kind": "server_error", "contains": "(5)"}])
    assert bench.run("sweep", "c.yaml").code == 7
    assert bench.states("failures") == {"failed": 2}
    again = bench.run("sweep", "c.yaml")
    assert again.code == 7
    assert "dead letters stay" in again.out
    api.configure(answer_bytes=100)
    assert "dead letters owed again" in bench.ok("resume", "outputs/s", "--retry-failed").out
    assert bench.states() == {"answered": 12}
    assert "12 answered" in bench.ok("report", "outputs/s").out


def test_model_that_stops_leaves_the_other_alone(bench: Bench, api: StandIn) -> None:
    bench.write(models=[bench.model(), bench.model("n", model="other")])
    api.configure(answer_bytes=100, models=["any"])
    # In a process that ends, as a user's does: the worker of one that lives may hold its jobs still.
    command = [sys.executable, "-m", "runner", "sweep", "c.yaml"]
    ended = subprocess.run(command, cwd=bench.folder, capture_output=True, text=True, check=False)
    assert ended.returncode == 7
    assert "models.n" in ended.stdout + ended.stderr
    assert bench.states() == {"answered": 4}
    api.configure(answer_bytes=100)
    bench.ok("resume", "outputs/s")
    assert bench.states() == {"answered": 8}


@pytest.mark.parametrize(
    ("settings", "says"),
    [({"keys": ["another"]}, "(HTTP 401)"), ({"models": ["another"]}, "(HTTP 404)")],
    ids=["wrong key", "unknown model"],
)
def test_sweep_that_cannot_succeed_stops_at_once_and_says_why(
    bench: Bench,
    api: StandIn,
    monkeypatch: pytest.MonkeyPatch,
    settings: dict[str, object],
    says: str,
) -> None:
    monkeypatch.setenv("A_KEY", "sk-planted-000000000000")
    bench.write(models=[bench.model(api_key_env="A_KEY", provider="anthropic")])
    api.configure(answer_bytes=100, **settings)
    ended = bench.run("sweep", "c.yaml")
    no_traceback(ended)
    assert ended.code == 4
    assert "models.m" in ended.err
    assert says in ended.err
    assert ("[key in A_KEY]" in ended.err) == ("401" in says)  # another key mends nothing else
    assert "sk-planted" not in ended.text
    assert bench.rows() == []


def test_sigterm_while_a_sweep_starts_is_said_and_loses_nothing(
    bench: Bench, api: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.write()
    load = InProcessBackend.start

    async def terminated(self: InProcessBackend) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        await load(self)

    with monkeypatch.context() as patched:
        patched.setattr(InProcessBackend, "start", terminated)
        ended = bench.run("sweep", "c.yaml")
    assert ended.code == 130
    assert "Run the same command again" in ended.err
    bench.ok("sweep", "c.yaml")
    assert api.stats()["total"] == 4


def test_unreachable_server_is_said_within_seconds(bench: Bench) -> None:
    bench.write(models=[bench.model(base_url="http://127.0.0.1:9/v1")])
    ended = bench.run("sweep", "c.yaml")
    assert ended.code == 4
    assert "127.0.0.1:9" in ended.err
    assert "refused" in ended.err
    doctor = bench.run("doctor", "c.yaml")
    assert doctor.code != 0
    assert "127.0.0.1:9" in doctor.text
