"""A sweep whose directory is a bucket: kill -9, the store itself killed, resume, every reader."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

import runner
from runner.core.errors import EXIT_STORAGE
from runner.record.place import Place, open_store
from tests.support.cli_sweep import KEY, CliSweep
from tests.support.s3_server import S3Server
from tests.support.standin import StandIn

pytestmark = [pytest.mark.chaos, pytest.mark.s3]


def _shards(url: str) -> list[str]:
    return asyncio.run(open_store(url).list("transcripts/"))


def test_driver_and_then_the_store_killed_every_job_once_and_the_readers_agree(
    tmp_path: Path, server: StandIn, s3_server: S3Server, s3_url: str
) -> None:
    with CliSweep(tmp_path, server, [], jobs=800) as sweep:
        sweep.directory = Place(s3_url)
        driver = sweep.start()
        sweep.until(lambda: _shards(s3_url))
        driver.kill()
        driver.wait()

        before = server.stats()["total"]
        s3_server.kill()  # away when the next session starts: it waits
        driver = sweep.start()
        sweep.until(lambda: "Waiting for it" in sweep.screen)
        s3_server.start()
        sweep.until(lambda: "workers of the session before may still run" in sweep.screen)
        sweep.until_calls(before + 100)
        s3_server.kill()  # in the middle of uploads: what is answered waits in the journal
        sweep.until_calls(before + 140)
        s3_server.start()
        sweep.hurry()
        assert driver.wait(120) == 0, sweep.screen

        sweep.check_calls(repeated_at_most=sweep.in_flight)
        asyncio.run(sweep.directory.refresh())
        sweep.check_rows()
        followed = [*runner.follow(s3_url)]
        assert sum(shard.rows for shard in followed) == sweep.planned
        assert runner.read(s3_url).arrow().count_rows() == sweep.planned
        count = runner.read(s3_url).duckdb(duckdb.connect()).count("*").fetchall()
        assert count == [(sweep.planned,)]
        assert "each job at most once" in _command("verify", s3_url)
        assert f'"planned": {sweep.planned}' in _command("report", s3_url, "--json")
        status = json.loads(_command("status", s3_url, "--json"))
        assert status["state"] == "finished"
        assert KEY not in "".join(_everything(s3_url))
        assert not list(tmp_path.glob("s3:*")), "a folder was made of the URL"


def _command(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "runner", *arguments], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _everything(url: str) -> list[str]:
    store = open_store(url)
    keys = asyncio.run(store.list(""))
    return [asyncio.run(store.get(key)).decode("latin-1") for key in keys]


def test_ctrl_c_while_the_store_is_away_says_how_to_go_on(
    tmp_path: Path, server: StandIn, s3_server: S3Server, s3_url: str
) -> None:
    with CliSweep(tmp_path, server, [], jobs=400, engine={"grace_s": 1.0}) as sweep:
        sweep.directory = Place(s3_url)
        driver = sweep.start()
        sweep.until_calls(100)
        s3_server.kill()
        driver.send_signal(signal.SIGINT)
        assert driver.wait(60) == EXIT_STORAGE, sweep.screen
        assert f"Continue with: runner resume {s3_url}" in sweep.screen
