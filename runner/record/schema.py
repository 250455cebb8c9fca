"""The three tables of a sweep, declared once: columns, types, units, nullability.

`docs/schema.md` is generated from this module (`python -m runner.record.schema_doc`). What a
column means is part of its Parquet field metadata too, so that a file explains itself.

Rules for a change: a column is never dropped, renamed or given another type inside a version. Free
facts (axes, labels, parameters) are JSON string columns and never columns of their own, because a
column that appears later breaks plain globs. Strings are `large_string`, no field has a dictionary
type (Parquet dictionary *encoding* is an affair of the file, see `REPEATED`), times are ISO 8601
text in UTC with microseconds: Inspect Scout reads `transcripts/` as it is and refuses a timestamp
as `date`.
"""

from __future__ import annotations

from enum import StrEnum

import pyarrow as pa

from runner.core.errors import RecordError
from runner.record.column import Column
from runner.record.column import flag_column as _flag
from runner.record.column import int_column as _int
from runner.record.column import real_column as _real
from runner.record.column import text_column as _text
from runner.record.column import word_column as _word

SCHEMA_VERSION = 1
"""Raised with every change to the columns below; a sweep keeps the version it began with."""

_TABLE_KEY = b"runner.table"
_VERSION_KEY = b"runner.schema_version"


class Kind(StrEnum):
    """A table; also the name of its folder in the sweep directory."""

    TRANSCRIPTS = "transcripts"
    ATTEMPTS = "attempts"
    FAILURES = "failures"


CELL_COLUMNS: tuple[Column, ...] = (
    _int("schema_version", "Version of this schema that the row was written with."),
    _word("runner_version", "Version of the package that wrote the row."),
    _word("sweep", "Name of the sweep in its configuration."),
    _word("sweep_id", "Random identity of the sweep directory."),
    _int("cell", "Number of the cell in the plan; stable while the plan grows."),
    _word("cell_digest", "SHA-256 over everything that decides the cell's requests.", unit="hex"),
    _word(
        "prompt_digest",
        "SHA-256 of the rendered messages and tools alone; equal between models.",
        unit="hex",
    ),
    _word("scenario", "Name of the scenario."),
    _int("scenario_version", "Version of the scenario."),
    _word("condition", "The bound axes as one readable name."),
    _word("axes", "The bound axes: level by axis.", unit="JSON object"),
    _word("model", "Name of the model in the configuration."),
    _word("provider", "Kind of client: `anthropic`, `openai`, `local`."),
    _word("model_id", "Model id that was requested."),
    _word("endpoint_id", "What stands for the endpoint in the job's identity."),
    _word("labels", "Free facts of the scenario for readers.", unit="JSON object"),
    _word("canary", "Canary text of the scenario, if it has one.", nullable=True),
)
"""The same in every row of a cell; `schema_version` and `runner_version` in every row of a file."""

_TOKENS: tuple[Column, ...] = (
    _int("input_tokens", "Input that was not read from or written to a cache.", unit="tokens"),
    _int("output_tokens", "Output, reasoning included.", unit="tokens"),
    _int("cache_read_tokens", "Input read from a prompt cache.", unit="tokens"),
    _int("cache_write_tokens", "Input written to a prompt cache.", unit="tokens"),
    _int(
        "reasoning_tokens",
        "Part of output_tokens that was reasoning; 0 where the API does not say.",
        unit="tokens",
    ),
)


def _sums(columns: tuple[Column, ...]) -> tuple[Column, ...]:
    return tuple(
        Column(
            name=c.name,
            type=c.type,
            meaning=f"{c.meaning.rstrip('.')}; sum over the rollout's answered calls.",
            unit=c.unit,
            repeated=True,
        )
        for c in columns
    )


def _maybe(columns: tuple[Column, ...]) -> tuple[Column, ...]:
    return tuple(
        Column(name=c.name, type=c.type, meaning=c.meaning, unit=c.unit, nullable=True)
        for c in columns
    )


