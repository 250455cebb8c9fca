"""Outages of hours and minutes in virtual time, on the whole engine: who waits, who stops, who is blamed.

The oracle of every schedule looks on: no dead letter without its own failures, no permit beyond the
quota, no answer lost.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from dataclasses import replace

import pytest

from runner.core.values import FailureKind, Job
from runner.dispatch.coordinator import Ended
from runner.observe.progress import Progress, plain
from tests.dst.api import ApiFault
from tests.dst.cluster import Cluster
from tests.dst.codec import plain_parts
from tests.dst.schedule import Schedule, Shape
from tests.dst.sweep import JOB_FAILURES
from tests.dst.world import World

pytestmark = pytest.mark.dst

CALM = Shape(
    workers=2,
    hosts=1,
    models=1,
    conditions=2,
    seeds=40,
    turns=1,
    seed_block=25,
    max_in_flight=8,
    latency_s=1.0,
    heartbeat_s=2.0,
    lease_ttl_s=8.0,
    seal_rows=20,
    seal_age_s=5.0,
    snapshot_every=64,
    copy_moves=False,
    shared_journal=True,
    bad_requests=0.0,
    deadly_jobs=0,
    real_parquet=False,
)
PACED = replace(CALM, rpm=120.0)
AT_S = 8.0
"""When it begins: some calls have been answered."""


class Watched:
    """A cluster, and what its coordinator said of itself twice a minute."""

    def __init__(self, shape: Shape, faults: list[ApiFault], *, limit_s: float) -> None:
        schedule = Schedule(seed=1, profile="calm", shape=shape, faults=())
        self.world = World(1, limit_s=limit_s)
        self.cluster = Cluster(self.world, schedule)
        self.seen: list[tuple[float, Progress]] = []
        self.faults = faults

    def run(self, main: Callable[[Watched], object] | None = None) -> None:
        with plain_parts():
            try:
                self.world.loop.run_until_complete(self._run())
            finally:
                self.world.loop.dispose()

    async def _run(self) -> None:
        watcher = asyncio.ensure_future(self._watch())
        for fault in self.faults:
            fault.until += self.world.now
        try:
            await self.cluster.run()
        finally:
            watcher.cancel()

    async def _watch(self) -> None:
        await asyncio.sleep(AT_S)
        self.cluster.api.faults += self.faults
        while True:
            await asyncio.sleep(30.0)
            engine = self.cluster.fleets[-1].engine
            if engine is not None:
                self.seen.append((self.world.now, engine.progress()))

    def calls_between(self, begin: float, end: float) -> int:
        return sum(begin <= call.started < end for call in self.cluster.api.calls)


def outage(kind: FailureKind, lasts: float) -> ApiFault:
    return ApiFault(kind=kind, model=None, until=AT_S + lasts, probability=1.0)


def paid_once(watched: Watched) -> bool:
    """Every job was answered exactly once: nothing lost, nothing repeated."""
    answered = [call.job for call in watched.cluster.api.calls if call.delivered is not None]
    return sorted(answered) == sorted(watched.cluster.sweep.jobs)


@pytest.mark.parametrize("shape", [CALM, PACED], ids=["places", "permits"])
@pytest.mark.parametrize("kind", [FailureKind.OVERLOADED, FailureKind.SERVER_ERROR])
def test_storm_of_two_minutes_loses_no_job_and_burns_no_attempts(shape: Shape, kind: FailureKind):
    watched = Watched(shape, [outage(kind, 120.0)], limit_s=900.0)
    watched.run()  # the oracle would object to a dead letter that is nobody's fault
    assert paid_once(watched)
    assert all(progress.failed == 0 for _, progress in watched.seen)
    # A place at a time: what was under way, then probes.
    assert watched.calls_between(AT_S + 10.0, AT_S + 120.0) <= 16


@pytest.mark.parametrize(
    ("kind", "shape"), [(FailureKind.OVERLOADED, PACED), (FailureKind.CONNECTION, CALM)]
)
def test_endpoint_away_for_an_hour_is_waited_for_visibly_probed_rarely_and_used_again(
    kind: FailureKind, shape: Shape
):
    watched = Watched(shape, [outage(kind, 3600.0)], limit_s=5000.0)
    watched.run()
    assert paid_once(watched)
    during = [p for at, p in watched.seen if AT_S + 60.0 < at < 3600.0]
    assert len(during) > 100
    assert all(p.quotas[0].breaker in {"open", "half_open"} for p in during)
    assert sum("is overloaded or away, next probe in" in plain(p) for p in during) > 90
    # About one a minute; without permits the worker of the probe may send a second one.
    most = 75 if shape is PACED else 150
    assert watched.calls_between(AT_S + 60.0, AT_S + 3600.0) <= most
    assert watched.cluster.api.calls[-1].started < AT_S + 3600.0 + 180.0  # and then goes on


@pytest.mark.parametrize(
    ("kind", "within_s"),
    [
        (FailureKind.AUTHENTICATION, 5.0),
        (FailureKind.SPEND_LIMIT, 5.0),
        (FailureKind.UNKNOWN_MODEL, 5.0),
        (FailureKind.PERMISSION, 10.0),
        (FailureKind.CONNECTION, 30.0),
    ],
)
def test_sweep_that_cannot_succeed_stops_at_once_and_says_why(kind: FailureKind, within_s: float):
    watched = Watched(PACED, [], limit_s=300.0)
    cluster = watched.cluster
    cluster.api.faults.append(ApiFault(kind=kind, model=None, until=1e9, probability=1.0))

    async def main() -> Ended:
        fleet = cluster.start_fleet(watched.world.hosts["h0"])
        while fleet.ended is None:
            fleet.keep_up()
            await asyncio.sleep(0.5)
        return fleet.ended

    with plain_parts():
        try:
            ended = watched.world.loop.run_until_complete(main())
        finally:
            watched.world.loop.dispose()
    assert ended.reason == "stopped"
    first = cluster.api.calls[0].started
    assert cluster.api.calls[-1].started - first <= within_s
    engine = cluster.fleets[0].engine
    assert engine is not None
    assert re.search(f"simulated: {kind}", engine.table.stopped["m0"])
    assert not cluster.oracle.dead_letters or kind is FailureKind.PERMISSION


def test_prompt_that_alone_always_fails_ends_in_failures_and_all_others_are_answered():
    bad = Job(0, 7)
    fault = ApiFault(kind=FailureKind.SERVER_ERROR, model=None, until=1e9, probability=1.0, job=bad)
    watched = Watched(PACED, [], limit_s=900.0)
    watched.cluster.api.faults.append(fault)
    watched.run()
    calls = watched.cluster.api.calls
    assert sum(call.job == bad for call in calls) >= JOB_FAILURES
    answered = {call.job for call in calls if call.delivered is not None}
    assert watched.cluster.sweep.jobs - answered == {bad}
    assert watched.seen[-1][1].failed == 1
