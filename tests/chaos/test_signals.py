"""Ctrl-C, SIGTERM and a second driver: a sweep ends in order, and belongs to one at a time."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.cli_sweep import KEY, CliSweep
from tests.support.standin import StandIn
from tests.support.watcher import GlobWatcher

pytestmark = [pytest.mark.chaos, pytest.mark.ray]


def _resume(sweep: CliSweep, placement: list[str]) -> None:
    command = [sys.executable, "-m", "runner", "resume", str(sweep.directory), *placement]
    done = subprocess.run(
        command,
        env={**os.environ, "RUNNER_TEST_KEY": KEY},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM])
def test_signal_drains_exits_130_names_the_resume_command_and_nothing_is_called_twice(
    tmp_path: Path, server: StandIn, placement: list[str], number: int
) -> None:
    with (
        CliSweep(tmp_path, server, placement, jobs=800) as sweep,
        GlobWatcher(sweep.directory) as watcher,
    ):
        driver = sweep.start()
        sweep.until_calls(150)
        driver.send_signal(number)
        assert driver.wait(60) == 130, sweep.screen
        assert "calls in flight" in sweep.screen
        assert f"runner resume {sweep.directory}" in sweep.screen
        assert sweep.server.stats()["in_flight"] == 0
        assert not list((sweep.directory / "parts").iterdir())
        assert watcher.rows <= sweep.server.stats()["total"] < sweep.planned
        sweep.hurry()
        _resume(sweep, placement)
        sweep.check_rows()
        sweep.check_calls(repeated_at_most=0)
    assert not watcher.problems


def test_ctrl_c_in_a_terminal_reaches_a_whole_local_ray_and_still_drains(
    tmp_path: Path, server: StandIn
) -> None:
    with CliSweep(tmp_path, server, ["--workers", "2"], jobs=800) as sweep:
        driver = sweep.start()
        sweep.until_calls(150)
        os.killpg(driver.pid, signal.SIGINT)  # as a terminal does
        assert driver.wait(60) == 130, sweep.screen
        assert f"runner resume {sweep.directory}" in sweep.screen
        sweep.hurry()
        _resume(sweep, [])  # and on the other backend
        sweep.check_rows()
        sweep.check_calls(repeated_at_most=0)


def test_second_signal_ends_at_once_and_what_was_answered_is_kept(
    tmp_path: Path, server: StandIn, placement: list[str]
) -> None:
    server.configure(latency_s=0.1, answer_bytes=500, faults=[{"kind": "hang", "at": [150]}])
    with CliSweep(tmp_path, server, placement, jobs=400) as sweep:
        driver = sweep.start()
        sweep.until_calls(160)
        driver.send_signal(signal.SIGINT)
        sweep.until(lambda: "press again" in sweep.screen)
        driver.send_signal(signal.SIGINT)
        assert driver.wait(20) == 130, sweep.screen
        sweep.finish()
        sweep.check_rows()
        sweep.check_calls(repeated_at_most=sweep.in_flight)


def test_second_sweep_on_a_live_directory_is_refused_and_says_who_holds_it(
    tmp_path: Path, server: StandIn, placement: list[str]
) -> None:
    with CliSweep(tmp_path, server, placement, jobs=800) as sweep:
        first = sweep.start()
        sweep.until_calls(50)
        holder = sweep.coordinator()
        assert sweep.start().wait(60) == 3, sweep.screen
        assert f"is being written by pid {holder} on " in sweep.screen
        assert "runner status" in sweep.screen
        sweep.hurry()
        assert first.wait(120) == 0, sweep.screen
        sweep.check_rows()
        sweep.check_calls(repeated_at_most=0)
