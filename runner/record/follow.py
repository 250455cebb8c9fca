"""`runner.follow`: each published shard exactly once, in order of publication.

The manifest is the truth: a shard is yielded once a won entry names it and the file is in place,
never a part that is not published. The cursor of a shard names its manifest entry and its place in
it; kept by the reader after he has dealt with the shard, it survives any restart, of the reader and
of the sweep.

Superseded shards (`runner sweep --supersede`) that were not yielded before they left are skipped,
and the rewritten rest of them is yielded in their place; a reader who has seen the former does not
get the latter.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from runner.core.errors import RecordError, SweepStateError
from runner.core.seeds import SeedSet
from runner.record.entries import Written, read_jobs
from runner.record.fields import Fields
from runner.record.folder import SweepFolder, removed_by, shards_of
from runner.record.schema import Kind

CURSOR_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowedShard:
    """A published shard."""

    kind: Kind
    name: str
    """Key in the sweep directory."""
    path: Path
    rows: int
    sha256: str
    jobs: dict[int, SeedSet]
    """Jobs with rows in it: seeds by cell number."""
    cursor: str
    """Give it to `follow` to go on after this shard."""

    def arrow(self, columns: list[str] | None = None) -> pa.Table:
        """Read the shard.

        Raises:
            FileNotFoundError: the shard has been superseded meanwhile.
        """
        return pq.ParquetFile(self.path).read(columns)


@dataclass(slots=True)
class _Position:
    """After shard number `shard` of `entry`; (0, 0) before all."""

    sweep: str = ""
    """Nonce of the first entry: tells the cursor of another sweep."""
    entry: int = 0
    shard: int = 0
    skipped: tuple[str, ...] = ()
    """Superseded shards that were not yielded, until their rest has been."""

    def dump(self, kind: Kind) -> str:
        return orjson.dumps(
            {
                "version": CURSOR_VERSION,
                "table": kind,
                "sweep": self.sweep,
                "entry": self.entry,
                "shard": self.shard,
                "skipped": self.skipped,
            }
        ).decode()


def follow(
    directory: str | Path,
    cursor: str | None = None,
    *,
    table: str = "transcripts",
    poll_s: float | None = None,
    stop: threading.Event | None = None,
) -> Iterator[FollowedShard]:
    """Yield the shards that were published after a cursor.

    Args:
        directory: the sweep's directory.
        cursor: `cursor` of the last shard dealt with; None begins at the first.
        table: transcripts, attempts or failures.
        poll_s: None ends with what is published now; otherwise wait that long between two looks,
            until the sweep is released by its writer or `stop` is set.
        stop: ends the waiting.

    Raises:
        RecordError: no such table, a damaged manifest, a lost shard, no cursor.
        SweepStateError: no such directory, or the cursor belongs to another sweep or table.
    """
    if table not in list(Kind):
        msg = f"{table}: no table of a sweep; choose one of {', '.join(Kind)}."
        raise RecordError(msg)
    follower = _Follower(SweepFolder(directory), Kind(table), cursor)
    signal = stop or threading.Event()
    while True:
        yield from follower.look()
        if poll_s is None or follower.finished or signal.wait(poll_s):
            return
        follower.refresh()


class _Follower:
    def __init__(self, folder: SweepFolder, kind: Kind, cursor: str | None) -> None:
        self._folder = folder
        self._kind = kind
        self._at = _Position() if cursor is None else _parse(cursor, kind, folder)
        self._read = max(0, self._at.entry - 1)
        """Entries up to it are dealt with."""
        self._released = False
        self._waiting = False

    @property
    def finished(self) -> bool:
        """The writer let go, and all it published has been yielded."""
        return self._released and not self._waiting

    def refresh(self) -> None:
        """Fetch what is new, where the sweep is on an object store."""
        self._folder.refresh()

    def look(self) -> Iterator[FollowedShard]:
        """Yield what is there now; stops before a shard that is not in place yet."""
        self._waiting = False
        for written in self._folder.entries(self._read):
            if written.number == 1:
                self._at.sweep = written.nonce
            if written.kind in ("claim", "release"):
                self._released = written.kind == "release"
            yield from self._entry(written)
            if self._waiting:
                return
            self._read = written.number

    def _entry(self, written: Written) -> Iterator[FollowedShard]:
        done = self._at.shard if written.number == self._at.entry else 0
        for place, shard in enumerate(self._shards(written), start=1):
            if place <= done or not self._wanted(written, shard):
                continue
            name = shard.text("name")
            if not self._folder.path(name).exists():
                if self._superseded(name, written.number):
                    self._at.skipped = (*(s for s in self._at.skipped if s != name), name)
                    continue
                self._check_lost(name, written.number)
                self._waiting = True
                return
            self._at.entry, self._at.shard = written.number, place
            yield self._followed(shard, name)
        gone = removed_by(written)
        self._at.skipped = tuple(name for name in self._at.skipped if name not in gone)

    def _shards(self, written: Written) -> list[Fields]:
        prefix = f"{self._kind}/"
        return [s for s in shards_of(written) if s.text("name").startswith(prefix)]

    def _wanted(self, written: Written, shard: Fields) -> bool:
        """Whether a shard holds rows that were not yielded: the rest of one that was skipped."""
        if written.kind == "publish":
            return True
        jobs = read_jobs(shard, "jobs")
        return any(
            removed.text("name") in self._at.skipped and _overlap(jobs, read_jobs(removed, "jobs"))
            for removed in written.fields.inners("removed")
        )

    def _followed(self, shard: Fields, name: str) -> FollowedShard:
        return FollowedShard(
            kind=self._kind,
            name=name,
            path=self._folder.path(name),
            rows=shard.integer("rows"),
            sha256=shard.text("sha256"),
            jobs=read_jobs(shard, "jobs"),
            cursor=self._at.dump(self._kind),
        )

    def _superseded(self, name: str, number: int) -> bool:
        return any(name in removed_by(written) for written in self._folder.entries(number))

    def _check_lost(self, name: str, number: int) -> None:
        if number <= self._folder.last_snapshot() and not self._folder.path(name).exists():
            msg = (
                f"{self._folder.path(name)}: published by manifest entry {number} and missing. "
                f"Run: runner verify {self._folder}"
            )
            raise RecordError(msg)


def _overlap(jobs: dict[int, SeedSet], others: dict[int, SeedSet]) -> bool:
    return any(
        len(seeds.minus(others[cell])) < len(seeds)
        for cell, seeds in jobs.items()
        if cell in others
    )


def _parse(cursor: str, kind: Kind, folder: SweepFolder) -> _Position:
    fields = Fields.parse(cursor.encode(), "cursor")
    if fields.integer("version") > CURSOR_VERSION:
        msg = "cursor: written by a newer runner; upgrade this one"
        raise RecordError(msg)
    sweep = fields.text("sweep")
    first = next(folder.entries(), None)
    if first is None or first.nonce != sweep or fields.text("table") != kind:
        msg = (
            f"cursor: not of the {kind} of {folder}. "
            "Use it with the sweep and table it came from, or begin without a cursor."
        )
        raise SweepStateError(msg)
    return _Position(
        sweep, fields.integer("entry"), fields.integer("shard"), fields.texts("skipped")
    )
