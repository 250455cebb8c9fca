"""Schedules made by hand: what random ones are unlikely to bring together."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from runner.dispatch.terms import STORE_PATIENCE_S
from runner.limits.authority import Authority
from runner.limits.quota import GroupQuota
from tests.dst.cluster import Outcome, simulate_schedule
from tests.dst.schedule import Fault, Schedule, Shape

pytestmark = pytest.mark.dst

SHAPE = Shape(
    workers=2,
    hosts=2,
    models=1,
    conditions=2,
    seeds=20,
    turns=1,
    seed_block=25,
    max_in_flight=4,
    latency_s=1.5,
    heartbeat_s=1.0,
    lease_ttl_s=4.0,
    seal_rows=10,
    seal_age_s=2.0,
    snapshot_every=8,
    copy_moves=False,
    shared_journal=True,
    bad_requests=0.0,
    deadly_jobs=0,
    real_parquet=False,
)


def played(seed: int, shape: Shape, *faults: Fault) -> Outcome:
    return simulate_schedule(Schedule(seed=seed, profile="mixed", shape=shape, faults=faults))


def holds(seed: int, shape: Shape, *faults: Fault) -> None:
    outcome = played(seed, shape, *faults)
    assert outcome.failure is None, f"{outcome.schedule}\n{outcome.failure}"


@pytest.mark.parametrize(
    ("kind", "amount"), [("store-before", 1.0), ("store-before", 0.7), ("store-slow", 200.0)]
)
def test_object_store_that_fails_throttles_or_is_slow_for_minutes_is_waited_for(kind, amount):
    shape = replace(SHAPE, shared_journal=False, storage_patience_s=STORE_PATIENCE_S)
    outcome = played(1, shape, Fault(at=5.0, kind=kind, lasts=300.0, amount=amount))
    assert outcome.failure is None, outcome.failure
    counts = outcome.counts
    assert counts["fleets"] == 2, "one session, and the look at the finished sweep"
    assert counts["repeated"] == 0
    assert counts["virtual seconds"] > 100


@pytest.mark.parametrize("seed", range(4))
def test_calls_longer_than_the_wait_of_a_worker_cut_off_before_the_coordinator_died_keep_their_places(
    seed,
):
    holds(
        seed,
        SHAPE,
        Fault(at=4.0, kind="api-timeout", lasts=3.0, amount=0.9),
        Fault(at=6.9, kind="cut-both", target="h1", lasts=40.0),
        Fault(at=7.0, kind="kill", target="coordinator"),
    )


def test_recovery_that_a_rival_publishes_in_the_same_moment_leases_nothing_any_more():
    shape = replace(
        SHAPE,
        hosts=3,
        models=2,
        conditions=4,
        seeds=6,
        seed_block=3,
        max_in_flight=8,
        seal_rows=3,
        seal_age_s=5.0,
        snapshot_every=3,
        copy_moves=True,
        bad_requests=0.05,
    )
    holds(
        1155,
        shape,
        Fault(at=4.9453, kind="stop", target="w0", lasts=1.0761),
        Fault(at=6.5746, kind="stop", target="w0", lasts=8.9),
        Fault(at=8.1856, kind="kill", target="w1"),
        Fault(at=10.3162, kind="rival", target="h1", amount=1.0),
    )


PACED = replace(SHAPE, rpm=900.0, seeds=100, max_in_flight=400, latency_s=0.5)
"""Permits are granted far ahead of their time."""
DEATHS = [
    (seed, Fault(at=at, kind="kill", target="coordinator")) for seed in (0, 2) for at in (7.3, 7.9)
]


@pytest.mark.parametrize(("seed", "death"), DEATHS)
def test_coordinator_that_dies_amid_permits_for_later_leaves_the_quota_whole(seed, death):
    holds(seed, PACED, death)


def _begins_as_if_it_were_the_first(
    self: Authority, config: GroupQuota, *, now: float, silent_s: float | None = None, **own: Any
) -> None:
    _BEGIN(self, config, now=now, silent_s=None, **own)


_BEGIN = Authority.__init__


@pytest.mark.parametrize(
    ("method", "planted"),
    [
        ("__init__", _begins_as_if_it_were_the_first),
        ("resume", lambda self, held_until_s, now: None),  # deaf to what workers hold
    ],
    ids=["begins as if it were the first", "deaf to what workers hold"],
)
def test_coordinator_that_forgets_permits_of_the_one_before_is_caught(monkeypatch, method, planted):
    monkeypatch.setattr(Authority, method, planted)
    failures = [str(played(seed, PACED, death).failure) for seed, death in DEATHS]
    assert any("beyond the quota" in failure for failure in failures), failures
