"""Finished jobs as Arrow columns. Pure; a few microseconds a row.

Facts that all rows of a cell repeat are made once per cell and spread by `take`; everything else is
one tuple per row, transposed once. No Python object is made per cell of the table beyond that.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache, lru_cache
from importlib import metadata
from itertools import repeat
from typing import TYPE_CHECKING, Any, NamedTuple

import pyarrow as pa

from runner.core.facts import CellFacts
from runner.core.identity import job_key
from runner.core.money import Tariff, failure_cost_usd, reply_cost_usd, total_usd
from runner.core.values import RECORDED_STATES, TARGET, Attempt, EndState, Finished, Reply, Usage
from runner.record import scout
from runner.record.schema import SCHEMA_VERSION, SCHEMAS, TYPES, Kind

if TYPE_CHECKING:
    Column = pa.Array[Any]
_LIMITS = {"max_tokens": "token", "model_context_window_exceeded": "context"}
_NO_USAGE = Usage()
Tariffs = Callable[[str | None], Tariff | None]
"""Actor (None: the model under test) to its prices."""


class Keyed(NamedTuple):
    """A finished job with its key; sorts by the key."""

    key: str
    finished: Finished


@cache
def runner_version() -> str:
    """Return the version of this package."""
    return metadata.version("runner")


def keyed(finished: Sequence[Finished], facts: Callable[[int], CellFacts]) -> list[Keyed]:
    """Return the jobs with their keys, sorted by key."""
    digests = {cell: facts(cell).digest for cell in {f.job.cell for f in finished}}
    rows = [Keyed(job_key(digests[f.job.cell], f.job.seed), f) for f in finished]
    rows.sort(key=lambda row: row.key)
    return rows


def table(kind: Kind, jobs: Sequence[Keyed], facts: Callable[[int], CellFacts]) -> pa.Table:
    """Return the rows of a table for jobs that belong into it, in the order given."""
    of_cell = {cell: facts(cell).tariff_of for cell in {job.finished.job.cell for job in jobs}}
    tariffs = of_cell.__getitem__
    match kind:
        case Kind.TRANSCRIPTS:
            rows = [_transcript(job, tariffs(job.finished.job.cell)) for job in jobs]
            cells = [job.finished.job.cell for job in jobs]
            names = _TRANSCRIPT_ROW
        case Kind.FAILURES:
            rows = [_failure(job, tariffs(job.finished.job.cell)) for job in jobs]
            cells = [job.finished.job.cell for job in jobs]
            names = _FAILURE_ROW
        case Kind.ATTEMPTS:
            rows = [row for job in jobs for row in _attempts(job, tariffs(job.finished.job.cell))]
            cells = [job.finished.job.cell for job in jobs for _ in job.finished.attempts]
            names = _ATTEMPT_ROW
    schema, types = SCHEMAS[kind], TYPES[kind]
    columns = _cell_columns(kind, cells, facts)
    for name, values in zip(names, zip(*rows, strict=True), strict=True):
        columns[name] = _array(values, types[name])
    if kind is Kind.TRANSCRIPTS:
        columns["date"], columns["task_repeat"] = columns["started_at"], columns["seed"]
    return pa.Table.from_arrays([columns[name] for name in schema.names], schema=schema)


def _array(values: Sequence[object], kind: pa.DataType) -> Column:
    try:
        return pa.array(values, kind)
    except UnicodeEncodeError:  # a server's words outside JSON, with lone surrogates
        cleaned = [scout.clean(v) if isinstance(v, str) else v for v in values]
        return pa.array(cleaned, kind)


@lru_cache(maxsize=1024)
def _texts(texts: tuple[str, ...]) -> str:
    """Return a JSON list of texts that few rows have to themselves."""
    return _json(list(texts))


def _json(value: object) -> str:
    return scout.dump(value)[0].decode()


def _cell_columns(
    kind: Kind, cells: Sequence[int], facts: Callable[[int], CellFacts]
) -> dict[str, Column]:
    order = {cell: i for i, cell in enumerate(dict.fromkeys(cells))}
    index = pa.array([order[cell] for cell in cells], pa.int32())
    rows = [_cell_row(facts(cell)) for cell in order]
    types = TYPES[kind]
    return {
        name: _array(values, types[name]).take(index)
        for name, values in zip(_CELL_ROW, zip(*rows, strict=True), strict=True)
        if name in types
    }


_CELL_ROW = (
    *("schema_version", "runner_version", "sweep", "sweep_id", "cell", "cell_digest"),
    *("prompt_digest", "scenario", "scenario_version", "condition", "axes", "model", "provider"),
    *("model_id", "endpoint_id", "labels", "canary"),
    *("source_type", "source_id", "task_set", "task_id", "agent", "agent_args", "model_options"),
    *("error", "trust_content"),
)


def _cell_row(facts: CellFacts) -> tuple[object, ...]:
    agent_args = {
        "scenario": facts.scenario,
        "scenario_version": facts.scenario_version,
        "axes": facts.axes,
    }
    return (
        *(SCHEMA_VERSION, runner_version(), facts.sweep, facts.sweep_id, facts.number),
        *(facts.digest, facts.prompt_digest, facts.scenario, facts.scenario_version),
        *(facts.condition, _json(facts.axes), facts.model, facts.provider, facts.model_id),
        *(facts.endpoint_id, _json(facts.labels), facts.canary),
        *("runner", facts.sweep_id, facts.scenario, facts.condition, "runner"),
        *(_json(agent_args), _json(facts.params), None, False),
    )


@lru_cache(maxsize=1024)
def _second(unix_s: int) -> str:
    return datetime.fromtimestamp(unix_s, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def iso(unix_s: float) -> str:
    """Return Unix seconds as ISO 8601 text in UTC with microseconds."""
    second, micros = divmod(round(unix_s * 1e6), 1_000_000)
    return f"{_second(second)}.{micros:06d}Z"


def _summed(replies: Sequence[Reply]) -> Usage:
    if len(replies) == 1:
        return replies[0].usage
    total = _NO_USAGE
    for reply in replies:
        total = total.plus(reply.usage)
    return total


def _tokens(usage: Usage) -> tuple[int, int, int, int, int]:
    return (
        usage.input_tokens,
        usage.output_tokens,
        usage.cache_read_tokens,
        usage.cache_write_tokens,
        usage.reasoning_tokens,
    )


def used(finished: Finished) -> dict[int, Attempt]:
    """Return by turn the attempt whose answer the rollout used.

    After a crash two workers may have paid for the same call; one answer is used.
    """
    if finished.used:
        return dict(enumerate(finished.used))
    found: dict[int, Attempt] = {}
    for attempt in finished.attempts:
        if attempt.answer is not None:
            found.setdefault(attempt.turn, attempt)
    return found


def _cost(done: Finished, read: Mapping[int, Attempt], tariffs: Tariffs) -> float | None:
    """Return the cost of the answers that the rollout used (`read`); None: unknown."""
    costs: list[float | None] = []
    for turn, reply in enumerate(done.replies):
        asked = read[turn].started_at if turn in read else done.finished_at
        costs.append(reply_cost_usd(tariffs(reply.actor), reply, asked))
    return total_usd(costs)


def _simulated(attempts: Sequence[Attempt]) -> bool:
    for attempt in attempts:
        outcome = attempt.answer or attempt.failure
        if outcome is not None and outcome.simulated:
            return True
    return False


def _content(key: str, finished: Finished, *, append_last: bool) -> tuple[bytes, bytes | None, int]:
    """Return (messages, raw content or None, number of messages)."""
    replies = finished.own_replies
    converted = scout.to_messages(key, finished.conversation, replies, append_last=append_last)
    count = len(converted.messages)
    try:
        text, whole = scout.dump(converted.messages)
        raw = None if whole and converted.exact else scout.dump_raw(replies)
    except RecursionError:  # a tool call with hundreds of nested brackets
        bodies = [a.answer.body for a in used(finished).values() if a.answer and a.role == TARGET]
        text = scout.dump(scout.shallow(converted.messages))[0]
        raw = scout.dump_bodies(bodies)
    return text, raw, count


_TRANSCRIPT_ROW = (
    *("transcript_id", "message_count", "total_time", "total_tokens"),
    *("limit", "messages", "seed", "end_state", "stop_reason", "stop_reasons"),
    *("returned_model_id", "turns", "attempts", "input_tokens", "output_tokens"),
    *("cache_read_tokens", "cache_write_tokens", "reasoning_tokens", "cost_usd"),
    *("request_digests", "request_ids", "started_at", "finished_at", "incarnation"),
    *("simulated", "raw_content", "answer_digest"),
    *("ended_by", "perturbations", "effects", "safeguards", "role_usage", "role_calls"),
)


def _transcript(job: Keyed, tariffs: Tariffs) -> tuple[object, ...]:
    key, done = job
    replies, attempts = done.own_replies, done.attempts
    last = replies[-1]
    started = attempts[0].started_at
    messages, raw, count = _content(key, done, append_last=not done.whole)
    usage = _tokens(_summed(done.replies))
    read = used(done)
    digests = '","'.join([a.request_digest for a in read.values()])  # hex digits: nothing to escape
    ids = [a.answer.request_id if a.answer else None for a in read.values()]
    limit = _LIMITS.get(last.stop_reason) if done.end_state is EndState.TRUNCATED else None
    return (
        *(key, count, max(0.0, done.finished_at - started)),
        *(sum(usage[:4]), limit, messages, done.job.seed, done.end_state.value),
        *(last.stop_reason, _texts(tuple([r.stop_reason for r in replies])), last.model),
        *(sum([not r.continues for r in replies]), len(attempts), *usage),
        *(_cost(done, read, tariffs), f'["{digests}"]' if read else "[]", scout.dump(ids)[0]),
        *(iso(started), iso(done.finished_at)),
        *(attempts[-1].incarnation, _simulated(attempts), raw, scout.answer_digest(replies)),
        *_staged(done),
    )


def _staged(done: Finished) -> tuple[object, ...]:
    """Return what only rollouts on a stage have more to say about, as JSON."""
    notes = done.notes
    others = done.own_replies is not done.replies
    calls = [
        {"turn": i, "role": r.role, "model": r.actor, "content": list(r.content)}
        for i, r in enumerate(done.replies if others else ())
        if r.role != TARGET
    ]
    perturbations = notes.get("perturbations")
    return (
        notes.get("ended_by"),
        _json(perturbations) if perturbations else "{}",
        _json(notes["effects"]) if "effects" in notes else None,
        _json(notes["safeguards"]) if "safeguards" in notes else None,
        _json(_usage_by_role(done)) if others else None,
        _json(calls) if others else None,
    )


def _usage_by_role(done: Finished) -> dict[str, dict[str, object]]:
    found: dict[str, dict[str, object]] = {}
    for role in dict.fromkeys(r.role for r in done.replies):
        replies = [r for r in done.replies if r.role == role]
        names = ("input", "output", "cache_read", "cache_write", "reasoning")
        tokens = zip(names, _tokens(_summed(replies)), strict=True)
        found[role] = {"model": replies[0].actor, "calls": len(replies)}
        found[role] |= {f"{name}_tokens": count for name, count in tokens}
    return found


_FAILURE_ROW = (
    *("job_key", "seed", "end_state", "error", "failure_kind", "status", "error_type"),
    *("error_code", "attempt_errors", "attempts", "turns", "input_tokens", "output_tokens"),
    *("cache_read_tokens", "cache_write_tokens", "reasoning_tokens", "cost_usd", "messages"),
    *("raw_content", "started_at", "finished_at", "incarnation", "simulated"),
)


def _failure(job: Keyed, tariffs: Tariffs) -> tuple[object, ...]:
    key, done = job
    attempts = done.attempts
    failures = [a.failure for a in attempts if a.failure is not None]
    last = failures[-1] if failures else None
    messages: bytes | None = None
    raw: bytes | None = None
    if done.end_state is not EndState.TOO_LARGE:
        messages, raw, _ = _content(
            key, done, append_last=bool(done.own_replies) and not done.whole
        )
    started = attempts[0].started_at if attempts else done.finished_at
    errors = scout.dump([_error(a) for a in attempts if a.failure is not None])[0]
    return (
        *(key, done.job.seed, done.end_state.value, done.error or "no reason was given"),
        *(last.kind.value if last else None, last.status if last else None),
        *(last.error_type if last else None, last.error_code if last else None, errors),
        *(len(attempts), sum(not r.continues for r in done.own_replies)),
        *(*_tokens(_summed(done.replies)), _cost(done, used(done), tariffs)),
        *(messages, raw, iso(started)),
        *(iso(done.finished_at), attempts[-1].incarnation if attempts else None),
        _simulated(attempts),
    )


def _error(attempt: Attempt) -> dict[str, object]:
    failure = attempt.failure
    assert failure is not None  # the caller picked failed attempts
    return {
        "attempt_id": attempt.attempt_id,
        "turn": attempt.turn,
        "number": attempt.number,
        "started_at": iso(attempt.started_at),
        "kind": failure.kind.value,
        "status": failure.status,
        "error_type": failure.error_type,
        "error_code": failure.error_code,
        "message": failure.message,
        "request_id": failure.request_id,
        "retry_after_s": failure.retry_after_s,
    }


_ATTEMPT_ROW = (
    *("attempt_id", "job_key", "seed", "turn", "number", "incarnation", "started_at"),
    *("waited_s", "latency_s", "status", "answered", "failure_kind", "error_type", "error_code"),
    *("error_message", "request_id", "retry_after_s", "input_tokens", "output_tokens"),
    *("cache_read_tokens", "cache_write_tokens", "reasoning_tokens", "cost_usd"),
    *("counted_usd", "counted_tokens"),
    *("request_digest", "quota", "simulated", "role", "role_model"),
)
_NO_FAILURE = (None, None, None, None)
_NO_TOKENS: tuple[None, ...] = tuple(repeat(None, 5))


def _attempts(job: Keyed, tariffs: Tariffs) -> list[tuple[object, ...]]:
    key, done = job
    read = used(done)
    rows: list[tuple[object, ...]] = []
    for attempt in done.attempts:
        answer, failure = attempt.answer, attempt.failure
        outcome = answer or failure
        tokens: tuple[int | None, ...] = _NO_TOKENS
        cost: float | None = None
        if read.get(attempt.turn) is attempt and attempt.turn < len(done.replies):
            reply = done.replies[attempt.turn]
            tokens = _tokens(reply.usage)
            cost = reply_cost_usd(tariffs(reply.actor), reply, attempt.started_at)
        error = _NO_FAILURE
        if failure is not None:
            cost = failure_cost_usd(tariffs(attempt.actor), failure)
            error = (failure.kind.value, failure.error_type, failure.error_code, failure.message)
        rows.append(
            (
                *(attempt.attempt_id, key, done.job.seed, attempt.turn, attempt.number),
                *(attempt.incarnation, iso(attempt.started_at)),
                *(attempt.waited_s, attempt.latency_s),
                *(outcome.status if outcome else None, answer is not None, *error),
                *(outcome.request_id if outcome else None,),
                *(failure.retry_after_s if failure else None, *tokens, cost),
                *(attempt.counted or (None, None)),
                *(attempt.request_digest, attempt.quota or None),
                *(outcome is not None and outcome.simulated, attempt.role, attempt.actor),
            )
        )
    return rows


def kind_of_end(state: EndState) -> Kind:
    """Return the table that a job's final row belongs to."""
    return Kind.TRANSCRIPTS if state in RECORDED_STATES else Kind.FAILURES
