"""A stand-in for Parquet in most schedules: the same parts as JSON, a hundred times cheaper.

One schedule in ten runs on the real encoder. `plain_parts` replaces the functions of
`runner.record.parts` wherever the engine has imported them, for the length of a block.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import orjson

from runner.core.seeds import SeedSet
from runner.core.values import NOTHING, RECORDED_STATES, Amount, Finished, Job
from runner.record import parts
from runner.record.parts import EncodedPart
from runner.record.schema import Kind

Rows = list[dict[str, Any]]


def encode_parts(
    finished: Sequence[Finished],
    facts: Callable[[int], object],
    *,
    attempts: Sequence[Finished] | None = None,
) -> list[EncodedPart]:
    """Encode what the oracle looks at."""
    rows: dict[Kind, Rows] = {Kind.TRANSCRIPTS: [], Kind.FAILURES: [], Kind.ATTEMPTS: []}
    for item in sorted(finished, key=lambda f: f.job):
        facts(item.job.cell)
        row: dict[str, Any] = {"cell": item.job.cell, "seed": item.job.seed}
        if item.end_state in RECORDED_STATES:
            row["end_state"] = item.end_state.value
            row["request_ids"] = [_thinking(r) for r in item.replies]
            row["messages"] = " ".join(r.text for r in item.replies)
            rows[Kind.TRANSCRIPTS].append(row)
        else:
            rows[Kind.FAILURES].append(row | {"error": item.error})
    rows[Kind.ATTEMPTS] = [
        {
            "cell": item.job.cell,
            "seed": item.job.seed,
            "attempt_id": a.attempt_id,
            "request_id": a.answer.request_id if a.answer else None,
            "counted": None if a.counted is None else list(a.counted),
        }
        for item in (finished if attempts is None else attempts)
        for a in item.attempts
    ]
    return [_part(kind, found) for kind, found in rows.items() if found]


def _thinking(reply: Any) -> str:
    return next(b["thinking"] for b in reply.content if b["type"] == "thinking")


def _part(kind: Kind, rows: Rows) -> EncodedPart:
    seeds: dict[int, list[int]] = {}
    for row in rows:
        seeds.setdefault(row["cell"], []).append(row["seed"])
    return EncodedPart(
        kind=kind,
        data=orjson.dumps({"kind": kind.value, "rows": rows}),
        rows=len(rows),
        jobs={cell: SeedSet.of_seeds(found) for cell, found in seeds.items()},
        counted=_counted(rows) if kind is Kind.ATTEMPTS else NOTHING,
    )


def _counted(rows: Rows) -> Amount:
    known = [row["counted"] for row in rows if row["counted"] is not None]
    return Amount(sum(usd for usd, _ in known), sum(tokens for _, tokens in known))


def _kept(data: bytes, keep: Callable[[dict[str, Any]], bool]) -> EncodedPart | None:
    part = orjson.loads(data)
    left = [row for row in part["rows"] if keep(row)]
    return _part(Kind(part["kind"]), left) if left else None


def without_jobs(data: bytes, drop: Mapping[int, SeedSet]) -> EncodedPart | None:
    return _kept(data, lambda row: row["cell"] not in drop or row["seed"] not in drop[row["cell"]])


def without_attempts(data: bytes, drop_ids: Collection[str]) -> EncodedPart | None:
    return _kept(data, lambda row: row["attempt_id"] not in drop_ids)


def attempt_ids(data: bytes) -> set[str]:
    return {row["attempt_id"] for row in orjson.loads(data)["rows"]}


def jobs_of(data: bytes) -> list[Job]:
    """Return the jobs of a part's rows."""
    return [Job(row["cell"], row["seed"]) for row in orjson.loads(data)["rows"]]


PLAIN = {
    "encode_parts": encode_parts,
    "without_jobs": without_jobs,
    "without_attempts": without_attempts,
    "attempt_ids": attempt_ids,
}


@contextmanager
def plain_parts() -> Iterator[None]:
    """Let the engine write and rewrite JSON parts."""
    replaced: list[tuple[object, str, object]] = []
    for name, plain in PLAIN.items():
        real = getattr(parts, name)
        for module in list(sys.modules.values()):
            if (module.__name__ or "").startswith("runner.") and vars(module).get(name) is real:
                replaced.append((module, name, real))
                setattr(module, name, plain)
    try:
        yield
    finally:
        for module, name, real in replaced:
            setattr(module, name, real)
