"""A Ray of three machines whose links are cut, both ways and one way, and one of which is lost.

Each machine has a network of its own (tests/support/machines.py). The model API hangs on the switch, so
a worker that is cut off from its coordinator could go on spending: only the worker itself can stop that.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from tests.support.cli_sweep import ENGINE, KEY, CliSweep
from tests.support.machines import Machine, Network, need_root
from tests.support.ray_head import RayHead, RayNode
from tests.support.standin import StandIn
from tests.support.watcher import GlobWatcher

pytestmark = [pytest.mark.chaos, pytest.mark.ray, pytest.mark.root]

FAST_S = 0.3
SLOW_S = 1.2
"""Latency of the API before a cut, and from then on: a worker holds two seconds of work, which now
lasts beyond its lease. It would be sent if nothing but an empty queue stopped the worker."""
ALONE_S = 2.0
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
    with Network() as net, StandIn(net.host_ip, latency_s=FAST_S, answer_bytes=500) as server:
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

        cuts = [
            (left, right, partial(net.mute, left, hub), partial(net.unmute, left, hub)),
            (right, left, partial(net.mute, hub, right), partial(net.unmute, hub, right)),
            (left, right, partial(net.unplug, left), partial(net.plug, left)),
        ]  # not heard; does not hear; both, and from the model API, too
        for machine, others, cut, mend in cuts:
            cluster.server.configure(latency_s=SLOW_S, answer_bytes=500)
            cut()
            _fences_itself(sweep, cluster, machine, others=others)
            cluster.server.configure(latency_s=FAST_S, answer_bytes=500)
            mend()
            before = cluster.calls(machine)
            sweep.until(lambda machine=machine, n=before: cluster.calls(machine) > n + 10)

        cluster.lost.kill()
        sweep.hurry()
        assert driver.wait(120) == 0, sweep.screen
        sweep.check_rows()
        sweep.check_calls(repeated_at_most=4 * sweep.in_flight)  # what was on the wire each time
    assert not watcher.problems
    assert watcher.rows == sweep.planned


def _fences_itself(sweep: CliSweep, cluster: Cluster, cut: Machine, *, others: Machine) -> None:
    """After the lease time no call starts there, while the others go on."""
    time.sleep(ENGINE["lease_ttl_s"] + 0.2)
    before, elsewhere = cluster.calls(cut), cluster.calls(others)
    time.sleep(ALONE_S)
    assert cluster.calls(cut) == before < sweep.planned, sweep.screen
    assert cluster.calls(others) > elsewhere, sweep.screen
