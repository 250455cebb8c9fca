"""`runner compact`: few large files beside the many small shards, which it never touches.

    compacted/<table>-<12 hex>.parquet   whole shards, one after the other; named by what it holds
    compacted/index.json                 which shards each file holds; written last

Files hold about `target_bytes`; the last one of a table may be smaller and is written again when
more shards have come. Memory is bounded by a few row groups. Running it twice changes nothing, and a
run that was killed leaves at most a file that the next run writes again or deletes. Only files of
our own naming are ever deleted.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from runner.core.errors import RecordError, StorageError, SweepStateError
from runner.record.fields import Fields
from runner.record.folder import SweepFolder, published
from runner.record.layout import COMPACTED, TEMPORARY
from runner.record.parts import GROUP_BYTES, GROUP_ROWS, write_groups, writer
from runner.record.schema import Kind, kind_of

INDEX_VERSION = 1
TARGET_BYTES = 128_000_000
_INDEX = f"{COMPACTED}index.json"
_NAME = re.compile(r"compacted/(transcripts|attempts|failures)-[0-9a-f]{12}\.parquet")


@dataclass(frozen=True, slots=True, kw_only=True)
class CompactedFile:
    """One line of the index."""

    name: str
    kind: Kind
    rows: int
    bytes: int
    shards: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Compaction:
    """What a run did."""

    written: tuple[CompactedFile, ...]
    kept: tuple[CompactedFile, ...]
    deleted: tuple[str, ...]


def compact(directory: str | Path, *, target_bytes: int = TARGET_BYTES) -> Compaction:
    """Write what is published into large files; may run while the sweep does.

    Args:
        directory: the sweep's directory.
        target_bytes: a file is closed when it has reached this size.

    Raises:
        RecordError: a damaged manifest, a torn shard.
        SweepStateError: no sweep there, or another compaction of it is running.
        StorageError: the disk refused.
    """
    folder = SweepFolder(directory)
    if not folder.has_manifest():
        msg = f"{folder}: no sweep (it has no manifest). Name the directory of a sweep."
        raise SweepStateError(msg)
    try:
        folder.path(TEMPORARY).mkdir(exist_ok=True)
        folder.path(COMPACTED).mkdir(exist_ok=True)
        with folder.path(f"{TEMPORARY}/compact.lock").open("w") as lock:
            _lock(lock.fileno(), folder)
            return _compact(folder, target_bytes)
    except OSError as error:
        msg = f"{folder.path(COMPACTED)}: {error.strerror or error}"
        raise StorageError(msg) from error


def _lock(descriptor: int, folder: SweepFolder) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        msg = f"{folder}: another `runner compact` is running; wait for it."
        raise SweepStateError(msg) from error


def _compact(folder: SweepFolder, target_bytes: int) -> Compaction:
    old = read_index(folder)
    current = published(folder)
    kept: list[CompactedFile] = []
    written: list[CompactedFile] = []
    for kind in Kind:
        shards = [key for key in current.of(kind) if folder.path(key).exists()]
        keep = _keep([f for f in old if f.kind is kind], shards, target_bytes, folder)
        held = {shard for file in keep for shard in file.shards}
        kept += keep
        rest = [key for key in shards if key not in held]
        written += _write_files(folder, kind, rest, target_bytes)
    files = sorted(kept + written, key=lambda file: list(Kind).index(file.kind))
    if files != old:
        _replace(folder, _INDEX, _dump_index(files))
    names = {file.name for file in files}
    stale = [k for k in folder.keys(COMPACTED) if _NAME.fullmatch(k) and k not in names]
    for key in stale:
        folder.path(key).unlink(missing_ok=True)
    return Compaction(written=tuple(written), kept=tuple(kept), deleted=tuple(stale))


def _keep(
    files: Sequence[CompactedFile], shards: Sequence[str], target: int, folder: SweepFolder
) -> list[CompactedFile]:
    """Return the files that stay: whole, still true, and large or with nothing to add."""
    there = set(shards)
    valid = [f for f in files if there.issuperset(f.shards) and _is_whole(folder, f)]
    held = {shard for file in valid for shard in file.shards}
    if there == held:
        return valid
    return [file for file in valid if file.bytes >= target]


def _is_whole(folder: SweepFolder, file: CompactedFile) -> bool:
    path = folder.path(file.name)
    return path.exists() and path.stat().st_size == file.bytes


def _write_files(
    folder: SweepFolder, kind: Kind, shards: Sequence[str], target: int
) -> Iterator[CompactedFile]:
    left = list(shards)
    while left:
        temporary = folder.path(f"{TEMPORARY}/compact-{kind}.parquet")
        taken, rows = _write_file(folder, left, temporary, target)
        digest = hashlib.sha256("\n".join(left[:taken]).encode()).hexdigest()[:12]
        name = f"{COMPACTED}{kind}-{digest}.parquet"
        size = temporary.stat().st_size
        _rename(temporary, folder.path(name))
        yield CompactedFile(name=name, kind=kind, rows=rows, bytes=size, shards=tuple(left[:taken]))
        del left[:taken]


def _write_file(
    folder: SweepFolder, shards: Sequence[str], target_path: Path, target: int
) -> tuple[int, int]:
    """Write shards until the file is large enough; return (number of shards, rows)."""
    rows = taken = 0
    schema = _open(folder, shards[0]).schema_arrow
    with pa.OSFile(str(target_path), "wb") as sink, writer(schema, sink) as out:
        waiting: list[pa.Table] = []
        for shard in shards:
            for group in _groups(_open(folder, shard)):
                waiting.append(group)
                rows += group.num_rows
                if _is_full(waiting):
                    write_groups(out, pa.concat_tables(waiting))
                    waiting.clear()
            taken += 1
            if sink.tell() >= target:
                break
        if waiting:
            write_groups(out, pa.concat_tables(waiting))
    return taken, rows


def _open(folder: SweepFolder, shard: str) -> pq.ParquetFile:
    path = folder.path(shard)
    try:
        file = pq.ParquetFile(path)
    except (pa.ArrowException, OSError) as error:
        msg = f"{path}: torn or no Parquet file ({error}). Run: runner verify {folder}"
        raise RecordError(msg) from error
    kind_of(file.schema_arrow, str(path))
    return file


def _groups(file: pq.ParquetFile) -> Iterator[pa.Table]:
    for number in range(file.num_row_groups):
        yield file.read_row_group(number)


def _is_full(tables: Sequence[pa.Table]) -> bool:
    return (
        sum(t.num_rows for t in tables) >= GROUP_ROWS or sum(t.nbytes for t in tables) > GROUP_BYTES
    )


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _rename(temporary: Path, target: Path) -> None:
    """Give a finished file its name, durably."""
    _sync(temporary)
    temporary.replace(target)
    _sync(target.parent)


def _replace(folder: SweepFolder, key: str, data: bytes) -> None:
    temporary = folder.path(f"{TEMPORARY}/compact-index.json")
    temporary.write_bytes(data)
    _rename(temporary, folder.path(key))


def _dump_index(files: Sequence[CompactedFile]) -> bytes:
    listed = [
        {"name": f.name, "kind": f.kind, "rows": f.rows, "bytes": f.bytes, "shards": f.shards}
        for f in files
    ]
    return orjson.dumps(
        {"schema_version": INDEX_VERSION, "files": listed}, option=orjson.OPT_INDENT_2
    )


def read_index(folder: SweepFolder) -> list[CompactedFile]:
    """Return what `compacted/` holds; empty where nothing was compacted.

    Raises:
        RecordError: the index is damaged or of a newer version.
    """
    path = folder.path(_INDEX)
    if not path.exists():
        return []
    fields = Fields.parse(path.read_bytes(), str(path))
    if fields.integer("schema_version") > INDEX_VERSION:
        msg = f"{path}: written by a newer runner; upgrade this one"
        raise RecordError(msg)
    return [
        CompactedFile(
            name=item.text("name"),
            kind=Kind(item.text("kind")),
            rows=item.integer("rows"),
            bytes=item.integer("bytes"),
            shards=item.texts("shards"),
        )
        for item in fields.inners("files")
    ]


def replace_compacted(folder: SweepFolder, shards: Sequence[str]) -> list[str]:
    """Return keys with the same rows: compacted files, and the shards that none of them holds.

    Args:
        folder: the sweep.
        shards: keys of published shards; a compacted file that holds any other is not used.
    """
    wanted = set(shards)
    files = [f for f in read_index(folder) if wanted.issuperset(f.shards) and _is_whole(folder, f)]
    held = {shard for file in files for shard in file.shards}
    return [f.name for f in files] + [key for key in shards if key not in held]
