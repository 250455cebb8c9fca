"""Reads transcripts/ all the time, as any grader's glob would, and remembers what it saw."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Self

import pyarrow.parquet as pq


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
        self.looks += 1
        names = {path.name for path in self._folder.glob("*.parquet")}
        if gone := self._files.keys() - names:
            self.problems.append(f"vanished: {sorted(gone)}")
        for name in sorted(names - self._files.keys()):
            try:
                keys = pq.read_table(self._folder / name, columns=["transcript_id"])
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
