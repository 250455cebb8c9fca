"""Readers beside a sweep that is killed again and again: each shard once, every glob whole."""

from __future__ import annotations

import contextlib
from collections import Counter
from pathlib import Path

import duckdb
import polars as pl
import pyarrow.parquet as pq
import pytest

import runner
from runner.core.errors import SweepStateError
from tests.support.cli_sweep import KEY, CliSweep
from tests.support.standin import StandIn

pytestmark = pytest.mark.chaos


class _Follower:
    """A grader that keeps nothing but its cursor between two looks, as one that restarts."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.shards: Counter[str] = Counter()
        self.jobs: Counter[str] = Counter()
        self._cursor: str | None = None

    def look(self) -> None:
        with contextlib.suppress(SweepStateError):  # the sweep has not begun yet
            for shard in runner.follow(self._directory, self._cursor):
                self.shards[shard.name] += 1
                table = pq.read_table(self._directory / shard.name, columns=["transcript_id"])
                self.jobs.update(table.column(0).to_pylist())
                self._cursor = shard.cursor


def _globs_agree(directory: Path) -> None:
    """Read as other people's tools do, at this moment; no job may be there twice."""
    if not [*(directory / "transcripts").glob("*.parquet")]:
        return
    glob = f"{directory}/transcripts/*.parquet"
    rows, jobs = duckdb.sql(
        f"select count(*), count(distinct transcript_id) from read_parquet('{glob}')"
    ).fetchall()[0]
    assert rows == jobs
    ids = pl.scan_parquet(glob).select("transcript_id").collect().to_series()
    assert ids.n_unique() == len(ids) >= rows  # published since, never less


def test_follower_sees_each_shard_once_over_kills_of_everything(
    tmp_path: Path, server: StandIn
) -> None:
    with CliSweep(tmp_path, server, [], jobs=1200) as sweep:
        follower = _Follower(sweep.directory)
        for calls in (250, 550, 850):
            sweep.start()
            sweep.until_calls(calls)
            follower.look()
            sweep.kill_all()
            follower.look()
            _globs_agree(sweep.directory)
            # What a kill leaves in the journal holds no key either.
            left = [p for p in sweep.directory.rglob("*") if p.is_file()]
            assert not [p for p in left if KEY.encode() in p.read_bytes()]
        sweep.finish()
        follower.look()
        sweep.check_rows()
        final = {f"transcripts/{p.name}" for p in (sweep.directory / "transcripts").iterdir()}
    assert set(follower.shards) == final
    assert set(follower.shards.values()) == {1}
    assert len(follower.jobs) == sweep.planned
    assert set(follower.jobs.values()) == {1}
