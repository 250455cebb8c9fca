"""A cluster of two raylets, one of which is drained or lost in the middle of a sweep."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.cli_sweep import KEY, CliSweep
from tests.support.ray_head import RayHead, RayNode
from tests.support.standin import StandIn
from tests.support.watcher import GlobWatcher

pytestmark = [pytest.mark.chaos, pytest.mark.ray]


@pytest.fixture(scope="module")
def narrow_head() -> Iterator[RayHead]:
    """Room for one worker, so that the second one goes to the other node."""
    with RayHead(cpus=1, RUNNER_TEST_KEY=KEY) as head:
        yield head


def test_node_drained_its_worker_hands_over_and_nothing_is_called_twice(
    tmp_path: Path, server: StandIn, narrow_head: RayHead
) -> None:
    placement = ["--address", narrow_head.address, "--workers", "2"]
    with (
        RayNode(narrow_head, "drained", RUNNER_TEST_KEY=KEY) as node,
        CliSweep(tmp_path, server, placement, jobs=800) as sweep,
        GlobWatcher(sweep.directory) as watcher,
    ):
        driver = sweep.start()
        sweep.until_calls(200)
        sweep.until(lambda: len(sweep.workers()) == 2)
        server.configure(latency_s=1.0, answer_bytes=500)  # the command takes its time
        _drain(narrow_head, node)
        sweep.until(lambda: "its node is taken away" in sweep.screen)
        sweep.hurry()
        assert driver.wait(120) == 0, sweep.screen
        sweep.check_rows()
        sweep.check_calls(repeated_at_most=0)
    assert not watcher.problems


def test_node_lost_its_jobs_are_run_elsewhere(
    tmp_path: Path, server: StandIn, narrow_head: RayHead
) -> None:
    placement = ["--address", narrow_head.address, "--workers", "2"]
    with (
        RayNode(narrow_head, "lost", RUNNER_TEST_KEY=KEY) as node,
        CliSweep(tmp_path, server, placement, jobs=800) as sweep,
        GlobWatcher(sweep.directory) as watcher,
    ):
        driver = sweep.start()
        sweep.until_calls(200)
        sweep.until(lambda: len(sweep.workers()) == 2)
        node.kill()
        sweep.hurry()
        assert driver.wait(120) == 0, sweep.screen
        sweep.check_rows()
        sweep.check_calls(repeated_at_most=sweep.in_flight)
    assert not watcher.problems


def _drain(head: RayHead, node: RayNode) -> None:
    arguments = {
        "--address": head.address,
        "--node-id": node.node_id(),
        "--reason": "DRAIN_NODE_REASON_PREEMPTION",
        "--reason-message": "test",
        "--deadline-remaining-seconds": "60",
    }
    words = [word for pair in arguments.items() for word in pair]
    command = [sys.executable, "-m", "ray.scripts.scripts", "drain-node", *words]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