_COST = _real(
    "cost_usd",
    "Cost by dated prices; null is unknown, never 0. A refusal before any output costs 0.",
    unit="USD",
    nullable=True,
)
_COST_OF_JOB = _real(
    "cost_usd",
    "Cost by dated prices of the answers that the rollout used; null where one is unknown. What "
    "attempts beside them cost is in the attempts table.",
    unit="USD",
    nullable=True,
)
_SIMULATED = _flag("simulated", "A simulator answered: evidence about machinery, never a model.")
_MESSAGES = (
    "The conversation, oldest message first, in Inspect's ChatMessage form with stable ids; "
    "an assistant's content is a list of parts (text, reasoning, data), tool calls beside it."
)

TRANSCRIPT_COLUMNS: tuple[Column, ...] = (
    _text("transcript_id", "Key of the job: 160 bits over (cell digest, seed).", unit="hex"),
    _word("source_type", "Always `runner`."),
    _word("source_id", "Same as sweep_id."),
    _text("date", "When the first request of the job was sent.", unit="ISO 8601, UTC"),
    _word("task_set", "Same as scenario."),
    _word("task_id", "Same as condition."),
    _int("task_repeat", "Same as seed."),
    _word("agent", "Always `runner`."),
    _word("agent_args", "Scenario, its version and the bound axes.", unit="JSON object"),
    _word("model_options", "Request parameters, max_tokens included.", unit="JSON object"),
    _int("message_count", "Messages in `messages`.", unit="messages"),
    _real("total_time", "From the first request to the end of the job, waits included.", unit="s"),
    _int("total_tokens", "All input (cached too) and output.", unit="tokens"),
    _word("error", "Always null here: jobs with an error are in failures.", nullable=True),
    _word(
        "limit",
        "What cut a truncated answer: `token` (max_tokens) or `context` (the model's window).",
        nullable=True,
    ),
    _flag("trust_content", "Always false: model output is shown as plain text."),
    _text("messages", _MESSAGES, unit="JSON list"),
    *CELL_COLUMNS,
    _int("seed", "Sample index inside the cell; drives every seeded choice."),
    _word("end_state", "How the job ended: answered, refused, empty, truncated or blocked."),
    _word("stop_reason", "Stop reason of the last call, as the API gave it."),
    _word(
        "stop_reasons",
        "Stop reason of each answer of the model under test, in order.",
        unit="JSON list",
    ),
    _word("returned_model_id", "Model id that the API returned with the last call."),
    _int("turns", "Turns of the model; a continued pause is no turn of its own.", unit="turns"),
    _int("attempts", "HTTP requests sent for the job, failed ones included.", unit="attempts"),
    *_sums(_TOKENS),
    _COST_OF_JOB,
    _text("request_digests", "request_digest of each answered request.", unit="JSON list"),
    _text(
        "request_ids",
        "Request id of each answered call, null inside where none came.",
        unit="JSON list",
    ),
    _text("started_at", "Same as date.", unit="ISO 8601, UTC"),
    _text("finished_at", "When the job ended.", unit="ISO 8601, UTC"),
    _word("incarnation", "Worker incarnation that sent the last request."),
    _SIMULATED,
    _text(
        "raw_content",
        "Content blocks of each reply as the API returned them; null where `messages` holds "
        'them without loss. `{"base64": …}` around the JSON where it holds text that strict '
        'JSON readers refuse (lone surrogates); `{"bodies": […]}` with the whole responses in base64 '
        "where blocks are nested too deeply for JSON encoders.",
        unit="JSON list of lists of blocks",
        nullable=True,
    ),
    _text(
        "answer_digest",
        "First half of the SHA-256 over what the model said (texts, reasoning, tool calls; no ids): "
        "equal answers have equal ones.",
        unit="hex",
    ),
    _word(
        "ended_by",
        "What ended the rollout: answer, finish (tool), turns, output_tokens, safeguard, refused, "
        "truncated or empty.",
        nullable=True,
    ),
    _word("perturbations", "What each seeded choice drew, by its name.", unit="JSON object"),
    _text(
        "effects",
        "One entry per tool call that the environment answered, in order: turn (0-based, of the "
        "model under test), call (id in messages), tool, ok, effect (one word; null: nothing "
        "changed), facts. Null without an environment.",
        unit="JSON list of objects",
        nullable=True,
    ),
    _text(
        "safeguards",
        "One entry per look of a safeguard: turn, safeguard, side (input, output), verdict (block, "
        "allow, unclear), by (phrases or the model's name), topic. Null without safeguards.",
        unit="JSON list of objects",
        nullable=True,
    ),
    _text(
        "role_usage",
        "Model, calls and tokens by role, `target` the model under test; null where it spoke alone.",
        unit="JSON object",
        nullable=True,
    ),
    _text(
        "role_calls",
        "What models in other roles answered: turn (index of the call), role, model, content.",
        unit="JSON list of objects",
        nullable=True,
    ),
)

