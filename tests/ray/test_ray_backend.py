"""What only the Ray backend can meet: no room, processes told to exit, a cluster that is not."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from pathlib import Path

import pytest

from runner.core.errors import BackendError
from runner.record.frames import Header, scan
from tests.support.cli_sweep import CliSweep, configuration
from tests.support.ray_head import RayHead
from tests.support.sessions import Sessions
from tests.support.standin import StandIn

pytestmark = pytest.mark.ray


@pytest.fixture
def sessions(tmp_path: Path, joined: RayHead) -> Sessions:
    return Sessions(tmp_path, "ray")


def test_workers_that_find_no_room_end_the_start_with_a_reason(
    sessions: Sessions, server: StandIn
) -> None:
    import ray

    @ray.remote(num_cpus=4)
    class Squatter:
        def here(self) -> bool:
            return True

    squatter = Squatter.remote()
    ray.get(squatter.here.remote())
    sessions.start_s = 2
    try:
        with pytest.raises(BackendError, match="no worker started within 2 s: 2 ask for 1 CPU"):
            sessions.run(configuration(server.url, jobs=20))
    finally:
        ray.kill(squatter)
    assert server.stats()["total"] == 0


def test_more_workers_than_cpus_run_as_far_as_there_is_room(
    sessions: Sessions, server: StandIn
) -> None:
    sessions.workers = 5
    end = sessions.run(configuration(server.url, jobs=100))
    assert end.exit_code == 0
    assert any("5 workers ask for 1 CPU each" in line for line in sessions.screen.lines)


def test_worker_told_to_exit_finishes_what_is_in_flight_and_nothing_is_called_twice(
    sessions: Sessions, server: StandIn
) -> None:
    server.configure(latency_s=0.1, answer_bytes=500)
    told: list[int] = []

    def tell_one() -> None:
        deadline = time.monotonic() + 60
        while server.stats()["total"] < 150 and time.monotonic() < deadline:
            time.sleep(0.05)
        journal = next((sessions.directory / "journal").glob("w0-*.wal"))
        header = scan(journal.read_bytes()[:4096]).frames[0]
        assert isinstance(header, Header)
        told.append(header.process.pid)
        os.kill(header.process.pid, signal.SIGTERM)

    teller = threading.Thread(target=tell_one)
    teller.start()
    end = sessions.run(configuration(server.url, jobs=1000))
    teller.join()
    assert told
    assert end.exit_code == 0
    assert server.stats()["total"] == 1000
    assert any(f"w0 (pid {told[0]}" in line for line in sessions.screen.lines)


def test_address_where_nobody_listens_is_refused_and_nothing_is_claimed(
    tmp_path: Path, server: StandIn
) -> None:
    with socket.socket() as bound:  # taken, but not listening
        bound.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{bound.getsockname()[1]}"
        with CliSweep(tmp_path, server, ["--address", address], jobs=20) as sweep:
            assert sweep.start().wait(60) == 4
            assert f"--address {address}: no Ray cluster can be joined there" in sweep.screen
            assert not (sweep.directory / "manifest").exists()
