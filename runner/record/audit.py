"""The rows of published shards, read back from their bytes: keys, duplicates, counts.

Memory is one bitmap of seeds per cell, the ids of one row group, and 8 bytes for each attempt.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyroaring import BitMap

from runner.core.errors import RecordError
from runner.core.identity import job_key
from runner.core.seeds import SeedSet
from runner.record.entries import Shard
from runner.record.findings import Verification
from runner.record.schema import IDS, Kind, kind_of
from runner.record.state import Seeds, bitmap

_CHUNK = 1 << 20


class RowAudit:
    """Reads shard after shard and notes what is wrong.

    Attributes:
        seen: jobs with a row in transcripts.
    """

    def __init__(self, out: Verification) -> None:
        self._out = out
        self.seen: Seeds = {}
        self._attempts = array("Q")
        """64-bit digests of attempt ids; for ten million the odds of a false alarm are 1 to
        three hundred thousand."""

    def check(self, shard: Shard, path: Path) -> None:
        """Check one shard, bytes and rows."""
        kind = Kind(shard.name.partition("/")[0])
        self._out.files += 1
        if _checksum(path) != (shard.bytes, shard.sha256):
            self._out.violation(
                "checksum", shard.name, "its bytes are not those that the manifest names"
            )
        try:
            self._check_rows(kind, shard, pq.ParquetFile(path))
        except (RecordError, pa.ArrowException, OSError, ValueError) as error:
            self._out.violation("torn", shard.name, f"cannot be read ({error})")

    def finish(self) -> None:
        """Check what only all shards together can tell."""
        digests = np.frombuffer(self._attempts, dtype=np.uint64)
        doubled = len(digests) - len(np.unique(digests))
        if doubled:
            self._out.violation(
                "duplicate-attempts", f"{Kind.ATTEMPTS}/", f"{doubled} attempts have two rows"
            )

    def _check_rows(self, kind: Kind, shard: Shard, file: pq.ParquetFile) -> None:
        if kind_of(file.schema_arrow, shard.name) is not kind:
            self._out.violation("table", shard.name, "holds rows of another table")
            return
        seeds: dict[int, list[int]] = {}
        rows = wrong_keys = doubled = 0
        for cell, seed, digest, row_id, key in _identities(kind, file):
            rows += 1
            seeds.setdefault(cell, []).append(seed)
            wrong_keys += key != job_key(digest, seed)
            if kind is Kind.ATTEMPTS:
                raw = hashlib.blake2b(row_id.encode(), digest_size=8).digest()
                self._attempts.append(int.from_bytes(raw, "big"))
        found = {cell: SeedSet.of_seeds(listed) for cell, listed in seeds.items()}
        if kind is Kind.TRANSCRIPTS:
            doubled = rows - sum(len(s) for s in found.values())
            doubled += self._see(found)
        self._out.rows[kind] = self._out.rows.get(kind, 0) + rows
        if wrong_keys:
            self._out.violation(
                "job-key", shard.name, f"{wrong_keys} keys do not follow from cell digest and seed"
            )
        if doubled:
            self._out.violation("duplicate", shard.name, f"{doubled} jobs have another row already")
        if rows != shard.rows:
            self._out.violation("rows", shard.name, f"{rows} rows, the manifest says {shard.rows}")
        if found != {cell: s for cell, s in shard.jobs.items() if len(s)}:
            self._out.violation("jobs", shard.name, "holds other jobs than the manifest says")

    def _see(self, found: dict[int, SeedSet]) -> int:
        """Add jobs of transcripts; return how many were there already."""
        doubled = 0
        for cell, seeds in found.items():
            new = bitmap(seeds)
            known = self.seen.setdefault(cell, BitMap())
            doubled += len(known & new)
            known |= new
        return doubled


def _checksum(path: Path) -> tuple[int, str]:
    digest = hashlib.sha256()
    size = 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
            size += len(chunk)
    return size, digest.hexdigest()


def _identities(kind: Kind, file: pq.ParquetFile) -> Iterator[tuple[int, int, str, str, str]]:
    """Yield (cell, seed, cell digest, row id, job key) of each row."""
    key = IDS[kind] if kind is not Kind.ATTEMPTS else "job_key"
    names = list(dict.fromkeys(["cell", "seed", "cell_digest", IDS[kind], key]))
    for number in range(file.num_row_groups):
        group = file.read_row_group(number, columns=names)
        lists = [group[name].to_pylist() for name in ("cell", "seed", "cell_digest")]
        yield from zip(*lists, group[IDS[kind]].to_pylist(), group[key].to_pylist(), strict=True)