ATTEMPT_COLUMNS: tuple[Column, ...] = (
    _text("attempt_id", "Unique over the sweep: incarnation, cell, seed, turn, number."),
    _text("job_key", "Key of the job, as transcripts.transcript_id.", unit="hex"),
    *CELL_COLUMNS,
    _int("seed", "Sample index inside the cell."),
    _int("turn", "0-based index of the call inside the rollout."),
    _int("number", "1-based, over all tries of the call, process restarts included."),
    _word("incarnation", "Worker incarnation that sent it."),
    _text("started_at", "When it was sent.", unit="ISO 8601, UTC"),
    _real("waited_s", "For a place and a permit of its quota, before it was sent.", unit="s"),
    _real("latency_s", "From sending to the last byte or the failure.", unit="s"),
    _int("status", "HTTP status; null where none came.", nullable=True),
    _flag("answered", "A whole response came and could be read."),
    _word(
        "failure_kind",
        "Why it failed, the row of the error table; null if answered.",
        nullable=True,
    ),
    _word("error_type", "Error type in the API's own words.", nullable=True),
    _word("error_code", "Error code in the API's own words.", nullable=True),
    _word(
        "error_message",
        "What the server or the network said, at most 500 characters.",
        nullable=True,
    ),
    _text("request_id", "Request id that the server returned.", nullable=True),
    _real("retry_after_s", "Wait that the server asked for.", unit="s", nullable=True),
    *_maybe(_TOKENS),
    _COST,
    _real(
        "counted_usd",
        "What it counts against budget.usd: cost_usd, or what was set aside for it where that is "
        "not known and it may have been billed (a timeout, an answer that broke off).",
        unit="USD",
        nullable=True,
    ),
    _real(
        "counted_tokens",
        "The same against budget.tokens: all input, cached too, and output.",
        unit="tokens",
        nullable=True,
    ),
    _text(
        "request_digest",
        "SHA-256 of the request body, without what concerns only its way: `stream`, and the marks "
        "and cuts of prompt caching.",
        unit="hex",
    ),
    _word(
        "quota",
        "The quota group as it was at most a heartbeat before: group; use (share of each limit, last "
        "minute); foreign (the same of others, from headers); binds (what held requests back); "
        "refused (429s per request that ended, last minute); breaker; wait_s (for a permit); "
        "in_flight_limit (without limits by rate).",
        unit="JSON object",
        nullable=True,
    ),
    _SIMULATED,
    _word("role", "Who was asked: `target`, the model under test, or a role of the scenario."),
    _word("role_model", "Name of the model that plays the role; null for target.", nullable=True),
)

