"""Samples drawn for people to label, and the labels they gave: Parquet below review/.

    review/draws/<4 digits>.parquet    one row per record to label; never changed
    review/labels/<session>.parquet    one row per label, of one session of one person

A session's file is written again, whole and at once, after each label and before the page is told,
so a kill at any moment loses none. A label that was corrected stays: of the rows with one
(job_key, labeller, look) the one with the highest `labelled_at` counts. Labels are of records, not of
draws: a record that a later draw takes up again keeps its label.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from io import BytesIO
from typing import Any, cast

import pyarrow as pa
import pyarrow.parquet as pq

from runner.core.errors import RecordError
from runner.record.column import FLAG, INT, REAL, TEXT, Column
from runner.record.layout import REVIEW

LABEL_SCHEMA_VERSION = 1
DRAWS = f"{REVIEW}draws/"
LABELS = f"{REVIEW}labels/"
_META = b"runner.draw"
_VERSION = b"runner.label_schema_version"

DRAW_COLUMNS: tuple[Column, ...] = (
    Column(name="job_key", type=TEXT, unit="hex", meaning="As transcripts.transcript_id."),
    Column(name="cell", type=INT, meaning="As transcripts.cell."),
    Column(name="seed", type=INT, meaning="As transcripts.seed."),
    Column(name="scenario", type=TEXT, meaning="Of the record; part of its stratum."),
    Column(name="model", type=TEXT, meaning="Of the record; part of its stratum."),
    Column(
        name="verdict",
        type=TEXT,
        meaning="Outcome by the reviewed grader, its state where it gave none; part of its stratum.",
    ),
    Column(name="records", type=INT, unit="records", meaning="In the stratum, when it was drawn."),
    Column(name="drawn", type=INT, unit="records", meaning="Of them in this sample."),
    Column(
        name="selection_probability",
        type=REAL,
        meaning="drawn / records: each record of the stratum was as likely to be taken.",
    ),
    Column(name="twice", type=FLAG, meaning="To be labelled a second time."),
    Column(name="position", type=INT, meaning="In the order of the whole sample, from 0."),
)
LABEL_COLUMNS: tuple[Column, ...] = (
    Column(name="job_key", type=TEXT, unit="hex", meaning="As transcripts.transcript_id."),
    Column(name="draw", type=INT, meaning="Number of the draw it was shown from."),
    Column(name="grader", type=TEXT, meaning="Whose outcomes were the choices."),
    Column(name="labeller", type=TEXT, meaning="Who labelled, as they named themselves."),
    Column(name="session", type=TEXT, meaning="One run of `runner review`."),
    Column(name="look", type=INT, meaning="1: this person's first look at the record, 2: second."),
    Column(name="labelled_at", type=TEXT, unit="ISO 8601 UTC", meaning="When."),
    Column(name="outcome", type=TEXT, nullable=True, meaning="What they chose; null: cannot tell."),
    Column(
        name="harmful", type=FLAG, nullable=True, meaning="Whether that counts; null: cannot tell."
    ),
    Column(name="note", type=TEXT, meaning="Their own words."),
    Column(name="seconds", type=REAL, unit="s", meaning="From being shown to being labelled."),
    Column(
        name="prompt_opened",
        type=FLAG,
        meaning="They unfolded the prompt, from which the condition may be guessed.",
    ),
    Column(name="cut", type=FLAG, meaning="A text was too long to be shown whole."),
    Column(name="selection_probability", type=REAL, meaning="As in the draw."),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """A record of a sample, as `DRAW_COLUMNS` says."""

    job_key: str
    cell: int
    seed: int
    scenario: str
    model: str
    verdict: str
    records: int
    drawn: int
    selection_probability: float
    twice: bool
    position: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What a labeller may say."""

    outcome: str
    harmful: bool
    means: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Draw:
    """A sample of records, and how it was drawn."""

    number: int
    grader: str
    digest: str
    """Of the grader whose verdicts made the strata."""
    folder: str
    """Key prefix of those verdicts."""
    seed: int
    asked: int
    """Records that were asked for."""
    share_twice: float
    shards: tuple[str, ...]
    """Keys of the shards whose rows are the population."""
    choices: tuple[Choice, ...]
    items: tuple[Drawn, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """What somebody said of a record, as `LABEL_COLUMNS` says."""

    job_key: str
    draw: int
    grader: str
    labeller: str
    session: str
    look: int
    labelled_at: str
    outcome: str | None
    harmful: bool | None
    note: str
    seconds: float
    prompt_opened: bool
    cut: bool
    selection_probability: float


def draw_key(number: int) -> str:
    """Return the key of a draw; numbers begin at 1."""
    return f"{DRAWS}{number:04d}.parquet"


def labels_key(session: str) -> str:
    """Return the key of a session's labels; `session` is of letters, digits and `-`."""
    return f"{LABELS}{session}.parquet"


def encode_draw(draw: Draw) -> bytes:
    """Return a draw's file."""
    about = {f.name: getattr(draw, f.name) for f in fields(draw) if f.name != "items"}
    about["choices"] = [asdict(c) for c in draw.choices]
    metadata = {_META: json.dumps(about).encode()}
    return _encode([asdict(i) for i in draw.items], DRAW_COLUMNS, metadata)


def decode_draw(data: bytes, where: str) -> Draw:
    """Read a draw.

    Raises:
        RecordError: it is none, or of a newer version.
    """
    rows, metadata = _decode(data, DRAW_COLUMNS, where)
    try:
        about = json.loads(metadata[_META])
        about["choices"] = tuple(Choice(**c) for c in about["choices"])
        about["shards"] = tuple(about["shards"])
        return Draw(**about, items=tuple(Drawn(**row) for row in rows))
    except (ValueError, KeyError, TypeError) as error:
        raise _unreadable(where, error) from error


def encode_labels(labels: Sequence[Label]) -> bytes:
    """Return a session's file."""
    rows = [asdict(label) for label in labels]
    for row in rows:
        row["note"] = str(row["note"]).encode(errors="replace").decode()
        row["labeller"] = str(row["labeller"]).encode(errors="replace").decode()
    return _encode(rows, LABEL_COLUMNS, {})


def decode_labels(data: bytes, where: str) -> list[Label]:
    """Read a session's labels.

    Raises:
        RecordError: it is no such file, or of a newer version.
    """
    rows, _ = _decode(data, LABEL_COLUMNS, where)
    try:
        return [Label(**row) for row in rows]
    except TypeError as error:
        raise _unreadable(where, error) from error


def _encode(
    rows: Sequence[Mapping[str, object]],
    columns: Sequence[Column],
    metadata: Mapping[bytes, bytes],
) -> bytes:
    version = {_VERSION: str(LABEL_SCHEMA_VERSION).encode()}
    about = cast("dict[bytes | str, bytes | str]", {**metadata, **version})
    schema = pa.schema([c.field() for c in columns], metadata=about)
    values = {c.name: [row[c.name] for row in rows] for c in columns}
    sink = BytesIO()
    table = pa.table(cast("dict[str, Any]", values), schema=schema)
    pq.write_table(table, sink, compression="zstd")
    return sink.getvalue()


def _decode(
    data: bytes, columns: Sequence[Column], where: str
) -> tuple[list[dict[str, Any]], Mapping[bytes, bytes]]:
    try:
        table = pq.read_table(pa.BufferReader(data), use_threads=False)
        metadata: Mapping[bytes, bytes] = table.schema.metadata or {}
        version = int(metadata[_VERSION])
        if version > LABEL_SCHEMA_VERSION:
            msg = f"{where}: label schema version {version}; this package reads 1. Upgrade runner."
            raise RecordError(msg)
        return table.select([c.name for c in columns]).to_pylist(), metadata
    except (pa.ArrowException, ValueError, KeyError) as error:
        raise _unreadable(where, error) from error


def _unreadable(where: str, error: Exception) -> RecordError:
    return RecordError(f"{where}: not readable as labels ({error}). Restore it from a copy.")
