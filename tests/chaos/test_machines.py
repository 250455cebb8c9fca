"""A Ray of three machines: links are cut, both ways and one way, a disk is full, a node is lost.

Each machine has a network of its own (tests/support/machines.py). The model API hangs on the switch, so
a worker that is cut off from its coordinator could go on spending: only the worker itself can stop that.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from runner.record.object_store import ObjectStore
from runner.record.place import Place, open_store
from tests.support.cli_sweep import ENGINE, KEY, CliSweep
from tests.support.machines import Machine, Network, need_root
from tests.support.ray_head import RayHead, RayNode
from tests.support.s3_server import S3Server
from tests.support.standin import StandIn
from tests.support.watcher import BucketWatcher, GlobWatcher

pytestmark = [pytest.mark.chaos, pytest.mark.ray, pytest.mark.root, pytest.mark.s3]

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
    environ: dict[str, str]

    @property
    def placement(self) -> list[str]:
        """A worker on each of the two."""
        return ["--address", self.head.address, "--workers", "2"]

    def calls(self, machine: Machine) -> int:
        """Return how many calls came from a machine."""
        return self.server.stats()["callers"].get(machine.ip, 0)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    need_root()
    with (
        Network() as net,
        StandIn(net.host_ip) as server,
        S3Server(net.host_ip) as store,
        pytest.MonkeyPatch.context() as patch,
    ):
        hub, left, right = net.add("hub"), net.add("left"), net.add("right")
        environ = {**store.environ, "RUNNER_TEST_KEY": KEY, "RUNNER_STATE": str(hub.disk / "state")}
        for name, value in {**store.environ, "RUNNER_CACHE": str(net.folder / "cache")}.items():
            patch.setenv(name, value)
        with (
            RayHead(0, machine=hub, **environ) as head,
            RayNode(head, "left", machine=left, **environ),
            RayNode(head, "right", machine=right, **environ) as lost,
        ):
            yield Cluster(net, head, hub, left, right, lost, server, environ)


def test_beside_a_bucket_a_killed_workers_journal_is_handed_in_and_a_full_disk_stops_one_node_alone(
    tmp_path: Path, cluster: Cluster
) -> None:
    server, left, right = cluster.server, cluster.left, cluster.right
    server.configure(latency_s=0.1, answer_bytes=500)
    server.reset()
    asyncio.run(ObjectStore("s3://sweeps").put("made", b""))  # SeaweedFS makes the bucket
    url = f"s3://sweeps/{secrets.token_hex(4)}"
    with (
        CliSweep(
            tmp_path,
            server,
            cluster.placement,
            machine=cluster.hub,
            environ=cluster.environ,
            journals=lambda: left.seen(left.disk / "state" / "journal").glob("*"),
            jobs=1600,
            engine={"seal_age_s": 4.0, "lease_ttl_s": 18.0},
        ) as sweep,
        BucketWatcher(url) as watcher,
    ):
        sweep.directory = Place(url)
        driver = sweep.start()
        sweep.until(lambda: cluster.calls(left) > 30 and cluster.calls(right) > 30)
        (victim,) = sweep.workers()  # on the left, where its journal is
        os.kill(victim, signal.SIGKILL)
        before = cluster.calls(left)
        sweep.until(lambda: cluster.calls(left) > before + 30)  # its successor
        assert _recovered_rows(cluster) > 0, sweep.screen
        right.fill_disk()  # its journal lies there
        unsealed = len(server.stats()["answered_markers"]) - watcher.rows
        time.sleep(1.0)
        before, elsewhere = cluster.calls(right), cluster.calls(left)
        sweep.until(lambda: cluster.calls(left) > elsewhere + 30)
        assert cluster.calls(right) == before
        sweep.hurry()
        assert driver.wait(120) == 0, sweep.screen
        assert cluster.calls(right) == before, "a worker without a journal goes on calling"
        right.empty_disk()
        asyncio.run(sweep.directory.refresh())
        sweep.check_rows()
        # What was on the wire, twice, and what the full disk kept from being sealed; nothing else.
        sweep.check_calls(repeated_at_most=2 * sweep.in_flight + unsealed)
        assert asyncio.run(open_store(url).list("journal/")) == []
        assert not list(left.seen(left.disk / "state" / "journal").glob("*/*"))
    assert not watcher.problems
    assert watcher.rows == sweep.planned


def _recovered_rows(cluster: Cluster) -> int:
    """Return how many rows the coordinator has made of journals."""
    logs = cluster.hub.seen(cluster.hub.disk / "state").rglob("coordinator-*.jsonl")
    events = [json.loads(line) for log in logs for line in log.read_text().splitlines()]
    return sum(e["rows"] for e in events if e["event"] == "JournalRecovered")


def test_links_cut_one_way_and_both_ways_then_a_node_lost_every_job_once_and_who_is_cut_off_stops(
    tmp_path: Path, cluster: Cluster
) -> None:
    net, hub, left, right = cluster.net, cluster.hub, cluster.left, cluster.right
    cluster.server.configure(latency_s=FAST_S, answer_bytes=500)
    cluster.server.reset()
    with (
        CliSweep(tmp_path, cluster.server, cluster.placement, machine=hub, jobs=3000) as sweep,
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
