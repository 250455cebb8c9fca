"""Processes that are suspended past their lease and then go on as if nothing had happened."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from tests.support.cli_sweep import CliSweep
from tests.support.standin import StandIn
from tests.support.watcher import GlobWatcher

pytestmark = [pytest.mark.chaos, pytest.mark.ray]

PAUSE_S = 6.0
"""Twice the lease time of these sweeps."""


def _pause(pid: int) -> None:
    os.kill(pid, signal.SIGSTOP)
    try:
        time.sleep(PAUSE_S)
    finally:
        os.kill(pid, signal.SIGCONT)


def test_worker_paused_beyond_its_lease_no_job_twice_and_its_journal_is_settled(
    tmp_path: Path, server: StandIn, on_ray: list[str]
) -> None:
    with (
        CliSweep(tmp_path, server, on_ray, jobs=1600) as sweep,
        GlobWatcher(sweep.directory) as watcher,
    ):
        driver = sweep.start()
        sweep.until(lambda: len(sweep.workers()) == 2)
        sweep.until_calls(300)
        before = server.stats()["total"]
        _pause(sweep.workers()[0])
        assert server.stats()["total"] > before + sweep.in_flight  # the other one went on
        sweep.hurry()
        assert driver.wait(120) == 0, sweep.screen
        sweep.check_rows()
        sweep.check_calls(repeated_at_most=sweep.in_flight)
        assert not list((sweep.directory / "journal").iterdir())
    assert not watcher.problems


def test_coordinator_paused_beyond_the_lease_workers_fence_themselves_and_come_back(
    tmp_path: Path, server: StandIn, on_ray: list[str]
) -> None:
    with (
        CliSweep(tmp_path, server, on_ray, jobs=800) as sweep,
        GlobWatcher(sweep.directory) as watcher,
    ):
        driver = sweep.start()
        sweep.until_calls(200)
        coordinator = sweep.coordinator()
        os.kill(coordinator, signal.SIGSTOP)
        try:
            time.sleep(PAUSE_S)
            fenced_at = server.stats()["total"]
            time.sleep(1.0)
            assert server.stats()["total"] == fenced_at < sweep.planned
        finally:
            os.kill(coordinator, signal.SIGCONT)
        sweep.hurry()
        assert driver.wait(120) == 0, sweep.screen
        sweep.check_rows()
        sweep.check_calls(repeated_at_most=0)
    assert not watcher.problems


def test_driver_paused_beyond_the_lease_the_sweep_goes_on_without_it(
    tmp_path: Path, server: StandIn, on_ray: list[str]
) -> None:
    with CliSweep(tmp_path, server, on_ray, jobs=600) as sweep:
        driver = sweep.start()
        sweep.until_calls(100)
        _pause(driver.pid)
        assert driver.wait(120) == 0, sweep.screen
        sweep.check_rows()
        sweep.check_calls(repeated_at_most=0)
