"""Schedules made by hand: what random ones are unlikely to bring together."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.dst.cluster import simulate_schedule
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


def holds(seed: int, shape: Shape, *faults: Fault) -> None:
    schedule = Schedule(seed=seed, profile="mixed", shape=shape, faults=faults)
    outcome = simulate_schedule(schedule)
    assert outcome.failure is None, f"{schedule}\n{outcome.failure}"


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
