"""Frames of a journal file: how a fact becomes bytes, and which bytes are still a fact. Pure.

    frame   = length of payload (4 bytes LE) | CRC32C of payload (4 bytes LE) | payload
    payload = kind (1 byte) | length of header (4 bytes LE) | header (JSON) | blob

The blob is the body of an answer as it was received; every other frame has none. The first frame
of a file is a `Header`.

A reader that lost its place looks on for the next frame. A frame is shorter than 2**29 bytes, so
the fourth byte of each is below 0x20: no JSON text holds such a byte inside a string, hence no
answer of a model can hold bytes that pass for a frame.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import google_crc32c
import orjson

from runner.core.seams import ProcessIdentity
from runner.core.seeds import SeedSet
from runner.core.values import TARGET, Amount, Answer, Attempt, EndState, Failure, FailureKind, Job

FORMAT_VERSION: Final = 1
MAGIC: Final = "runner-journal"
MAX_FRAME_BYTES: Final = 2**29 - 1
_PREFIX = struct.Struct("<II")
_LENGTH = struct.Struct("<I")
_SMALLEST = 1 + 4 + 2
_CANDIDATE = re.compile(rb"(?s)(?=...[\x00-\x1f]....[HNADS]...[\x00-\x1f][\[{])")


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """First frame of every file: whose journal it is."""

    incarnation: str
    process: ProcessIdentity
    node: str
    claim: int
    sweep_id: str
    format_version: int = FORMAT_VERSION


@dataclass(frozen=True, slots=True)
class Note:
    """An attempt is about to be sent; written without a sync."""

    job: Job
    turn: int
    number: int
    reserved: Amount | None = None
    """What was set aside for it, where there is a budget."""


@dataclass(frozen=True, slots=True)
class AttemptFrame:
    """An attempt has ended, with its answer's body or its failure."""

    attempt: Attempt

    @property
    def job(self) -> Job:
        """The job that the attempt was made for."""
        return self.attempt.job


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadFrame:
    """A job has ended as a dead letter."""

    job: Job
    end_state: EndState
    error: str | None
    finished_at: float
    """Unix seconds, wall clock."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SealFrame:
    """All frames of these jobs before this one go into the seal of that name."""

    seal: str
    jobs: Mapping[int, SeedSet]
    """Cell number to seeds."""


Frame = Header | Note | AttemptFrame | DeadFrame | SealFrame


@dataclass(frozen=True, slots=True)
class Bad:
    """Bytes before the tail of a file that are no frame: damage, never a crash of the writer."""

    offset: int
    reason: str


@dataclass(frozen=True, slots=True)
class Scan:
    """What a file holds."""

    frames: list[Frame] = field(default_factory=list[Frame])
    """In the order in which they were written."""
    torn_tail: bool = False
    """The last frame is cut or damaged: the writer or its host died while writing it."""
    bad: list[Bad] = field(default_factory=list[Bad])


def encode(frame: Frame) -> bytes:
    """Return the bytes of a frame.

    Raises:
        ValueError: an answer's body beyond 512 MB.
    """
    blob = b""
    # Tested by type, the frequent kinds first: a match statement costs as much as the encoding.
    if isinstance(frame, Note):
        kind, header = (
            b"N",
            orjson.dumps((*frame.job, frame.turn, frame.number, *(frame.reserved or ()))),
        )
    elif isinstance(frame, AttemptFrame):
        attempt = frame.attempt
        kind, header = b"A", _dump(_attempt_header(attempt))
        if attempt.answer is not None:
            blob = attempt.answer.body
    elif isinstance(frame, DeadFrame):
        kind, header = b"D", _dump(_dead_header(frame))
    elif isinstance(frame, SealFrame):
        ranges = {str(cell): str(seeds) for cell, seeds in frame.jobs.items()}
        kind, header = b"S", _dump({"seal": frame.seal, "jobs": ranges})
    else:
        kind, header = b"H", _dump(_header_header(frame))
    payload = b"".join((kind, _LENGTH.pack(len(header)), header, blob))
    if len(payload) > MAX_FRAME_BYTES:
        msg = f"a journal frame holds at most {MAX_FRAME_BYTES} bytes, this one has {len(payload)}"
        raise ValueError(msg)
    return _PREFIX.pack(len(payload), google_crc32c.value(payload)) + payload


def scan(data: bytes) -> Scan:
    """Read every frame that is whole. Never raises, whatever the bytes are.

    Stops after a header of a newer format, whose frames may look different.
    """
    found = Scan()
    torn = False
    at = 0
    while at < len(data):
        frame, end = _frame_at(data, at)
        if isinstance(frame, str):
            onward = _next_frame(data, at + 1)
            if onward is None:
                torn = True
                break
            found.bad.append(Bad(at, frame))
            at = onward
            continue
        found.frames.append(frame)
        at = end
        if isinstance(frame, Header) and frame.format_version > FORMAT_VERSION:
            break
    return Scan(found.frames, torn, found.bad)


def _frame_at(data: bytes, at: int) -> tuple[Frame | str, int]:
    """Return (frame, offset behind it), or (why there is none, 0)."""
    if at + _PREFIX.size > len(data):
        return "shorter than a frame", 0
    length, checksum = _PREFIX.unpack_from(data, at)
    start = at + _PREFIX.size
    if not _SMALLEST <= length <= MAX_FRAME_BYTES:
        return f"length {length}", 0
    if start + length > len(data):
        return f"length {length} reaches beyond the file", 0
    payload = data[start : start + length]
    if google_crc32c.value(payload) != checksum:
        return "checksum differs", 0
    try:
        return _decode(payload), start + length
    except (ValueError, KeyError, TypeError, IndexError, struct.error) as error:
        return f"checksum holds, content does not: {error!r}", 0


def _next_frame(data: bytes, start: int) -> int | None:
    """Return the offset of the next whole frame at or behind `start`."""
    for candidate in _CANDIDATE.finditer(data, start):
        if not isinstance(_frame_at(data, candidate.start())[0], str):
            return candidate.start()
    return None


def _decode(payload: bytes) -> Frame:
    (size,) = _LENGTH.unpack_from(payload, 1)
    header: Any = orjson.loads(payload[5 : 5 + size])
    match payload[:1]:
        case b"N":
            cell, seed, turn, number, *reserved = header
            return Note(Job(cell, seed), turn, number, Amount(*reserved) if reserved else None)
        case b"A":
            return AttemptFrame(_attempt(header, payload[5 + size :]))
        case b"D":
            return DeadFrame(
                job=Job(*header["j"]),
                end_state=EndState(header["state"]),
                error=header["error"],
                finished_at=header["at"],
            )
        case b"S":
            jobs = {int(cell): SeedSet.parse(text) for cell, text in header["jobs"].items()}
            return SealFrame(seal=header["seal"], jobs=jobs)
        case b"H":
            return _header(header)
        case other:
            msg = f"unknown kind {other!r}"
            raise ValueError(msg)


def _attempt_header(attempt: Attempt) -> dict[str, object]:
    out: dict[str, object] = {
        "j": (attempt.job.cell, attempt.job.seed),
        "t": attempt.turn,
        "n": attempt.number,
        "i": attempt.incarnation,
        "at": attempt.started_at,
        "s": attempt.latency_s,
        "q": attempt.request_digest,
        "w": attempt.waited_s,
        "g": attempt.quota,
    }
    answer, failure = attempt.answer, attempt.failure
    if attempt.counted is not None:
        out["c"] = tuple(attempt.counted)
    if attempt.role != TARGET:
        out["r"] = (attempt.role, attempt.actor)
    if answer is not None:
        out["a"] = (answer.request_id, answer.status, answer.simulated, answer.headers)
    if failure is not None:
        out["f"] = {
            "kind": failure.kind.value,
            "message": failure.message,
            "status": failure.status,
            "error_type": failure.error_type,
            "error_code": failure.error_code,
            "request_id": failure.request_id,
            "retry_after_s": failure.retry_after_s,
            "simulated": failure.simulated,
            "headers": failure.headers,
        }
    return out


def _attempt(header: dict[str, Any], body: bytes) -> Attempt:
    answer = failure = None
    if "a" in header:
        request_id, status, simulated, headers = header["a"]
        answer = Answer(
            body=body, request_id=request_id, status=status, simulated=simulated, headers=headers
        )
    if "f" in header:
        facts: dict[str, Any] = dict(header["f"])
        failure = Failure(kind=FailureKind(facts.pop("kind")), **facts)
    role, actor = header.get("r", (TARGET, None))
    return Attempt(
        job=Job(*header["j"]),
        turn=header["t"],
        number=header["n"],
        incarnation=header["i"],
        started_at=header["at"],
        latency_s=header["s"],
        request_digest=header["q"],
        waited_s=header.get("w", 0.0),
        quota=header.get("g", ""),
        answer=answer,
        failure=failure,
        role=role,
        actor=actor,
        counted=Amount(*header["c"]) if "c" in header else None,
    )


def _dead_header(frame: DeadFrame) -> dict[str, object]:
    return {
        "j": (frame.job.cell, frame.job.seed),
        "state": frame.end_state.value,
        "error": frame.error,
        "at": frame.finished_at,
    }


def _header_header(header: Header) -> dict[str, object]:
    process = header.process
    return {
        "magic": MAGIC,
        "format": header.format_version,
        "incarnation": header.incarnation,
        "host": process.host,
        "boot_id": process.boot_id,
        "pid_namespace": process.pid_namespace,
        "pid": process.pid,
        "started": process.started,
        "node": header.node,
        "claim": header.claim,
        "sweep_id": header.sweep_id,
    }


def _header(header: dict[str, Any]) -> Header:
    if header["magic"] != MAGIC:
        msg = f"magic {header['magic']!r}"
        raise ValueError(msg)
    return Header(
        incarnation=header["incarnation"],
        process=ProcessIdentity(
            host=header["host"],
            boot_id=header["boot_id"],
            pid_namespace=header["pid_namespace"],
            pid=header["pid"],
            started=header["started"],
        ),
        node=header["node"],
        claim=header["claim"],
        sweep_id=header["sweep_id"],
        format_version=header["format"],
    )


def _dump(header: Mapping[str, object]) -> bytes:
    try:
        return orjson.dumps(header)
    except orjson.JSONEncodeError:
        # A lone surrogate in a server's message or header is no UTF-8; anything else fails again.
        return orjson.dumps(_printable(header))


def _printable(value: object) -> object:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, Mapping):
        items: Mapping[str, object] = value  # pyright: ignore[reportUnknownVariableType]
        return {_printable(key): _printable(item) for key, item in items.items()}
    if isinstance(value, Sequence):
        sequence: Sequence[object] = value  # pyright: ignore[reportUnknownVariableType]
        return [_printable(item) for item in sequence]
    return value
