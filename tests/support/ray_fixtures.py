"""Fixtures on Ray, for several folders of tests: one head for the whole session."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.cli_sweep import KEY
from tests.support.ray_head import RayHead


@pytest.fixture(scope="session")
def ray_head() -> Iterator[RayHead]:
    """A Ray of four CPUs that outlives the drivers under test."""
    with RayHead(RUNNER_TEST_KEY=KEY) as head:
        yield head


@pytest.fixture(scope="module")
def joined(ray_head: RayHead) -> Iterator[RayHead]:
    """The same, joined by the test process; `runner` uses the connection that it finds."""
    from runner.dispatch.ray_backend import settle_environment

    settle_environment(local=False)
    import ray

    ray.init(address=ray_head.address, log_to_driver=False, configure_logging=False)
    try:
        yield ray_head
    finally:
        ray.shutdown()
