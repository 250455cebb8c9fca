"""Reads transcripts/ all the time, as any grader's glob would, and remembers what it saw."""

from __future__ import annotations

import asyncio
import io
import threading
from pathlib import Path
from typing import Self

import pyarrow as pa
import pyarrow.parquet as pq

from runner.core.errors import StorageError
from runner.core.seams import KeyMissingError
from runner.record.layout import TRANSCRIPTS, shard_seal
from runner.record.place import open_store
from runner.record.seals import list_seals, read_marker

_KEYS = ["transcript_id"]


class GlobWatcher:
    """A thread, as a context manager; `problems` is to be empty in the end.

    A published file never changes, so each is read once; what is checked at every look is that no
    file is unreadable, that none vanishes, and that no two hold the same job.
    """

    def __init__(self, directory: Path) -> None:
        self.problems: list[str] = []
        self.looks = 0
        self._folder = directory / "transcripts"
        self._files: dict[str, set[str]] = {}
        self._where: dict[str, str] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    @property
    def rows(self) -> int:
        """Jobs seen so far."""
        return len(self._where)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(30)
        self.look()

    def _run(self) -> None:
        while not self._stop.wait(0.05):
            self.look()

    def look(self) -> None:
        """Read what is new."""
        names = self._names()
        if names is None:
            return
        self.looks += 1
        if gone := self._files.keys() - names:
            self.problems.append(f"vanished: {sorted(gone)}")
        for name in sorted(names - self._files.keys()):
            try:
                keys = self._read(name)
            except Exception as error:  # noqa: BLE001  # whatever a reader would meet
                self.problems.append(f"{name}: {error!r}")
                continue
            found = keys.column("transcript_id").to_pylist()
            self._files[name] = set(found)
            if len(set(found)) != len(found):
                self.problems.append(f"{name}: a job twice")
            for key in found:
                if before := self._where.get(key):
                    self.problems.append(f"{key} in {before} and in {name}")
                self._where[key] = name

    def _names(self) -> set[str] | None:
        """Return the files that a glob shows now; None: nothing can be seen."""
        return {path.name for path in self._folder.glob("*.parquet")}

    def _read(self, name: str) -> pa.Table:
        return pq.read_table(self._folder / name, columns=_KEYS)


class BucketWatcher(GlobWatcher):
    """The same for a sweep in a bucket, whose server may be away at times."""

    def __init__(self, url: str) -> None:
        super().__init__(Path("nowhere"))
        self._store = open_store(url)

    def _names(self) -> set[str] | None:
        try:
            return {*asyncio.run(self._store.list(TRANSCRIPTS))}
        except StorageError:
            return None

    def _read(self, name: str) -> pa.Table:
        data = asyncio.run(self._store.get(name))
        return pq.read_table(io.BytesIO(data), columns=_KEYS)

    def waiting(self) -> int:
        """Return the rows that workers have sealed and nobody has published, 0 if none is seen."""
        return asyncio.run(self._waiting())

    async def _waiting(self) -> int:
        rows = 0
        try:
            published = {shard_seal(key) for key in await self._store.list(TRANSCRIPTS)}
            for seal in await list_seals(self._store):
                if seal not in published:
                    files = (await read_marker(self._store, seal)).files
                    rows += sum(f.rows for f in files if f.kind == "transcripts")
        except (StorageError, KeyMissingError):  # away, or published meanwhile
            return 0
        return rows
