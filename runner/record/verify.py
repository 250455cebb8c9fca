"""`runner verify`: proves that the record is what the manifest says, from the bytes up.

It changes nothing, needs no lock and may run beside a live sweep: files are listed before the
manifest is read, so a shard that appears meanwhile is never taken for a foreign one. Memory is
one bitmap of seeds per cell, a few row groups, and 8 bytes for each attempt.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyroaring import BitMap

from runner.core.errors import RecordError
from runner.core.identity import job_key
from runner.core.seeds import SeedSet
from runner.record.compact import read_index
from runner.record.entries import Shard, Written, read_shard
from runner.record.folder import SweepFolder, removed_by, shards_of
from runner.record.layout import (
    COMPACTED,
    JOURNAL,
    MANIFEST,
    PARTS,
    entry_key,
    entry_number,
    snapshot_key,
)
from runner.record.schema import IDS, Kind, kind_of
from runner.record.state import Seeds, SweepState, bitmap, decode_state, seed_set

_CHUNK = 1 << 20
_EXAMPLES = 3


class Level(StrEnum):
    """How much a finding matters."""

    VIOLATION = "violation"
    """The record is not what it must be."""
    WARNING = "warning"
    """Something is there that does not belong there; no row is wrong."""
    INFO = "info"
    """Work that the next `runner resume` takes up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing found."""

    level: Level
    code: str
    """Stable name of the check."""
    where: str
    """Key in the sweep directory."""
    message: str
    """What is wrong, and what to do where anything can be done."""


@dataclass(slots=True)
class Verification:
    """All findings, and what was looked at."""

    findings: list[Finding] = field(default_factory=list[Finding])
    entries: int = 0
    files: int = 0
    rows: dict[str, int] = field(default_factory=dict[str, int])
    """By table."""
    recorded: int = 0
    """Jobs with a row in transcripts, counted from the rows."""
    dead: int = 0

    @property
    def ok(self) -> bool:
        """Nothing violates the record."""
        return all(finding.level is not Level.VIOLATION for finding in self.findings)

    def add(self, level: Level, code: str, where: str, message: str) -> None:
        """Note a finding."""
        self.findings.append(Finding(level=level, code=code, where=where, message=message))


def verify(directory: str | Path) -> Verification:
    """Check a sweep directory.

    Raises:
        RecordError: there is no such directory, or it has no manifest.
    """
    folder = SweepFolder(directory)
    if not folder.has_manifest():
        msg = f"{folder.root}: has no manifest; give the directory of a sweep."
        raise RecordError(msg)
    return _Verifier(folder).run()


class _Verifier:
    def __init__(self, folder: SweepFolder) -> None:
        self._folder = folder
        self._out = Verification()
        self._state = SweepState()
        self._shards: dict[str, Shard] = {}
        self._sources: dict[str, str] = {}
        """Shard to the part it is moved from, for entries that may be incomplete."""
        self._leaving: set[str] = set()
        """Superseded shards."""
        self._pending: set[str] = set()
        """Shards that are not in place yet, or not any more."""
        self._is_whole = True
        """Every manifest entry could be read."""
        self._seen: Seeds = {}
        """Jobs with a row in transcripts."""
        self._attempts = array("Q")

    def run(self) -> Verification:
        listed = {kind: self._folder.keys(f"{kind}/") for kind in Kind}
        self._read_manifest()
        for key in (key for keys in listed.values() for key in keys):
            if self._is_whole and key not in self._shards:
                self._foreign(key)
        for shard in self._shards.values():
            self._check_shard(shard)
        self._count_jobs()
        if self._is_whole:
            self._check_jobs()
        self._check_attempts()
        self._check_compacted()
        self._report_leftovers()
        return self._out

    def _violation(self, code: str, where: str, message: str) -> None:
        self._out.add(Level.VIOLATION, code, where, message)

    # --- the manifest

    def _read_manifest(self) -> None:
        try:
            for written in self._folder.entries():
                self._state.fold(written)
                self._state.entries_since_snapshot.clear()
                self._note_shards(written)
                self._check_snapshot(written.number)
        except RecordError as error:
            self._is_whole = False
            self._violation("manifest", MANIFEST, f"{error}. What follows is not checked")
        self._out.entries = self._state.head
        numbers = [n for key in self._folder.keys(MANIFEST) if (n := entry_number(key))]
        missing = entry_key(self._state.head + 1)
        if max(numbers) > self._state.head and not self._folder.path(missing).exists():
            self._is_whole = False
            self._violation(
                "manifest-gap", missing, f"missing, while later entries exist up to {max(numbers)}"
            )

    def _note_shards(self, written: Written) -> None:
        for name in removed_by(written):
            self._shards.pop(name, None)
            self._leaving.add(name)
        for fields in shards_of(written):
            shard = read_shard(fields)
            if shard.name in self._shards:
                self._violation("named-twice", shard.name, "published by two manifest entries")
            self._shards[shard.name] = shard
        if written.fields.has("moves"):
            self._sources.update((to, source) for source, to in written.fields.pairs("moves"))

    def _check_snapshot(self, number: int) -> None:
        key = snapshot_key(number)
        path = self._folder.path(key)
        if not path.exists():
            return
        try:
            state = decode_state(path.read_bytes(), str(path))
        except RecordError as error:
            self._out.add(Level.WARNING, "snapshot", key, str(error))
            return
        if (state.recorded, state.dead) != (self._state.recorded, self._state.dead):
            self._violation("snapshot", key, "says otherwise than the entries up to it")

    # --- files

    def _foreign(self, key: str) -> None:
        if not self._folder.path(key).exists():
            return
        if key in self._leaving:
            self._out.add(Level.INFO, "incomplete", key, "superseded; resume moves it away")
            return
        if not key.endswith(".parquet"):
            self._out.add(
                Level.WARNING,
                "foreign",
                key,
                "no manifest entry names it. Nothing but shards may lie here: move it elsewhere.",
            )
            return
        try:
            rows = f"{pq.read_metadata(self._folder.path(key)).num_rows} rows"
        except (pa.ArrowException, OSError):
            rows = "torn"
        self._violation(
            "foreign",
            key,
            f"no manifest entry names it ({rows}); a glob over the folder reads it. Move it away.",
        )

    def _check_shard(self, shard: Shard) -> None:
        path = self._folder.path(shard.name)
        kind = Kind(shard.name.partition("/")[0])
        if not path.exists() and self._is_pending(shard.name):
            self._pending.add(shard.name)
            return
        if not path.exists():
            self._violation("missing", shard.name, "named by the manifest and not there")
            return
        self._out.files += 1
        if self._checksum(path) != (shard.bytes, shard.sha256):
            self._violation(
                "checksum", shard.name, "its bytes are not those that the manifest names"
            )
        try:
            self._check_rows(kind, shard, pq.ParquetFile(path))
        except (RecordError, pa.ArrowException, OSError, KeyError) as error:
            self._violation("torn", shard.name, f"cannot be read ({error})")

    def _is_pending(self, name: str) -> bool:
        """Whether a won entry has not been carried out yet, or a newer one took the shard away."""
        source = self._sources.get(name)
        if source is not None and self._folder.path(source).exists():
            message = f"published, still at {source}; resume moves it"
            self._out.add(Level.INFO, "incomplete", name, message)
            return True
        return any(name in removed_by(w) for w in self._folder.entries(self._state.head))

    def _checksum(self, path: Path) -> tuple[int, str]:
        digest = hashlib.sha256()
        size = 0
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
                size += len(chunk)
        return size, digest.hexdigest()

    # --- rows

    def _check_rows(self, kind: Kind, shard: Shard, file: pq.ParquetFile) -> None:
        if kind_of(file.schema_arrow, shard.name) is not kind:
            self._violation("table", shard.name, "holds rows of another table")
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
            self._violation(
                "job-key", shard.name, f"{wrong_keys} keys do not follow from cell digest and seed"
            )
        if doubled:
            self._violation("duplicate", shard.name, f"{doubled} jobs have another row already")
        if rows != shard.rows:
            self._violation("rows", shard.name, f"{rows} rows, the manifest says {shard.rows}")
        if found != {cell: s for cell, s in shard.jobs.items() if len(s)}:
            self._violation("jobs", shard.name, "holds other jobs than the manifest says")

    def _see(self, found: dict[int, SeedSet]) -> int:
        """Add jobs of transcripts; return how many were there already."""
        doubled = 0
        for cell, seeds in found.items():
            new = bitmap(seeds)
            known = self._seen.setdefault(cell, BitMap())
            doubled += len(known & new)
            known |= new
        return doubled

    def _count_jobs(self) -> None:
        self._out.recorded = sum(len(seeds) for seeds in self._seen.values())
        self._out.dead = self._state.dead_jobs

    def _check_jobs(self) -> None:
        expected = {cell: seeds.copy() for cell, seeds in self._state.recorded.items()}
        for key in self._pending:
            if key.startswith(f"{Kind.TRANSCRIPTS}/"):
                for cell, seeds in self._shards[key].jobs.items():
                    if cell in expected:
                        expected[cell] -= bitmap(seeds)
        self._differ(expected, self._seen, "recorded by the manifest, without a row")
        self._differ(self._seen, expected, "with a row, not recorded by the manifest")
        for cell, seeds in self._state.dead.items():
            both = seeds & self._seen.get(cell, BitMap())
            if both:
                self._violation(
                    "answered-and-dead", f"cell {cell}", f"seeds {seed_set(both)} are both"
                )

    def _differ(self, left: Seeds, right: Seeds, what: str) -> None:
        for cell, seeds in left.items():
            more = seeds - right.get(cell, BitMap())
            if more:
                self._violation("recorded", f"cell {cell}", f"seeds {seed_set(more)}: {what}")

    def _check_attempts(self) -> None:
        hashes = np.frombuffer(self._attempts, dtype=np.uint64)
        doubled = len(hashes) - len(np.unique(hashes))
        if doubled:
            self._violation(
                "duplicate-attempts", f"{Kind.ATTEMPTS}/", f"{doubled} attempts have two rows"
            )

    # --- the rest

    def _check_compacted(self) -> None:
        try:
            files = read_index(self._folder)
        except RecordError as error:
            self._out.add(Level.WARNING, "compacted", COMPACTED, str(error))
            return
        for file in files:
            shards = [self._shards.get(name) for name in file.shards]
            rows = sum(shard.rows for shard in shards if shard is not None)
            path = self._folder.path(file.name)
            if None in shards or rows != file.rows or not path.exists():
                self._out.add(
                    Level.WARNING,
                    "compacted",
                    file.name,
                    "does not hold the published shards any more; run `runner compact` again",
                )

    def _report_leftovers(self) -> None:
        for folder, what in (
            (PARTS, "sealed or rewritten parts that are not published yet"),
            (JOURNAL, "journal segments that are not recorded as a whole yet"),
        ):
            keys = self._folder.keys(folder)
            if keys:
                examples = ", ".join(keys[:_EXAMPLES])
                message = f"{len(keys)} files, {what}; resume takes them up ({examples} …)"
                self._out.add(Level.INFO, "leftover", folder, message)


def _identities(kind: Kind, file: pq.ParquetFile) -> Iterator[tuple[int, int, str, str, str]]:
    """Yield (cell, seed, cell digest, row id, job key) of each row."""
    key = IDS[kind] if kind is not Kind.ATTEMPTS else "job_key"
    names = list(dict.fromkeys(["cell", "seed", "cell_digest", IDS[kind], key]))
    for number in range(file.num_row_groups):
        group = file.read_row_group(number, columns=names)
        lists = [group[name].to_pylist() for name in ("cell", "seed", "cell_digest")]
        yield from zip(*lists, group[IDS[kind]].to_pylist(), group[key].to_pylist(), strict=True)
