"""Finished jobs made from a few numbers, for tests of the record stage."""

from __future__ import annotations

from collections.abc import Sequence

import orjson

from runner.core.facts import CellFacts
from runner.core.values import (
    Answer,
    Attempt,
    Block,
    Conversation,
    EndState,
    Failure,
    FailureKind,
    Finished,
    Job,
    Reply,
    Usage,
)

START = 1_780_000_000.0


def cell_facts(number: int) -> CellFacts:
    return CellFacts(
        sweep="hello",
        sweep_id="0f" * 8,
        number=number,
        digest=f"{number:064x}",
        scenario="tone",
        scenario_version=1,
        condition=f"tone=polite,topic=t{number}",
        axes={"tone": "polite", "topic": f"t{number}"},
        model="m1",
        provider="anthropic",
        model_id="claude-opus-4-5",
        params={"max_tokens": 400},
        endpoint_id="127.0.0.1/v1/messages",
        prompt_digest=f"{number:064x}",
        labels={"source": "test"},
        canary=None,
    )


def reply_of(content: Sequence[Block], stop_reason: str = "end_turn") -> Reply:
    return Reply(
        content=tuple(content),
        stop_reason=stop_reason,
        end_state=EndState.ANSWERED,
        usage=Usage(input_tokens=1500, output_tokens=500),
        model="claude-opus-4-5-20260101",
    )


def attempt_of(
    job: Job, reply: Reply | None, *, turn: int = 0, number: int = 1, incarnation: str = "w1"
) -> Attempt:
    answer = failure = None
    if reply is None:
        failure = Failure(
            kind=FailureKind.OVERLOADED,
            message="overloaded",
            status=529,
            error_type="overloaded_error",
            request_id=f"req_{job.cell}_{job.seed}_{turn}_{number}",
            retry_after_s=1.5,
        )
    else:
        body = orjson.dumps({"content": "x" * 2000})
        answer = Answer(body=body, request_id=f"req_{job.cell}_{job.seed}_{turn}_{number}")
    return Attempt(
        job=job,
        turn=turn,
        number=number,
        incarnation=incarnation,
        started_at=START + job.seed,
        latency_s=1.25,
        request_digest=f"{job.seed:064x}",
        answer=answer,
        failure=failure,
    )


def answered(
    cell: int,
    seed: int,
    *,
    content: Sequence[Block] = ({"type": "text", "text": "A line."},),
    prompt: str = "Write one line.",
    system: str | None = "You are Alex.",
    retries: int = 0,
    incarnation: str = "w1",
) -> Finished:
    job = Job(cell, seed)
    reply = reply_of(content)
    attempts = [
        attempt_of(job, None, number=n + 1, incarnation=incarnation) for n in range(retries)
    ]
    attempts.append(attempt_of(job, reply, number=retries + 1, incarnation=incarnation))
    return Finished(
        job=job,
        end_state=EndState.ANSWERED,
        attempts=tuple(attempts),
        conversation=Conversation(system=system, messages=[{"role": "user", "content": prompt}]),
        replies=(reply,),
        finished_at=START + seed + 3,
    )


def failed(cell: int, seed: int, *, tries: int = 3, incarnation: str = "w1") -> Finished:
    job = Job(cell, seed)
    return Finished(
        job=job,
        end_state=EndState.FAILED,
        attempts=tuple(
            attempt_of(job, None, number=n + 1, incarnation=incarnation) for n in range(tries)
        ),
        conversation=Conversation(
            system=None, messages=[{"role": "user", "content": "Write one line."}]
        ),
        replies=(),
        finished_at=START + seed + 9,
        error="529 overloaded_error: overloaded",
    )
