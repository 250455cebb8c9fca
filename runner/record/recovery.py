"""What the journal of a worker that is gone still says. Reads; never writes or deletes.

Frames that lie in two segments (the journal writes again what it does not know to be durable)
collapse by attempt id. A seal covers exactly those frames of its jobs that come before its frame.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass, field, replace

from runner.core.errors import RecordError
from runner.core.seams import Disk
from runner.core.values import Attempt, Job
from runner.record.frames import (
    FORMAT_VERSION,
    AttemptFrame,
    DeadFrame,
    Frame,
    Header,
    Note,
    SealFrame,
    scan,
)
from runner.record.layout import segment_of
from runner.record.segments import each


@dataclass(frozen=True, slots=True, kw_only=True)
class JobTrace:
    """What is known of one job from journals."""

    job: Job
    attempts: tuple[Attempt, ...] = ()
    """By turn, then number; within a turn the first that has an answer is the one that counts."""
    dead: DeadFrame | None = None
    open_notes: tuple[Note, ...] = ()
    """Attempts that began and whose end nobody saw: possibly paid for, in flight at the end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sealed:
    """What a seal frame speaks for."""

    jobs: frozenset[Job]
    attempt_ids: frozenset[str]
    dead: frozenset[Job]


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalIndex:
    """All segments of one incarnation, read."""

    incarnation: str
    header: Header | None = None
    """None: no segment's first frame survived."""
    jobs: dict[Job, JobTrace] = field(default_factory=dict[Job, JobTrace])
    seals: dict[str, Sealed] = field(default_factory=dict[str, Sealed])
    """Seals that began, by name; whether one was published only the manifest says."""
    reports: tuple[str, ...] = ()
    """Damage that no crash of the writer explains, one line each; to be shown loudly."""
    torn: tuple[str, ...] = ()
    """Segments whose tail is cut, as a crash leaves them."""


@dataclass(slots=True)
class _Gathered:
    attempts: dict[str, Attempt] = field(default_factory=dict[str, Attempt])
    notes: dict[tuple[int, int], Note] = field(default_factory=dict[tuple[int, int], Note])
    dead: DeadFrame | None = None

    def add(self, frame: Note | AttemptFrame | DeadFrame) -> None:
        match frame:
            case Note():
                self.notes[frame.turn, frame.number] = frame
            case AttemptFrame(attempt):
                self.attempts.setdefault(attempt.attempt_id, attempt)
            case DeadFrame():
                self.dead = frame

    def trace(self, job: Job) -> JobTrace:
        ended = {(a.turn, a.number) for a in self.attempts.values()}
        return JobTrace(
            job=job,
            attempts=tuple(sorted(self.attempts.values(), key=_position)),
            dead=self.dead,
            open_notes=tuple(n for at, n in sorted(self.notes.items()) if at not in ended),
        )


async def read_journal(disk: Disk, incarnation: str) -> JournalIndex:
    """Read all segments of one incarnation from a disk.

    Raises:
        OSError: a file cannot be read.
        RecordError: written by a newer runner.
    """
    names = await segments(disk, incarnation)
    return index_journal(incarnation, [(name, await disk.read(name)) for name in names])


async def incarnations(disk: Disk) -> list[str]:
    """Return the incarnations that have segments on a disk, sorted."""
    return sorted({s[0] for name in await disk.list() if (s := segment_of(name))})


async def delete_journal(disk: Disk, incarnation: str) -> None:
    """Delete all segments of an incarnation, all of whose rows are published; oldest first.

    In this order a crash half way leaves no frame whose seal frame is gone.

    Raises:
        OSError: a file could not be deleted.
    """
    for name in await segments(disk, incarnation):
        await disk.delete(name)


def index_journal(incarnation: str, segments: Sequence[tuple[str, bytes]]) -> JournalIndex:
    """Read segments into what is known per job.

    Args:
        incarnation: whose they are.
        segments: (file name, content), in the order of their numbers.

    Raises:
        RecordError: written by a newer runner.
    """
    header: Header | None = None
    gathered: dict[Job, _Gathered] = {}
    seals: dict[str, Sealed] = {}
    reports: list[str] = []
    torn: list[str] = []
    for name, data in segments:
        found = scan(data)
        reports += [
            f"journal/{name}: bytes from {bad.offset} are no frame ({bad.reason}); what they held"
            " is lost, the frames behind them are used"
            for bad in found.bad
        ]
        if found.torn_tail:
            torn.append(name)
        header = header or _own_header(name, incarnation, found.frames, reports)
        for frame in found.frames:
            match frame:
                case Header():
                    pass
                case SealFrame():
                    seals[frame.seal] = _covered(frame, gathered)
                case _:
                    gathered.setdefault(frame.job, _Gathered()).add(frame)
    return JournalIndex(
        incarnation=incarnation,
        header=header,
        jobs={job: found.trace(job) for job, found in gathered.items()},
        seals=seals,
        reports=tuple(reports),
        torn=tuple(torn),
    )


