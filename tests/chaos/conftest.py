"""Placements that the same chaos runs on, and the model API."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.ray_head import RayHead
from tests.support.standin import StandIn


@pytest.fixture
def on_ray(ray_head: RayHead) -> list[str]:
    """Two workers on Ray."""
    return ["--address", ray_head.address, "--workers", "2"]


@pytest.fixture(params=["inprocess", "ray"])
def placement(request: pytest.FixtureRequest) -> list[str]:
    """Both backends."""
    return [] if request.param == "inprocess" else request.getfixturevalue("on_ray")


@pytest.fixture
def server() -> Iterator[StandIn]:
    """A model API that takes a tenth of a second per call."""
    with StandIn(latency_s=0.1, answer_bytes=500) as standin:
        yield standin
