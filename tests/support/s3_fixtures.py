"""A real S3 server for tests of several folders: one for the whole session."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from runner.record.object_store import ObjectStore
from tests.support.s3_server import S3Server


@pytest.fixture(scope="session")
def s3_session() -> Iterator[S3Server]:
    """SeaweedFS on loopback."""
    with S3Server() as server:
        yield server


@pytest.fixture
def s3_server(
    s3_session: S3Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[S3Server]:
    """The server, with its credentials in this process's environment and node folders of its own."""
    for name, value in s3_session.environ.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("RUNNER_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("RUNNER_CACHE", str(tmp_path / "cache"))
    yield s3_session
    s3_session.start_if_dead()


@pytest.fixture
def s3_url(s3_server: S3Server) -> str:
    """An empty place in a bucket."""
    asyncio.run(ObjectStore("s3://sweeps").put("made", b""))  # SeaweedFS makes the bucket
    return f"s3://sweeps/{secrets.token_hex(4)}"
