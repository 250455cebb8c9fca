"""Where workers are put: what each asks of the cluster, on real nodes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from runner.dispatch.ray_calls import answer_of
from runner.dispatch.ray_cluster import RayCluster
from tests.support.ray_head import RayHead, RayNode

pytestmark = pytest.mark.ray


@pytest.fixture(scope="module")
def node(joined: RayHead) -> Iterator[RayNode]:
    """A second node of four CPUs, which alone has a `pool`."""
    with RayNode(joined, "pool", cpus=4) as further:
        yield further


def test_workers_go_where_the_cluster_has_what_each_asks_for(
    joined: RayHead, node: RayNode
) -> None:
    cluster = RayCluster.connect(joined.address, 3, {"CPU": 2, "pool": 0.1})
    actors = [cluster.worker() for _ in range(3)]
    try:
        there = node.node_id()

        async def at(number: int, within_s: float) -> str:
            return (await answer_of(actors[number].look.remote(0), within_s)).node_id

        async def look() -> tuple[set[str], int]:
            await asyncio.wait([asyncio.create_task(at(n, 60.0)) for n in range(2)])
            found = [n for n in range(3) if _answers(actors[n])]
            return {await at(n, 5.0) for n in found}, len(found)

        nodes, running = asyncio.run(look())
        assert nodes == {there}
        assert running == 2  # two of two CPUs fill its four; the head's four have no such pool
    finally:
        for actor in actors:
            cluster.kill(actor)


def _answers(actor) -> bool:
    import ray

    done, _ = ray.wait([actor.look.remote(0)], timeout=3)
    return bool(done)


def test_workers_are_spread_over_the_nodes(joined: RayHead, node: RayNode) -> None:
    cluster = RayCluster.connect(joined.address, 4)
    actors = [cluster.worker() for _ in range(4)]
    try:

        async def look() -> list[str]:
            views = [answer_of(a.look.remote(0), 90.0) for a in actors]
            return [view.node_id for view in await asyncio.gather(*views)]

        nodes = asyncio.run(look())
        assert nodes.count(node.node_id()) == 2
    finally:
        for actor in actors:
            cluster.kill(actor)
