"""A Ray of three machines whose links are cut, both ways and one way, and one of which is lost.

Each machine has a network of its own (tests/support/machines.py). The model API hangs on the switch, so
a worker that is cut off from its coordinator could go on spending: only the worker itself can stop that.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.cli_sweep import ENGINE, KEY, CliSweep
from tests.support.machines import Machine, Network, need_root
from tests.support.ray_head import RayHead, RayNode
from tests.support.standin import StandIn
from tests.support.watcher import GlobWatcher

pytestmark = [pytest.mark.chaos, pytest.mark.ray, pytest.mark.root]

LATENCY_S = 0.3
ALONE_S = 1.5
"""How long a worker that has fenced itself is watched."""


@dataclass
class Cluster:
    """A head without CPUs, two machines with room for a worker each, and the model API."""

    net: Network
    head: RayHead
    hub: Machine
    left: Machine
    right: Machine
    lost: RayNode
    """Ray's node on the machine to the right."""
    server: StandIn

    def calls(self, machine: Machine) -> int:
        """Return how many calls came from a machine."""
        return self.server.stats()["callers"].get(machine.ip, 0)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    need_root()
    with Network() as net, StandIn(net.host_ip, latency_s=LATENCY_S, answer_bytes=500) as server:
        hub, left, right = net.add("hub"), net.add("left"), net.add("right")
        with (
            RayHead(0, machine=hub, RUNNER_TEST_KEY=KEY) as head,
            RayNode(head, "left", machine=left, RUNNER_TEST_KEY=KEY),
            RayNode(head, "right", machine=right, RUNNER_TEST_KEY=KEY) as lost,
        ):
            yield Cluster(net, head, hub, left, right, lost, server)


def test_links_cut_one_way_and_both_ways_then_a_node_lost_every_job_once_and_who_is_cut_off_stops(
    tmp_path: Path, cluster: Cluster
) -> None:
    net, hub, left, right = cluster.net, cluster.hub, cluster.left, cluster.right
    placement = ["--address", cluster.head.address, "--workers", "2"]
    with (
        CliSweep(tmp_path, cluster.server, placement, machine=hub, jobs=3000) as sweep,
        GlobWatcher(sweep.directory) as watcher,
    ):
        driver = sweep.start()
        sweep.until(lambda: cluster.calls(left) > 30 and cluster.calls(right) > 30)

        net.mute(left, hub)  # it hears, and is not heard
        _fences_itself(sweep, cluster, left, others=right)
        net.unmute(left, hub)
        _comes_back(sweep, cluster, left)

        net.mute(hub, right)  # it is heard, and does not hear
        _fences_itself(sweep, cluster, right, others=left)
        net.unmute(hub, right)
        _comes_back(sweep, cluster, right)

        net.unplug(left)  # from the model API, too
        _fences_itself(sweep, cluster, left, others=right)
        net.plug(left)
        _comes_back(sweep, cluster, left)

        cluster.lost.kill()
        sweep.hurry()
        assert driver.wait(120) == 0, sweep.screen
        sweep.check_rows()
        sweep.check_calls(repeated_at_most=4 * sweep.in_flight)  # what was on the wire each time
    assert not watcher.problems
    assert watcher.rows == sweep.planned


def _fences_itself(sweep: CliSweep, cluster: Cluster, cut: Machine, *, others: Machine) -> None:
    """After the lease time no call starts there, while the others go on."""
    time.sleep(ENGINE["lease_ttl_s"] + LATENCY_S)
    before, elsewhere = cluster.calls(cut), cluster.calls(others)
    time.sleep(ALONE_S)
    assert cluster.calls(cut) == before < sweep.planned
    assert cluster.calls(others) > elsewhere, sweep.screen


def _comes_back(sweep: CliSweep, cluster: Cluster, cut: Machine) -> None:
    before = cluster.calls(cut)
    sweep.until(lambda: cluster.calls(cut) > before + 10)
