"""Frames to fill journals with, and Hypothesis strategies of them."""

from __future__ import annotations

from hypothesis import strategies as st

from runner.core.seams import ProcessIdentity
from runner.core.seeds import SeedSet
from runner.core.values import Answer, Attempt, EndState, Failure, FailureKind, Job
from runner.record.frames import AttemptFrame, DeadFrame, Header, Note, SealFrame

PROCESS = ProcessIdentity(host="h1", boot_id="b", pid_namespace="pid:[1]", pid=7, started="42")
HEADER = Header(incarnation="w1", process=PROCESS, node="n1", claim=3, sweep_id="s1")


def answered(
    cell: int,
    seed: int,
    turn: int = 0,
    number: int = 1,
    *,
    incarnation: str = "w1",
    body: bytes = b'{"a":1}',
) -> AttemptFrame:
    return AttemptFrame(
        Attempt(
            job=Job(cell, seed),
            turn=turn,
            number=number,
            incarnation=incarnation,
            started_at=1.5,
            latency_s=0.25,
            request_digest="ab" * 32,
            answer=Answer(body=body, request_id="req_1", headers={"retry-after": "1"}),
        )
    )


def failed(cell: int, seed: int, turn: int = 0, number: int = 1) -> AttemptFrame:
    return AttemptFrame(
        Attempt(
            job=Job(cell, seed),
            turn=turn,
            number=number,
            incarnation="w1",
            started_at=1.5,
            latency_s=0.25,
            request_digest="ab" * 32,
            failure=Failure(kind=FailureKind.OVERLOADED, message="overloaded", status=529),
        )
    )


def dead(cell: int, seed: int) -> DeadFrame:
    return DeadFrame(job=Job(cell, seed), end_state=EndState.FAILED, error="gone", finished_at=2.5)


SMALL_JOURNAL = (
    HEADER,
    Note(Job(1, 0), 0, 1),
    answered(1, 0, body=b'{"text": "[{ \\u0000 N A"}'),
    Note(Job(1, 1), 0, 1),
    failed(1, 1),
    dead(1, 1),
    SealFrame(seal="w1.00001", jobs={1: SeedSet.of_seeds([0, 1])}),
    answered(2, 5, turn=3, number=2, body=b""),
)

_texts = st.text(max_size=20)
_integers = st.integers(0, 2**31 - 1)
_floats = st.floats(0, 2e9, allow_nan=False)
_jobs = st.builds(Job, _integers, _integers)
_answers = st.builds(
    Answer,
    body=st.binary(max_size=200),
    request_id=st.none() | _texts,
    status=st.just(200),
    simulated=st.booleans(),
    headers=st.dictionaries(_texts, _texts, max_size=3),
)
_failures = st.builds(
    Failure,
    kind=st.sampled_from(FailureKind),
    message=_texts,
    status=st.none() | st.integers(100, 599),
    error_type=st.none() | _texts,
    error_code=st.none() | _texts,
    request_id=st.none() | _texts,
    retry_after_s=st.none() | _floats,
    simulated=st.booleans(),
    headers=st.dictionaries(_texts, _texts, max_size=2),
)
attempts = st.builds(
    Attempt,
    job=_jobs,
    turn=_integers,
    number=_integers,
    incarnation=_texts,
    started_at=_floats,
    latency_s=_floats,
    request_digest=_texts,
    answer=st.none() | _answers,
    failure=st.none() | _failures,
)
frames = st.one_of(
    st.builds(AttemptFrame, attempts),
    st.builds(Note, _jobs, _integers, _integers),
    st.builds(
        DeadFrame,
        job=_jobs,
        end_state=st.sampled_from(EndState),
        error=st.none() | _texts,
        finished_at=_floats,
    ),
    st.builds(
        SealFrame,
        seal=_texts,
        jobs=st.dictionaries(
            _integers, st.lists(_integers, max_size=9).map(SeedSet.of_seeds), max_size=3
        ),
    ),
    st.just(HEADER),
)