def unsealed(index: JournalIndex, published: Container[str]) -> dict[Job, JobTrace]:
    """Return what is in no published seal: jobs with an attempt or a dead letter left over.

    A job's trace keeps all its open notes. Whether a job left over is recorded through another
    worker's seal is the caller's to look up.

    Args:
        index: one incarnation's journal.
        published: names of the seals in the manifest.
    """
    covered = [sealed for seal, sealed in index.seals.items() if seal in published]
    attempt_ids = frozenset[str]().union(*(s.attempt_ids for s in covered))
    dead = frozenset[Job]().union(*(s.dead for s in covered))
    left: dict[Job, JobTrace] = {}
    for job, trace in index.jobs.items():
        attempts = tuple(a for a in trace.attempts if a.attempt_id not in attempt_ids)
        letter = None if job in dead else trace.dead
        if attempts or letter is not None:
            left[job] = replace(trace, attempts=attempts, dead=letter)
    return left


def merge(traces: Sequence[JobTrace]) -> JobTrace:
    """Join what several journals know of one job.

    Two workers may both have run a turn. The answer that counts is put before the other answers
    of its turn: the one of the incarnation that got furthest, so that most of what was paid for
    is used; then the lowest number; then the order of `traces`. A replay must still compare each
    attempt's request digest with the request it would send: an answer that follows from the other
    worker's turn belongs to another conversation.

    Args:
        traces: of the same job, at least one, in a stable order.
    """
    attempts: dict[str, Attempt] = {}
    for trace in traces:
        for attempt in trace.attempts:
            attempts.setdefault(attempt.attempt_id, attempt)
    reach: dict[str, int] = {}
    for attempt in attempts.values():
        if attempt.answer is not None:
            reach[attempt.incarnation] = max(attempt.turn, reach.get(attempt.incarnation, -1))
    winners: dict[int, Attempt] = {}
    for attempt in attempts.values():
        best = winners.get(attempt.turn)
        if attempt.answer is not None and (
            best is None
            or (-reach[attempt.incarnation], attempt.number)
            < (-reach[best.incarnation], best.number)
        ):
            winners[attempt.turn] = attempt

    def position(attempt: Attempt) -> tuple[int, bool, int]:
        loser = attempt.answer is not None and winners[attempt.turn] is not attempt
        return attempt.turn, loser, attempt.number

    return JobTrace(
        job=traces[0].job,
        attempts=tuple(sorted(attempts.values(), key=position)),
        dead=next((t.dead for t in traces if t.dead is not None), None),
        open_notes=tuple(note for trace in traces for note in trace.open_notes),
    )


async def segments(disk: Disk, incarnation: str) -> list[str]:
    """Return the names of all segments of an incarnation, in their order."""
    found = [(s[1], name) for name in await disk.list() if (s := segment_of(name))]
    return [name for _, name in sorted(found) if name.rpartition("-")[0] == incarnation]


def _position(attempt: Attempt) -> tuple[int, int]:
    return attempt.turn, attempt.number


def _covered(frame: SealFrame, gathered: dict[Job, _Gathered]) -> Sealed:
    """Return what a seal frame covers here; its second copy covers what the first does, too."""
    jobs = frozenset(each(frame.jobs))
    known = [(job, gathered[job]) for job in jobs if job in gathered]
    return Sealed(
        jobs=jobs,
        attempt_ids=frozenset(i for _, found in known for i in found.attempts),
        dead=frozenset(job for job, found in known if found.dead is not None),
    )


def _own_header(
    name: str, incarnation: str, frames: Sequence[Frame], reports: list[str]
) -> Header | None:
    headers = [frame for frame in frames if isinstance(frame, Header)]
    for header in headers:
        if header.format_version > FORMAT_VERSION:
            msg = (
                f"journal/{name}: format {header.format_version}, this runner reads up to"
                f" {FORMAT_VERSION}. It was written by a newer runner: upgrade this one"
            )
            raise RecordError(msg)
    if not headers:
        return None  # a torn first frame, or damage that `bad` reports
    if headers[0].incarnation != incarnation:
        reports.append(f"journal/{name}: its header names the incarnation {headers[0].incarnation}")
        return None
    return headers[0]
