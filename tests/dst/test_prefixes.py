"""Cached prefixes over several workers in virtual time: each is written once for the whole sweep."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from tests.dst.cluster import Cluster
from tests.dst.codec import plain_parts
from tests.dst.schedule import Schedule
from tests.dst.test_made_schedules import SHAPE
from tests.dst.world import World

pytestmark = pytest.mark.dst

CACHED = replace(
    SHAPE, workers=4, conditions=12, seeds=25, seed_block=10, max_in_flight=64, cache_s=300.0
)


@pytest.mark.parametrize("rpm", [0.0, 300.0], ids=["places", "permits"])
def test_prefix_is_written_by_one_call_of_one_worker(rpm):
    shape = replace(CACHED, rpm=rpm)
    world = World(1, limit_s=900.0)
    cluster = Cluster(world, Schedule(seed=1, profile="calm", shape=shape, faults=()))
    with plain_parts():
        try:
            world.loop.run_until_complete(cluster.run())
        finally:
            world.loop.dispose()
    calls = cluster.api.calls
    readers = {call.process.name for call in calls}
    assert len(readers) == 4  # all take part
    readable: dict[int, float] = {}
    for call in calls:
        if call.delivered is not None:
            cell = call.job.cell
            readable[cell] = min(call.delivered, readable.get(cell, call.delivered))
    writes = Counter(c.job.cell for c in calls if c.started < readable[c.job.cell])
    assert len(writes) == shape.conditions
    assert set(writes.values()) == {1}, writes
