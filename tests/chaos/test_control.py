"""`runner control` on a live sweep: a pause that outlives its coordinator, other bounds, going on."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from runner.core.errors import EXIT_INTERRUPTED
from tests.support.cli_sweep import CliSweep
from tests.support.standin import StandIn

pytestmark = [pytest.mark.chaos]


def runner(*words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "runner", *words], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def status(sweep: CliSweep) -> dict[str, Any]:
    return json.loads(runner("status", str(sweep.directory), "--json"))


def test_pause_sends_nothing_new_also_after_a_kill_and_going_on_repeats_nothing(
    tmp_path: Path, server: StandIn
) -> None:
    server.configure(latency_s=0.1, answer_bytes=500)
    with CliSweep(tmp_path, server, [], jobs=600) as sweep:
        sweep.start()
        sweep.until_calls(100)
        assert "paused: nothing new is sent" in runner("control", str(sweep.directory), "--pause")
        sweep.until(lambda: status(sweep)["progress"]["phase"] == "paused")
        sweep.until(lambda: server.stats()["in_flight"] == 0)
        total = server.stats()["total"]
        assert total < sweep.planned
        sweep.kill_all()

        driver = sweep.start()
        sweep.until(lambda: status(sweep)["progress"]["phase"] == "paused")
        assert server.stats()["total"] == total
        runner("control", str(sweep.directory), "--go-on", "models.m1.max_in_flight=3")
        flying: list[int] = []

        def some_more() -> bool:
            stats = server.stats()
            flying.append(stats["in_flight"])
            return stats["total"] >= total + 30

        sweep.until(some_more)
        assert 1 <= max(flying) <= 3
        runner("control", str(sweep.directory), "--reset")
        sweep.hurry()
        assert driver.wait(60) == 0, sweep.screen
        sweep.check_rows()
        sweep.check_calls(repeated_at_most=0)
    told = [
        json.loads(line)
        for log in (sweep.directory / "events").glob("coordinator-*.jsonl")
        for line in log.read_text().splitlines()
    ]
    assert {True, False} == {e["paused"] for e in told if e["event"] == "Controlled"}


def test_budget_changed_on_a_live_sweep_holds_over_sessions_until_it_is_changed_again(
    tmp_path: Path, server: StandIn
) -> None:
    prices = {"m1": {"input": 0.0, "output": 1000.0}}  # 0.125 USD an answer
    short = "models.m1.max_tokens=150"
    with CliSweep(
        tmp_path, server, [], jobs=160, in_flight=8, prices=prices, budget={"usd": 1000}
    ) as sweep:
        folder = str(sweep.directory)
        server.configure(latency_s=0.1, answer_bytes=500)
        driver = sweep.start(short)
        sweep.until_calls(25)
        server.configure(latency_s=4.0, answer_bytes=500)  # commands take their time
        assert "budget.usd = 10.00" in runner("control", folder, "budget.usd=10")
        server.configure(latency_s=0.1, answer_bytes=500)
        assert driver.wait(60) == 8, sweep.screen
        assert "of 10.00 USD are spent" in sweep.screen
        answered = server.stats()["answered"]
        assert 25 <= answered <= 10 / 0.125
        assert sweep.start(short).wait(60) == 8
        assert "changed by runner control" in sweep.screen
        assert server.stats()["answered"] == answered
        assert status(sweep)["progress"]["budget"]["usd_limit"] == 10

        runner("control", folder, "budget.usd=16")
        driver = sweep.start(short)
        sweep.until_calls(answered + 10)
        server.configure(latency_s=4.0, answer_bytes=500)
        runner("control", folder, "budget.usd=100")  # goes on without an end between
        sweep.hurry()
        assert driver.wait(60) == 0, sweep.screen
        sweep.check_rows()
        assert server.stats()["answered"] == 160

        runner("control", folder, "budget.usd=1")
        assert sweep.start(short, "seeds=84", "budget.usd=2000").wait(60) == 0, sweep.screen


def test_stop_ends_a_job_for_good_and_nobody_elses_stop_does(
    tmp_path: Path, server: StandIn
) -> None:
    server.configure(latency_s=0.1, answer_bytes=500)
    with CliSweep(tmp_path, server, ["--as-job"], jobs=600) as sweep:
        first = sweep.start()
        sweep.until_calls(50)
        first.terminate()  # a node that goes: its job system runs the command again
        assert first.wait(60) == EXIT_INTERRUPTED, sweep.screen
        second = sweep.start()
        sweep.until_calls(150)
        runner("stop", str(sweep.directory))
        assert second.wait(60) == 0, sweep.screen
        assert "Continue with: runner resume" in sweep.screen
