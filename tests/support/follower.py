"""Readers beside a sweep: one that follows it with a cursor, and other people's globs."""

from __future__ import annotations

import contextlib
from collections import Counter
from pathlib import Path

import duckdb
import polars as pl
import pyarrow.parquet as pq

import runner
from runner.core.errors import SweepStateError


class ShardFollower:
    """A grader that keeps nothing but its cursor between two looks, as one that restarts."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._cursor: str | None = None
        self.shards: Counter[str] = Counter()
        self.jobs: Counter[str] = Counter()

    def look(self) -> None:
        """Take what was published since the last look."""
        with contextlib.suppress(SweepStateError):  # the sweep has not begun yet
            for shard in runner.follow(self._directory, self._cursor):
                self.shards[shard.name] += 1
                table = pq.read_table(self._directory / shard.name, columns=["transcript_id"])
                self.jobs.update(table.column(0).to_pylist())
                self._cursor = shard.cursor

    def check(self, planned: int) -> None:
        """Every shard that a glob shows, and every job, was seen exactly once."""
        names = {f"transcripts/{p.name}" for p in (self._directory / "transcripts").iterdir()}
        assert set(self.shards) == names
        assert set(self.shards.values()) == {1}
        assert len(self.jobs) == planned
        assert set(self.jobs.values()) == {1}


def check_globs(directory: Path) -> None:
    """Read as DuckDB and Polars do, at this moment; no job may be there twice."""
    if not [*(directory / "transcripts").glob("*.parquet")]:
        return
    glob = f"{directory}/transcripts/*.parquet"
    rows, jobs = duckdb.sql(
        f"select count(*), count(distinct transcript_id) from read_parquet('{glob}')"
    ).fetchall()[0]
    assert rows == jobs
    ids = pl.scan_parquet(glob).select("transcript_id").collect().to_series()
    assert ids.n_unique() == len(ids) >= rows  # published since, never less
