"""One stand-in API for all tests of this folder, and the command line beside it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.commands import Bench
from tests.support.standin import StandIn


@pytest.fixture(scope="session")
def server() -> Iterator[StandIn]:
    with StandIn() as standin:
        yield standin


@pytest.fixture
def api(server: StandIn) -> StandIn:
    """Return the stand-in as new: no faults, short answers, counters at zero."""
    server.configure(answer_bytes=100)
    server.reset()
    return server


@pytest.fixture
def bench(
    api: StandIn,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Bench:
    monkeypatch.chdir(tmp_path)
    return Bench(tmp_path, api.url, capsys.readouterr)