FAILURE_COLUMNS: tuple[Column, ...] = (
    _text("job_key", "Key of the job, as transcripts.transcript_id.", unit="hex"),
    *CELL_COLUMNS,
    _int("seed", "Sample index inside the cell."),
    _word("end_state", "failed, too_large or poison."),
    _word("error", "The last failure in one line."),
    _word(
        "failure_kind",
        "Kind of the last failed attempt, null where no attempt failed.",
        nullable=True,
    ),
    _int("status", "HTTP status of the last failed attempt.", nullable=True),
    _word("error_type", "Error type of the last failed attempt.", nullable=True),
    _word("error_code", "Error code of the last failed attempt.", nullable=True),
    _text(
        "attempt_errors",
        "Every failed attempt: attempt_id, turn, number, started_at, kind, status, error_type, "
        "error_code, message, request_id, retry_after_s.",
        unit="JSON list of objects",
    ),
    _int("attempts", "HTTP requests sent for the job.", unit="attempts"),
    _int("turns", "Turns that the model did answer.", unit="turns"),
    *_sums(_TOKENS),
    _COST_OF_JOB,
    _text("messages", f"{_MESSAGES} Null for too_large.", unit="JSON list", nullable=True),
    _text(
        "raw_content",
        "As in transcripts; null for too_large.",
        unit="JSON list of lists of blocks",
        nullable=True,
    ),
    _text(
        "started_at",
        "When the first request was sent, or the end if none was.",
        unit="ISO 8601, UTC",
    ),
    _text("finished_at", "When the job was given up.", unit="ISO 8601, UTC"),
    _word("incarnation", "Worker incarnation that sent the last request.", nullable=True),
    _SIMULATED,
)

COLUMNS: dict[Kind, tuple[Column, ...]] = {
    Kind.TRANSCRIPTS: TRANSCRIPT_COLUMNS,
    Kind.ATTEMPTS: ATTEMPT_COLUMNS,
    Kind.FAILURES: FAILURE_COLUMNS,
}


def _schema(kind: Kind) -> pa.Schema:
    metadata: dict[bytes | str, bytes | str] = {
        _TABLE_KEY: kind.value,
        _VERSION_KEY: str(SCHEMA_VERSION),
    }
    return pa.schema([column.field() for column in COLUMNS[kind]], metadata=metadata)


SCHEMAS: dict[Kind, pa.Schema] = {kind: _schema(kind) for kind in COLUMNS}
TRANSCRIPTS = SCHEMAS[Kind.TRANSCRIPTS]
ATTEMPTS = SCHEMAS[Kind.ATTEMPTS]
FAILURES = SCHEMAS[Kind.FAILURES]
TYPES: dict[Kind, dict[str, pa.DataType]] = {
    kind: {column.name: column.type for column in columns} for kind, columns in COLUMNS.items()
}
REPEATED: dict[Kind, list[str]] = {
    kind: [column.name for column in columns if column.repeated]
    for kind, columns in COLUMNS.items()
}
"""Columns that Parquet encodes through a dictionary."""
COUNTED = ("counted_usd", "counted_tokens")
"""Columns of attempts that are summed for the budget."""
IDS: dict[Kind, str] = {
    Kind.TRANSCRIPTS: "transcript_id",
    Kind.ATTEMPTS: "attempt_id",
    Kind.FAILURES: "job_key",
}
"""The column that identifies a row; transcripts and failures are sorted by it inside a shard."""


def kind_of(schema: pa.Schema, where: str) -> Kind:
    """Return which table a file's schema belongs to.

    Raises:
        RecordError: it is none of ours, or of a newer version than this package reads.
    """
    metadata: dict[bytes, bytes] = schema.metadata or {}
    if _TABLE_KEY not in metadata or _VERSION_KEY not in metadata:
        msg = f"{where}: no table of a sweep (it was not written by runner). Move it elsewhere."
        raise RecordError(msg)
    version = int(metadata[_VERSION_KEY])
    if version > SCHEMA_VERSION:
        msg = (
            f"{where}: schema version {version}, this package reads up to {SCHEMA_VERSION}. "
            "Upgrade runner."
        )
        raise RecordError(msg)
    return Kind(metadata[_TABLE_KEY].decode())
