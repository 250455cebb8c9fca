"""Verdict tables: what graders say about recorded rows, beside them and never in them.

    verdicts/<grader>@<12 digits>/grader.json      grader, kind, role, version, whole digest, judged
                                                   view, gates, digest of the grading facts by cell
    verdicts/<grader>@<12 digits>/<shard>.parquet  one row per graded row of transcripts/<shard>.parquet

A changed grader has another digest and so another folder; the old one stays. The key of a verdict
is (job key, grader digest). A verdict file is written whole and at once, under the name of its shard; a shard without one is not
graded yet, and a file whose shard is gone is deleted. Columns: `VERDICT_COLUMNS`, and one nullable
boolean column `gate_<name>` for each gate of the grader.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from io import BytesIO
from typing import Any, cast

import pyarrow as pa
import pyarrow.parquet as pq

from runner.core.errors import RecordError
from runner.record.column import FLAG, INT, TEXT, Column
from runner.record.layout import TRANSCRIPTS, VERDICTS
from runner.record.schema import Kind, kind_of

VERDICT_SCHEMA_VERSION = 1
VERDICT_COLUMNS: tuple[Column, ...] = (
    Column(name="job_key", type=TEXT, unit="hex", meaning="As transcripts.transcript_id."),
    Column(name="cell", type=INT, meaning="As transcripts.cell."),
    Column(name="seed", type=INT, meaning="As transcripts.seed."),
    Column(name="grader", type=TEXT, meaning="Name of the grader."),
    Column(name="grader_kind", type=TEXT, meaning="`rule`, `python` or `judge`."),
    Column(
        name="grader_role",
        type=TEXT,
        meaning="`outcome` (rates are made of it) or `label` (to slice by).",
    ),
    Column(name="grader_version", type=INT, meaning="Version of its rules, told by its author."),
    Column(
        name="grader_digest",
        type=TEXT,
        unit="hex",
        meaning="SHA-256 over its source or rubric, model and parameters, version, gates and view.",
    ),
    Column(
        name="view",
        type=TEXT,
        meaning="What was judged: `actions`, `text` or `reasoning` (everything).",
    ),
    Column(
        name="state",
        type=TEXT,
        meaning="`graded`, `undecided` (a tie of valid votes), `judge_error` (the grader failed, or "
        "its calls ended as dead letters), `judge_refused`, `unparsable` or `skipped`.",
    ),
    Column(
        name="reason",
        type=TEXT,
        nullable=True,
        meaning="Why there is no verdict; null where graded.",
    ),
    Column(
        name="outcome",
        type=TEXT,
        nullable=True,
        meaning="The grader's word for what happened; null unless graded.",
    ),
    Column(
        name="harmful",
        type=FLAG,
        nullable=True,
        meaning="Counts in the headline rate; null unless graded, and for labels.",
    ),
    Column(
        name="first_action",
        type=TEXT,
        nullable=True,
        meaning="What the model did first, whatever the outcome; null where it did nothing or the "
        "grader does not look.",
    ),
    Column(
        name="votes",
        type=INT,
        nullable=True,
        unit="votes",
        meaning="Votes that a judge was asked for; null for rules and functions.",
    ),
    Column(
        name="votes_valid",
        type=INT,
        nullable=True,
        unit="votes",
        meaning="Votes that named an outcome; the majority of them is the outcome.",
    ),
    Column(
        name="evidence",
        type=TEXT,
        meaning="What the verdict stands on, in the model's words: hostile text.",
    ),
    Column(
        name="details",
        type=TEXT,
        unit="JSON object",
        meaning="What else the grader keeps; a judge: `votes`, each with state, outcome, reason "
        "and the key of its own row under judging/.",
    ),
)
"""Every grader's columns, before those of its gates."""
_BATCH_ROWS = 64
_READ = [
    *("transcript_id", "cell", "seed", "scenario", "condition", "axes", "model", "end_state"),
    "messages",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerRow:
    """What a grader needs of one recorded row."""

    job_key: str
    cell: int
    seed: int
    scenario: str
    condition: str
    axes: str
    """JSON, as in transcripts."""
    model: str
    end_state: str
    messages: str
    """JSON, as in transcripts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VerdictRow:
    """One row of a verdict table, the grader's own columns left out."""

    job_key: str
    cell: int
    seed: int
    state: str
    reason: str
    outcome: str
    harmful: bool | None
    first_action: str
    evidence: str
    gates: Mapping[str, bool]
    votes: int | None = None
    votes_valid: int | None = None
    details: Mapping[str, object] = field(default_factory=dict[str, object])


@dataclass(frozen=True, slots=True, kw_only=True)
class GraderCard:
    """`grader.json`: under which rules and facts the verdicts beside it were given."""

    grader: str
    kind: str
    role: str
    version: int
    digest: str
    """64 hex digits."""
    view: str
    gates: tuple[str, ...]
    facts: Mapping[int, str] = field(default_factory=dict[int, str])
    """Cell number to the digest of its grading facts, empty where it does not use the grader."""

    @property
    def folder(self) -> str:
        """Return the key prefix of its verdicts."""
        return f"{VERDICTS}{self.grader}@{self.digest[:12]}/"


def card_key(card: GraderCard) -> str:
    """Return the key of a card."""
    return f"{card.folder}grader.json"


def encode_card(card: GraderCard) -> bytes:
    """Return the card as JSON."""
    return json.dumps({"verdict_schema_version": VERDICT_SCHEMA_VERSION, **asdict(card)}).encode()


def decode_card(data: bytes, where: str) -> GraderCard:
    """Read a card.

    Raises:
        RecordError: no card, or one of a newer version.
    """
    try:
        raw = json.loads(data)
        version = raw.pop("verdict_schema_version")
        if version > VERDICT_SCHEMA_VERSION:
            msg = (
                f"{where}: verdict schema version {version}; this package reads 1. Upgrade runner."
            )
            raise RecordError(msg)
        raw["gates"] = tuple(raw["gates"])
        raw["facts"] = {int(k): v for k, v in raw["facts"].items()}
        return GraderCard(**raw)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        msg = f"{where}: not the card of a grader ({error}). Delete its folder to grade again."
        raise RecordError(msg) from error


def verdict_key(card: GraderCard, shard_key: str) -> str:
    """Return the key of the verdicts on a shard, `transcripts/<name>.parquet`."""
    return card.folder + shard_key.removeprefix(TRANSCRIPTS)


def answer_rows(data: bytes, where: str) -> Iterator[AnswerRow]:
    """Yield the rows of a transcripts shard, holding one row group and 64 rows as objects.

    Raises:
        RecordError: it is no transcripts shard.
    """
    try:
        file = pq.ParquetFile(pa.BufferReader(data), pre_buffer=False)
        if kind_of(file.schema_arrow, where) is not Kind.TRANSCRIPTS:
            msg = f"{where}: not a readable transcripts shard (it holds another table)."
            raise RecordError(msg)
        # In this thread alone: `parts.table_of_bytes` says why.
        for batch in file.iter_batches(batch_size=_BATCH_ROWS, columns=_READ, use_threads=False):
            for row in batch.to_pylist():
                yield AnswerRow(
                    job_key=row["transcript_id"],
                    cell=row["cell"],
                    seed=row["seed"],
                    scenario=row["scenario"],
                    condition=row["condition"],
                    axes=row["axes"],
                    model=row["model"],
                    end_state=row["end_state"],
                    messages=row["messages"],
                )
    except (pa.ArrowException, KeyError) as error:
        msg = f"{where}: not a readable transcripts shard ({error}). Check it with runner verify."
        raise RecordError(msg) from error


def verdict_schema(gates: Sequence[str]) -> pa.Schema:
    """Return the schema of a grader's verdict table."""
    fixed = [column.field() for column in VERDICT_COLUMNS]
    gated = [pa.field(f"gate_{g}", FLAG) for g in gates]
    version: dict[bytes | str, bytes | str] = {
        "runner.verdict_schema_version": str(VERDICT_SCHEMA_VERSION)
    }
    return pa.schema([*fixed, *gated], metadata=version)


def _text(text: str) -> str:
    """Return a text that has a UTF-8 form: a lone surrogate in what a model wrote has none."""
    return text.encode(errors="replace").decode()


def encode_verdicts(card: GraderCard, rows: Sequence[VerdictRow]) -> bytes:
    """Return one verdict file; without rows a file that says the shard was looked at."""
    schema = verdict_schema(card.gates)
    count = len(rows)
    columns: dict[str, list[object]] = {
        "job_key": [r.job_key for r in rows],
        "cell": [r.cell for r in rows],
        "seed": [r.seed for r in rows],
        "grader": [card.grader] * count,
        "grader_kind": [card.kind] * count,
        "grader_role": [card.role] * count,
        "grader_version": [card.version] * count,
        "grader_digest": [card.digest] * count,
        "view": [card.view] * count,
        "state": [r.state for r in rows],
        "reason": [_text(r.reason) or None for r in rows],
        "outcome": [_text(r.outcome) or None for r in rows],
        "harmful": [r.harmful for r in rows],
        "first_action": [_text(r.first_action) or None for r in rows],
        "votes": [r.votes for r in rows],
        "votes_valid": [r.votes_valid for r in rows],
        "evidence": [_text(r.evidence) for r in rows],
        "details": [json.dumps(r.details, default=str) for r in rows],
        **{f"gate_{g}": [r.gates.get(g) for r in rows] for g in card.gates},
    }
    sink = BytesIO()
    pq.write_table(
        pa.table(cast("dict[str, Any]", columns), schema=schema), sink, compression="zstd"
    )
    return sink.getvalue()
