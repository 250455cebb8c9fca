"""Runs DuckDB over the shards of a sweep: one connection, bounded memory, plain rows out.

Owns the connection and the counting queries. Texts never leave DuckDB here.
"""

from __future__ import annotations

import tempfile
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runner.core.errors import RecordError
from runner.record.reader import read

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

MEMORY_LIMIT = "512MB"
Row = tuple[Any, ...]


class Tables:
    """The shards of one sweep directory; every query sees the same ones.

    Args:
        directory: the sweep.
        connection: from `connect`.
    """

    def __init__(self, directory: Path, connection: DuckDBPyConnection) -> None:
        self.directory = directory
        self._connection = connection
        self._files: dict[str, list[str]] = {}

    def files(self, kind: str) -> list[str]:
        """Return the paths of the shards of a table (`transcripts`, …) that were there at first.

        Raises:
            RecordError: the manifest is damaged or of a newer version.
        """
        if kind not in self._files:
            self._files[kind] = read(self.directory, kind).paths()
        return self._files[kind]

    def keys(self, kind: str) -> list[str]:
        """Return the same as keys below the sweep directory."""
        return [f"{kind}/{Path(path).name}" for path in self.files(kind)]

    def run(self, sql: str, parameters: Mapping[str, object] | None = None) -> list[Row]:
        """Return all rows of a query whose result is small.

        Raises:
            RecordError: a shard cannot be read.
        """
        return list(self.stream(sql, parameters))

    def stream(
        self, sql: str, parameters: Mapping[str, object] | None = None, batch: int = 10_000
    ) -> Iterator[Row]:
        """Yield the rows of a query, `batch` of them in memory.

        Raises:
            RecordError: a shard cannot be read.
        """
        import duckdb  # noqa: PLC0415  # 0.1 s, and only commands that count need it

        try:
            result = self._connection.cursor().execute(sql, dict(parameters or {}))
            while rows := result.fetchmany(batch):
                yield from rows
        except duckdb.Error as error:
            first = str(error).splitlines()[0]
            msg = f"{self.directory}: {first}. Check the directory with: runner verify {self.directory}"
            raise RecordError(msg) from error


@contextmanager
def open_tables(directory: Path) -> Generator[Tables]:
    """Open a sweep directory for counting; spills to a temporary folder, never into the sweep."""
    import duckdb  # noqa: PLC0415  # as above

    with tempfile.TemporaryDirectory(prefix="runner-report-") as scratch:
        connection = duckdb.connect(
            config={
                "memory_limit": MEMORY_LIMIT,
                "threads": 2,
                "temp_directory": scratch,
                "preserve_insertion_order": False,
                "autoinstall_known_extensions": False,
                "autoload_known_extensions": False,
            }
        )
        try:
            yield Tables(directory, connection)
        finally:
            connection.close()
