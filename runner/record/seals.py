"""Seals: what a worker has written into parts/ and nobody has published yet.

parts/<seal>.transcripts.parquet   as many of the three kinds as have rows
parts/<seal>.failures.parquet
parts/<seal>.attempts.parquet
parts/<seal>.json                  the marker, written last: without it the seal does not exist
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import orjson

from runner.core.errors import RecordError
from runner.core.seams import Store
from runner.core.seeds import SeedSet
from runner.core.values import NOTHING, Amount
from runner.record.bounded import for_each
from runner.record.entries import amount_json, jobs_json, read_amount, read_jobs
from runner.record.fields import Fields
from runner.record.layout import KINDS, PARTS, marker_key, marker_seal, part_key

MARKER_VERSION = 1


class Part(Protocol):
    """One encoded Parquet file (`parts.EncodedPart`), without its home's dependencies."""

    @property
    def kind(self) -> str:
        """One of `layout.KINDS`."""
        ...

    @property
    def data(self) -> bytes:
        """The file."""
        ...

    @property
    def rows(self) -> int:
        """Rows in it."""
        ...

    @property
    def jobs(self) -> Mapping[int, SeedSet]:
        """Jobs with rows in it: cell number to seeds."""
        ...

    @property
    def counted(self) -> Amount:
        """What attempts in it count against a budget."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SealFile:
    """One part of a seal; its key is `layout.part_key(seal, kind)`."""

    kind: str
    rows: int
    bytes: int
    sha256: str
    jobs: Mapping[int, SeedSet]
    counted: Amount = NOTHING
    """What attempts in it count against a budget."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SealMarker:
    """What a seal consists of."""

    seal: str
    files: tuple[SealFile, ...]


async def write_seal(store: Store, seal: str, parts: Sequence[Part]) -> SealMarker:
    """Write a seal's parts side by side, then its marker.

    May be repeated after an error with the same arguments.

    Args:
        store: of the sweep.
        seal: a name never used before.
        parts: at most one of each kind.

    Raises:
        StorageError: the store refuses; without the marker nothing of it counts.
    """
    await for_each(parts, lambda p: store.put(part_key(seal, p.kind), p.data), limit=len(KINDS))
    marker = SealMarker(
        seal=seal,
        files=tuple(
            SealFile(
                kind=part.kind,
                rows=part.rows,
                bytes=len(part.data),
                sha256=hashlib.sha256(part.data).hexdigest(),
                jobs=part.jobs,
                counted=part.counted,
            )
            for part in parts
        ),
    )
    await store.put(marker_key(seal), encode_marker(marker))
    return marker


async def read_marker(store: Store, seal: str) -> SealMarker:
    """Read the marker of a seal.

    Raises:
        KeyMissingError: no such seal, or published already.
        RecordError: no marker, or one of a newer runner.
        StorageError: the store cannot be read.
    """
    key = marker_key(seal)
    return decode_marker(await store.get(key), seal, key)


async def list_seals(store: Store) -> list[str]:
    """Return the names of all seals that lie in parts/, sorted.

    Raises:
        StorageError: the store cannot be read.
    """
    return sorted(s for key in await store.list(PARTS) if (s := marker_seal(key)) is not None)


def encode_marker(marker: SealMarker) -> bytes:
    """Return the JSON of a marker."""
    return orjson.dumps(
        {
            "schema_version": MARKER_VERSION,
            "seal": marker.seal,
            "files": [
                {
                    "kind": file.kind,
                    "rows": file.rows,
                    "bytes": file.bytes,
                    "sha256": file.sha256,
                    "jobs": jobs_json(file.jobs),
                    "counted": amount_json(file.counted),
                }
                for file in marker.files
            ],
        },
        option=orjson.OPT_APPEND_NEWLINE,
    )


def decode_marker(data: bytes, seal: str, where: str) -> SealMarker:
    """Read what `encode_marker` wrote.

    Raises:
        RecordError: no marker of that seal, or one of a newer runner.
    """
    fields = Fields.parse(data, where)
    version = fields.integer("schema_version")
    if version > MARKER_VERSION:
        msg = f"{where}: schema_version {version} was written by a newer runner; upgrade this one"
        raise RecordError(msg)
    named = fields.text("seal")
    if named != seal:
        msg = f"{where}: seal: names {named!r}, not the seal of its file name"
        raise RecordError(msg)
    files: list[SealFile] = []
    for file in fields.inners("files"):
        kind = file.text("kind")
        if kind not in KINDS:
            msg = f"{where}: kind: {kind!r} is none of {', '.join(KINDS)}"
            raise RecordError(msg)
        files.append(
            SealFile(
                kind=kind,
                rows=file.integer("rows"),
                bytes=file.integer("bytes"),
                sha256=file.text("sha256"),
                jobs=read_jobs(file, "jobs"),
                counted=read_amount(file, "counted"),
            )
        )
    return SealMarker(seal=seal, files=tuple(files))
