"""The model API that the sweeps of this folder call."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.cli_sweep import KEY
from tests.support.standin import StandIn


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    """A model API that takes 20 ms per call, and the key for it."""
    monkeypatch.setenv("RUNNER_TEST_KEY", KEY)
    with StandIn(latency_s=0.02, answer_bytes=500) as standin:
        yield standin
