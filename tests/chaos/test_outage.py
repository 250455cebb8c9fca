"""A model server that is gone for a while: the sweep says so, probes rarely, goes on and loses nothing."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import duckdb
import pytest

from tests.support.cli_sweep import CliSweep
from tests.support.standin import StandIn

pytestmark = pytest.mark.chaos

AWAY_S = 12.0
PROBES = 8
"""One in two seconds until the breaker opens, then more and more rarely."""


def test_server_that_is_killed_and_comes_back_is_waited_for(tmp_path: Path) -> None:
    with StandIn(latency_s=0.1, answer_bytes=500) as server:
        port = int(server.url.rpartition(":")[2])
        with CliSweep(tmp_path, server, [], jobs=400, in_flight=8) as sweep:
            driver = sweep.start()
            sweep.until_calls(100)
            server.process.kill()
            gone = time.monotonic()
            sweep.until(lambda: "is overloaded or away, next probe in" in sweep.screen)
            assert _group(sweep)["breaker"] in {"open", "half_open"}
            sweep.until(lambda: time.monotonic() > gone + AWAY_S)
            with StandIn(port=port, latency_s=0.02, answer_bytes=500) as again:
                assert driver.wait(90) == 0, sweep.screen
                assert again.stats()["answered"] >= sweep.planned - 100 - sweep.in_flight
            sweep.check_rows()
    assert not list((sweep.directory / "failures").glob("*.parquet"))
    [(failed,)] = duckdb.sql(
        f"select count(*) from '{sweep.directory}/attempts/*.parquet' where not answered"
    ).fetchall()
    assert 0 < failed <= sweep.in_flight + PROBES


def _group(sweep: CliSweep) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "runner", "status", str(sweep.directory), "--json"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return json.loads(done.stdout)["progress"]["quotas"][0]
