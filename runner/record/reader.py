"""`runner.read`: the tables of a sweep, also while it runs, in the reader's own library.

What the manifest names is read, nothing else: a foreign file in `transcripts/` changes no result
(`runner verify` reports it). A directory without a manifest, for instance a copy of the shards
alone, is read as a plain glob would. DuckDB, Polars and Ray are imported by the method that needs
them and by nothing else.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, cast

import pyarrow as pa
import pyarrow.dataset as pads
import pyarrow.parquet as pq

from runner.core.errors import RecordError
from runner.record.compact import replace_compacted
from runner.record.folder import SweepFolder, published
from runner.record.schema import SCHEMAS, Kind, kind_of

if TYPE_CHECKING:
    import duckdb
    import polars as pl
    import ray.data


def read(
    directory: str | Path, table: str = "transcripts", *, compacted: bool = False
) -> TableReader:
    """Open a table of a sweep directory.

    Args:
        directory: the sweep's directory.
        table: transcripts, attempts or failures.
        compacted: read files of `runner compact` in place of the shards they hold.

    Raises:
        SweepStateError: no such directory.
        RecordError: no such table, or data of a newer version.
    """
    if table not in list(Kind):
        msg = f"{table}: no table of a sweep; choose one of {', '.join(Kind)}."
        raise RecordError(msg)
    return TableReader(SweepFolder(directory), Kind(table), compacted=compacted)


class TableReader:
    """One table; each method looks at what is published when it is called."""

    def __init__(self, folder: SweepFolder, kind: Kind, *, compacted: bool = False) -> None:
        self._folder = folder
        self._compacted = compacted
        self.kind = kind

    def paths(self) -> list[str]:
        """Return the published files that are in place, in order of publication.

        Raises:
            RecordError: a manifest entry is damaged or of a newer version.
        """
        keys = published(self._folder).of(self.kind)
        if not keys and not self._folder.has_manifest():
            keys = [k for k in self._folder.keys(f"{self.kind}/") if k.endswith(".parquet")]
        if self._compacted:
            keys = replace_compacted(self._folder, keys)
        found = [self._folder.path(key) for key in keys]
        return [str(path) for path in found if path.exists()]

    def schema(self) -> pa.Schema:
        """Return the schema of the sweep, which is that of all its files.

        Raises:
            RecordError: torn data, or data of a newer version.
        """
        paths = self.paths()
        return _schema_of(paths[0]) if paths else SCHEMAS[self.kind]

    def arrow(self) -> pads.FileSystemDataset:
        """Return an Arrow dataset."""
        paths = self.paths()
        if not paths:
            return pads.FileSystemDataset([], SCHEMAS[self.kind], pads.ParquetFileFormat())
        dataset = pads.dataset(paths, schema=_schema_of(paths[0]), format="parquet")
        assert isinstance(dataset, pads.FileSystemDataset)
        return dataset

    def duckdb(
        self, connection: duckdb.DuckDBPyConnection | None = None
    ) -> duckdb.DuckDBPyRelation:
        """Return a DuckDB relation, on a connection of its own unless one is given."""
        import duckdb as home  # noqa: PLC0415  # only readers that ask for it pay for it

        target = connection or home.connect()
        paths = self.paths()
        if not paths:
            return target.from_arrow(SCHEMAS[self.kind].empty_table())
        _schema_of(paths[0])
        return target.read_parquet(paths)

    def polars(self) -> pl.LazyFrame:
        """Return a Polars lazy frame."""
        import polars as pl  # noqa: PLC0415  # as above

        paths = self.paths()
        if not paths:
            frame = pl.from_arrow(SCHEMAS[self.kind].empty_table())
            assert isinstance(frame, pl.DataFrame)
            return frame.lazy()
        _schema_of(paths[0])
        return pl.scan_parquet(paths)

    def ray(self) -> ray.data.Dataset:
        """Return a Ray Dataset; Ray is started if it is not running yet."""
        import ray.data as home  # noqa: PLC0415  # as above

        paths = self.paths()
        if not paths:
            return cast("ray.data.Dataset", home.from_arrow(SCHEMAS[self.kind].empty_table()))
        _schema_of(paths[0])
        return home.read_parquet(paths)


def _schema_of(path: str) -> pa.Schema:
    try:
        schema = pq.read_schema(path)
    except (pa.ArrowException, OSError) as error:
        msg = f"{path}: torn or no Parquet file ({error}). Run: runner verify"
        raise RecordError(msg) from error
    kind_of(schema, path)
    return schema
