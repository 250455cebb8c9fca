"""kill -9 of each part at any moment: every job once, nothing paid twice but what was in flight."""

from __future__ import annotations

import os
import random
import signal
from pathlib import Path

import pytest

from tests.support.cli_sweep import KEY, CliSweep, wait_for
from tests.support.follower import ShardFollower, check_globs
from tests.support.standin import StandIn
from tests.support.watcher import GlobWatcher

pytestmark = [pytest.mark.chaos, pytest.mark.ray]


def test_worker_killed_during_a_sweep_the_others_end_it(
    tmp_path: Path, server: StandIn, on_ray: list[str]
) -> None:
    with (
        CliSweep(tmp_path, server, on_ray, jobs=800) as sweep,
        GlobWatcher(sweep.directory) as watcher,
    ):
        driver = sweep.start()
        sweep.until_calls(200)
        sweep.until(lambda: len(sweep.workers()) == 2)
        os.kill(sweep.workers()[0], signal.SIGKILL)
        sweep.until(lambda: "died; it is started again" in sweep.screen)
        sweep.hurry()
        assert driver.wait(120) == 0, sweep.screen
        sweep.check_rows()
        sweep.check_calls(repeated_at_most=sweep.in_flight)
    assert not watcher.problems
    assert watcher.rows == sweep.planned


def test_coordinator_killed_during_a_sweep_a_new_one_goes_on_and_nothing_is_called_twice(
    tmp_path: Path, server: StandIn, on_ray: list[str]
) -> None:
    with (
        CliSweep(tmp_path, server, on_ray, jobs=800) as sweep,
        GlobWatcher(sweep.directory) as watcher,
    ):
        driver = sweep.start()
        sweep.until_calls(200)
        sweep.until(lambda: watcher.rows)
        os.kill(sweep.coordinator(), signal.SIGKILL)
        sweep.until(lambda: "a new one goes on" in sweep.screen)
        sweep.hurry()
        assert driver.wait(120) == 0, sweep.screen
        sweep.check_rows()
        sweep.check_calls(repeated_at_most=0)
    assert not watcher.problems


def test_driver_killed_nothing_goes_on_calling_and_the_next_session_ends_it(
    tmp_path: Path, server: StandIn, on_ray: list[str]
) -> None:
    with (
        CliSweep(tmp_path, server, on_ray, jobs=800) as sweep,
        GlobWatcher(sweep.directory) as watcher,
    ):
        driver = sweep.start()
        sweep.until_calls(200)
        coordinator = sweep.coordinator()
        driver.kill()
        driver.wait()
        wait_for(lambda: not sweep.workers() and not Path(f"/proc/{coordinator}").exists(), 20)
        assert sweep.server.stats()["total"] < sweep.planned  # it was killed in the middle
        sweep.hurry()
        sweep.finish()
        sweep.check_rows()
        sweep.check_calls(repeated_at_most=sweep.in_flight)
    assert not watcher.problems


@pytest.mark.parametrize("seed", [1])
def test_everything_killed_at_random_moments_again_and_again(
    tmp_path: Path, server: StandIn, placement: list[str], seed: int
) -> None:
    draw = random.Random(seed)
    kills = 3
    with (
        CliSweep(tmp_path, server, placement, jobs=2000, in_flight=40) as sweep,
        GlobWatcher(sweep.directory) as watcher,
    ):
        follower = ShardFollower(sweep.directory)
        for _ in range(kills):
            sweep.start()
            sweep.until_calls(server.stats()["total"] + draw.randint(20, 500))
            follower.look()
            sweep.kill_all()
            follower.look()
            check_globs(sweep.directory)
            # What a kill leaves in the journal holds no key either.
            left = [p for p in sweep.directory.rglob("*") if p.is_file()]
            assert not [p for p in left if KEY.encode() in p.read_bytes()]
        sweep.hurry()
        sweep.finish()
        sweep.check_rows()
        follower.look()
        follower.check(sweep.planned)
        repeated = sweep.check_calls(repeated_at_most=kills * sweep.in_flight)
        print(f"seed {seed}: {repeated} calls repeated after {kills} kills")
    assert not watcher.problems
    assert watcher.rows == sweep.planned


def test_everything_killed_during_rollouts_of_several_turns_no_answered_turn_is_asked_again(
    tmp_path: Path, server: StandIn, placement: list[str]
) -> None:
    turns = ["And now? ({{ seed }})", "Why?"]
    with (
        CliSweep(tmp_path, server, placement, jobs=400, turns=turns) as sweep,
        GlobWatcher(sweep.directory) as watcher,
    ):
        for calls in (150, 500):
            sweep.start()
            sweep.until_calls(calls)
            sweep.kill_all()
        sweep.hurry()
        sweep.finish()
        sweep.check_rows()
        sweep.check_calls(repeated_at_most=2 * sweep.in_flight, turns=3)
    assert not watcher.problems
