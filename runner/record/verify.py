"""`runner verify`: proves that the record is what the manifest says, from the bytes up.

It changes nothing, needs no lock and may run beside a live sweep: files are listed before the
manifest is read, so a shard that appears meanwhile is never taken for a foreign one. Memory is
one bitmap of seeds per cell, a few row groups, and 8 bytes for each attempt.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from pyroaring import BitMap

from runner.config.resolved import load_resolved
from runner.core.errors import RecordError, SweepStateError
from runner.record.audit import RowAudit
from runner.record.compact import read_index
from runner.record.entries import Shard, Written, read_shard
from runner.record.findings import Level, Verification
from runner.record.folder import SweepFolder, removed_by, shards_of
from runner.record.layout import (
    COMPACTED,
    CONFIGURATION,
    JOURNAL,
    MANIFEST,
    PARTS,
    entry_key,
    entry_number,
    snapshot_key,
)
from runner.record.plan_file import plan_key
from runner.record.schema import Kind
from runner.record.state import Seeds, SweepState, bitmap, decode_state, seed_set

_EXAMPLES = 3


def verify(directory: str | Path) -> Verification:
    """Check a sweep directory.

    Raises:
        SweepStateError: there is no such directory, or no sweep in it.
    """
    # Not what lies in a copy: a checksum is proven where the data are.
    folder = SweepFolder(directory, anew=True)
    if not folder.has_manifest():
        msg = f"{folder}: no sweep (it has no manifest). Name the directory of a sweep."
        raise SweepStateError(msg)
    return _Verifier(folder).run()


class _Verifier:
    def __init__(self, folder: SweepFolder) -> None:
        self._folder = folder
        self._out = Verification()
        self._state = SweepState()
        self._rows: dict[str, int] = {}
        """Rows of each shard that belongs to the record now, by name."""
        self._leaving: set[str] = set()
        """Superseded shards."""
        self._pending: Seeds = {}
        """Jobs of transcripts shards that are not in place yet, or not any more."""
        self._is_whole = True
        """Every manifest entry could be read."""
        self._audit = RowAudit(self._out)

    def run(self) -> Verification:
        listed = {kind: self._folder.keys(f"{kind}/") for kind in Kind}
        self._read_manifest()
        for key in (key for keys in listed.values() for key in keys):
            if self._is_whole and key not in self._rows:
                self._foreign(key)
        self._check_shards()
        self._audit.finish()
        self._count_jobs()
        if self._is_whole:
            self._check_jobs()
        self._check_configuration()
        self._check_compacted()
        self._report_leftovers()
        return self._out

    # --- the manifest

    def _read_manifest(self) -> None:
        try:
            for written in self._folder.entries():
                self._state.fold(written)
                self._check_plan(written)
                self._state.entries_since_snapshot.clear()
                self._note_shards(written)
                self._check_snapshot(written.number)
        except RecordError as error:
            self._is_whole = False
            self._out.violation("manifest", MANIFEST, f"{error}. What follows is not checked")
        self._out.entries = self._state.head
        numbers = [n for key in self._folder.keys(MANIFEST) if (n := entry_number(key))]
        missing = entry_key(self._state.head + 1)
        if max(numbers) > self._state.head and not self._folder.path(missing).exists():
            self._is_whole = False
            self._out.violation(
                "manifest-gap", missing, f"missing, while later entries exist up to {max(numbers)}"
            )

    def _check_plan(self, written: Written) -> None:
        if written.kind != "plan":
            return
        key, sha256 = plan_key(written.fields.integer("version")), written.fields.text("sha256")
        path = self._folder.path(key)
        if not path.exists():
            self._out.violation("missing", key, "named by the manifest and not there")
        elif sha256 and hashlib.sha256(path.read_bytes()).hexdigest() != sha256:
            self._out.violation("checksum", key, "its bytes are not those that the manifest names")

    def _note_shards(self, written: Written) -> None:
        for name in removed_by(written):
            self._rows.pop(name, None)
            self._leaving.add(name)
        for shard in shards_of(written):
            name = shard.text("name")
            if name in self._rows:
                self._out.violation("named-twice", name, "published by two manifest entries")
            self._rows[name] = shard.integer("rows")

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
            self._out.violation("snapshot", key, "says otherwise than the entries up to it")

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
        self._out.violation(
            "foreign",
            key,
            f"no manifest entry names it ({rows}); a glob over the folder reads it. Move it away.",
        )

    def _check_shards(self) -> None:
        """Go through the entries again: their shards with all jobs would not fit in memory."""
        for number in range(1, self._state.head + 1):
            written = next(self._folder.entries(number - 1))
            sources: dict[str, str] = {}
            if written.fields.has("moves"):
                sources = {to: source for source, to in written.fields.pairs("moves")}
            for fields in shards_of(written):
                if fields.text("name") in self._rows:
                    shard = read_shard(fields)
                    self._check_shard(shard, sources.get(shard.name))

    def _check_shard(self, shard: Shard, source: str | None) -> None:
        path = self._folder.path(shard.name)
        if not path.exists() and self._is_pending(shard.name, source):
            if shard.name.startswith(f"{Kind.TRANSCRIPTS}/"):
                for cell, seeds in shard.jobs.items():
                    self._pending.setdefault(cell, BitMap()).update(bitmap(seeds))
        elif path.exists():  # perhaps only since the look before
            self._audit.check(shard, path)
        else:
            self._out.violation("missing", shard.name, "named by the manifest and not there")

    def _is_pending(self, name: str, source: str | None) -> bool:
        """Whether a won entry has not been carried out yet, or a newer one took the shard away."""
        if source is not None and self._folder.path(source).exists():
            message = f"published, still at {source}; resume moves it"
            self._out.add(Level.INFO, "incomplete", name, message)
            return True
        return any(name in removed_by(w) for w in self._folder.entries(self._state.head))

    def _count_jobs(self) -> None:
        self._out.recorded = sum(len(seeds) for seeds in self._audit.seen.values())
        self._out.dead = self._state.dead_jobs

    def _check_jobs(self) -> None:
        none = BitMap()
        expected = {
            cell: seeds - self._pending.get(cell, none)
            for cell, seeds in self._state.recorded.items()
        }
        self._differ(expected, self._audit.seen, "recorded by the manifest, without a row")
        self._differ(self._audit.seen, expected, "with a row, not recorded by the manifest")
        for cell, seeds in self._state.dead.items():
            both = seeds & self._audit.seen.get(cell, none)
            if both:
                self._out.violation(
                    "answered-and-dead", f"cell {cell}", f"seeds {seed_set(both)} are both"
                )

    def _differ(self, left: Seeds, right: Seeds, what: str) -> None:
        for cell, seeds in left.items():
            more = seeds - right.get(cell, BitMap())
            if more:
                self._out.violation("recorded", f"cell {cell}", f"seeds {seed_set(more)}: {what}")

    # --- the rest

    def _check_configuration(self) -> None:
        path = self._folder.path(CONFIGURATION)
        try:
            load_resolved(path.read_text(errors="replace"), CONFIGURATION)
        except FileNotFoundError:
            message = "missing; `runner sweep` with the configuration writes it again"
            self._out.add(Level.WARNING, "configuration", CONFIGURATION, message)
        except RecordError as error:
            self._out.add(Level.WARNING, "configuration", CONFIGURATION, str(error))

    def _check_compacted(self) -> None:
        try:
            files = read_index(self._folder)
        except RecordError as error:
            self._out.add(Level.WARNING, "compacted", COMPACTED, str(error))
            return
        for file in files:
            rows = [self._rows.get(name) for name in file.shards]
            path = self._folder.path(file.name)
            if None in rows or sum(n or 0 for n in rows) != file.rows or not path.exists():
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
