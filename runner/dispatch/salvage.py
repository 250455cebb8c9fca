"""What journals of gone workers still hold: answers to publish, rollouts to continue, suspects.

Owns the way from journal files to recovery seals and to carried attempts. A journal is deleted
only when its writer is provably gone and every job in it has ended; until then it is read again
by each new coordinator, which makes the count of deaths a job was part of durable, too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass, field, replace

from runner.core.seams import Clock, Disk, Processes, ProcessIdentity, Store
from runner.core.values import NOTHING, Amount, Attempt, Conversation, EndState, Finished, Job
from runner.dispatch.leases import LeaseTable
from runner.dispatch.recovered import Recovered
from runner.execute.outbox import Offload
from runner.execute.replay import Codec, Progressed, replay
from runner.observe.events import JournalRecovered, Problem, Sink
from runner.record.handed_in import JoinedDisk
from runner.record.parts import EncodedPart, encode_parts
from runner.record.recovery import (
    JobTrace,
    JournalIndex,
    delete_journal,
    incarnations,
    read_journal,
    unsealed,
)
from runner.record.seals import write_seal
from runner.record.state import SweepState
from runner.scenarios.any_book import AnyBook

_FIRST_FRAME_S = 1.0
"""A journal without a first frame after so long was begun by a process that died doing it."""
_CHUNK = 1000
"""Jobs per recovery seal: bounds memory and the size of a part."""


@dataclass(slots=True, kw_only=True)
class Salvage:
    """Reads journals for one coordinator."""

    store: Store
    disk: Disk
    clock: Clock
    processes: Processes
    book: AnyBook
    codecs: Mapping[str, Codec]
    offload: Offload
    recovered: Recovered
    state: Callable[[], SweepState]
    report: Callable[[str], None]
    """Told of damage found, in words for the user."""
    events: Sink
    retained: dict[str, set[Job]] = field(default_factory=dict[str, set[Job]])
    """Journals of gone workers, by incarnation, with the jobs for which they are still needed."""
    unproven: dict[str, Amount | None] = field(default_factory=dict[str, Amount | None])
    """By incarnation whose journal was recovered: what it may have spent beside the attempts that
    recovery has sealed; None: the journal does not tell."""
    lost_calls: int = 0
    """Calls whose worker died while they were on the wire."""
    _writers: dict[str, ProcessIdentity | None] = field(
        default_factory=dict[str, ProcessIdentity | None]
    )
    """Who wrote a journal, by incarnation: read once."""
    _deaths: set[str] = field(default_factory=set[str])
    """Workers whose death has been counted against their jobs."""
    _unsure: dict[str, list[EncodedPart]] = field(default_factory=dict[str, list[EncodedPart]])
    _written: list[str] = field(default_factory=list[str])

    async def find(self) -> dict[str, bool | None]:
        """Return the incarnations with a journal on this disk: True gone, False runs, None unknown.

        A journal whose first frame was lost belongs to nobody who could go on writing it, one that was
        handed in to a process that is gone.

        Raises:
            OSError: the disk refused.
        """
        found: dict[str, bool | None] = {}
        for incarnation in await incarnations(self.disk):
            if incarnation not in self._writers:
                header = (await read_journal(self.disk, incarnation)).header
                if header is None:  # perhaps a worker that is just beginning
                    await self.clock.sleep(_FIRST_FRAME_S)
                    header = (await read_journal(self.disk, incarnation)).header
                self._writers[incarnation] = header and header.process
            writer = self._writers[incarnation]
            if writer is None or incarnation in self.handed_in:
                found[incarnation] = True
            else:
                found[incarnation] = self.processes.is_dead(writer)
        return found

    @property
    def handed_in(self) -> frozenset[str]:
        """Return whose journals were handed in, as of the last look: their writers are gone."""
        return self.disk.handed_in if isinstance(self.disk, JoinedDisk) else frozenset()

    def writer(self, incarnation: str) -> ProcessIdentity | None:
        """Return the process that wrote a journal found here; None: nobody knows."""
        return self._writers.get(incarnation)

    def switched_off(self, incarnation: str, writer: ProcessIdentity) -> bool:
        """Return whether a journal was handed in after its host had been switched off and on."""
        boot = self.disk.read_after(incarnation) if isinstance(self.disk, JoinedDisk) else None
        return boot is not None and boot != writer.boot_id

    async def recover(
        self, incarnation: str, table: LeaseTable, *, gone: bool, crashed: bool
    ) -> int:
        """Seal what a worker's journal holds beyond its published seals; keep what is unfinished.

        Args:
            incarnation: of the worker; its own parts must have been published before.
            table: gets the carried attempts and the deaths.
            gone: the writer provably runs no more, so the files may be deleted in the end.
            crashed: it died rather than left: what was on the wire comes under suspicion.

        Returns how many rows were sealed; they are to be published before any job is owed again.

        Raises:
            StorageError: the store refused; call again.
            OSError: the disk refused; call again.
        """
        index = await read_journal(self.disk, incarnation)
        for line in index.reports:
            self.report(line)
            self.events.emit(Problem(where=f"journal of {incarnation}", what=line))
        published = self.state().published_seals
        everything = unsealed(index, published)
        left = {job: trace for job, trace in everything.items() if job.cell in self.book.plan}
        outside = [trace for job, trace in everything.items() if job not in left]
        self.unproven[incarnation] = _unproven(index, published, outside)
        known = await self.recovered.ids(incarnation)
        batch = _Batch(self, incarnation)
        for job, trace in left.items():
            fresh = tuple(
                a
                for a in trace.attempts
                if a.incarnation == incarnation and a.attempt_id not in known
            )
            done, tried = None, _tried(job, fresh)
            if not table.is_ended(job):
                progress = self._replay(job, (*table.carried.get(job, ()), *trace.attempts))
                done = self._finish(progress, trace, table)
                tried = replace(tried, replies=tuple(progress.replies), used=tuple(progress.used))
            await batch.add(done, tried if fresh else None)
        flying = [
            job
            for job, trace in index.jobs.items()
            if trace.open_notes and job.cell in self.book.plan
        ]
        if gone and crashed and incarnation not in self._deaths:
            self._deaths.add(incarnation)
            self.lost_calls += len(flying)
            for job in table.died_with(flying):
                await batch.add(self._poison(job, table), None)
        await batch.flush()
        unfinished = sum(not table.is_ended(job) for job in {*left, *flying}) - batch.count
        recovered = JournalRecovered(
            incarnation=incarnation,
            rows=batch.count,
            unfinished=max(0, unfinished),
            damage=len(index.reports),
        )
        self.events.emit(recovered)
        if gone:
            self.retained[incarnation] = {j for j in (*left, *flying) if not table.is_ended(j)}
        return batch.count

    async def list_returned(self, told: Mapping[Job, Mapping[str, tuple[Attempt, ...]]]) -> None:
        """Seal attempts that workers told of when they handed jobs back.

        Who goes on with a job copies its answers into a journal of its own; their rows are listed
        by then, so that a copy needs no keeping once the job has ended, wherever the first holder
        and its disk are.

        Args:
            told: by job and incarnation, its own attempts.

        Raises:
            StorageError: the store refused; call again.
        """
        fresh: dict[str, list[Finished]] = {}
        for job, by_worker in told.items():
            for incarnation, attempts in by_worker.items():
                known = await self.recovered.ids(incarnation)
                new = tuple(a for a in attempts if a.attempt_id not in known)
                if new:
                    fresh.setdefault(incarnation, []).append(_tried(job, new))
        for incarnation, tried in fresh.items():
            await self.seal(incarnation, [], tried)

    async def on_the_wire(self, incarnation: str) -> Counter[str]:
        """Return how many calls a journal shows begun and not ended, by model.

        Raises:
            OSError: the disk refused.
        """
        index = await read_journal(self.disk, incarnation)
        calls: Counter[str] = Counter()
        for job, trace in index.jobs.items():
            if trace.open_notes and job.cell in self.book.plan:
                actor = self._replay(job, trace.attempts).rollout.actor
                calls[actor or self.book.plan.cell(job.cell).model] += 1
        return calls

    async def tidy(self, table: LeaseTable, *, closed: Callable[[str], bool]) -> None:
        """Delete the journals of gone workers whose jobs have all ended.

        Args:
            table: knows which have.
            closed: whether a worker's account is closed; its journal tells what it spent.

        Raises:
            OSError: a file could not be deleted; call again.
        """
        for incarnation, needed in list(self.retained.items()):
            left = {job for job in needed if not table.is_ended(job)}
            self.retained[incarnation] = left
            if not left and closed(incarnation):
                await delete_journal(self.disk, incarnation)
                del self.retained[incarnation]

    async def seal(self, incarnation: str, rows: list[Finished], attempts: list[Finished]) -> None:
        """Write recovered rows, and attempts of finished and unfinished jobs, as a seal."""
        name = self.recovered.next_seal(incarnation)
        parts = await self.offload(lambda: encode_parts(rows, self.book.facts, attempts=attempts))
        self._unsure[name] = parts
        self.recovered.add(incarnation, (a.attempt_id for job in attempts for a in job.attempts))
        await write_seal(self.store, name, parts)
        del self._unsure[name]
        self._written.append(name)

    async def finish_seals(self) -> list[str]:
        """Write again what ended in an error, since it may be there or not.

        Nothing may be published before, and nothing without what this returns, the seals written
        since the last call: their attempts count as recovered already.

        Raises:
            StorageError: the store refused; call again.
        """
        for name, parts in list(self._unsure.items()):
            await write_seal(self.store, name, parts)
            del self._unsure[name]
            self._written.append(name)
        written, self._written = self._written, []
        return written

    def _finish(self, progress: Progressed, trace: JobTrace, table: LeaseTable) -> Finished | None:
        """Return the job's end if the journals know it, else keep its attempts to carry."""
        if progress.ended:
            last = max((a for a in progress.attempts if a.answer), key=lambda a: a.started_at)
            return progress.finished(last.started_at + last.latency_s)
        if trace.dead is not None:
            return progress.finished(trace.dead.finished_at, trace.dead.end_state, trace.dead.error)
        if any(a.answer for a in progress.attempts):
            table.carried[progress.job] = tuple(progress.attempts)
        return None

    def _poison(self, job: Job, table: LeaseTable) -> Finished:
        progress = self._replay(job, table.carried.get(job, ()))
        why = "its worker died each time it ran, at last with nothing else on the wire"
        return progress.finished(self.clock.wall(), EndState.POISON, why)

    def _replay(self, job: Job, attempts: tuple[Attempt, ...]) -> Progressed:
        model = self.book.plan.cell(job.cell).model
        known = {a.attempt_id: a for a in attempts}
        return replay(
            job,
            lambda: self.book.rollout(job),
            lambda actor: self.codecs[actor or model],
            known.values(),
        )


@dataclass(slots=True)
class _Batch:
    """Recovered rows and attempts on their way into seals."""

    salvage: Salvage
    incarnation: str
    rows: list[Finished] = field(default_factory=list[Finished])
    attempts: list[Finished] = field(default_factory=list[Finished])
    count: int = 0

    async def add(self, finished: Finished | None, tried: Finished | None) -> None:
        if finished is not None:
            self.rows.append(finished)
            self.count += 1
        if tried is not None:
            self.attempts.append(tried)
        if len(self.rows) + len(self.attempts) >= _CHUNK:
            await self.flush()

    async def flush(self) -> None:
        if self.rows or self.attempts:
            rows, self.rows = self.rows, []
            attempts, self.attempts = self.attempts, []
            await self.salvage.seal(self.incarnation, rows, attempts)


def _unproven(
    index: JournalIndex, published: Container[str], outside: Iterable[JobTrace]
) -> Amount | None:
    """Return what calls on the wire had set aside, and what attempts count that stay unsealed."""
    if index.header is None or index.reports:
        return None
    covered = frozenset[Job]().union(
        *(sealed.jobs for seal, sealed in index.seals.items() if seal in published)
    )
    total = NOTHING
    for job, trace in index.jobs.items():
        if job not in covered:  # of these a segment with the end of the attempt may be gone
            for note in trace.open_notes:
                total = total.plus(note.reserved or NOTHING)
    for trace in outside:
        for attempt in trace.attempts:
            if attempt.incarnation == index.incarnation:
                total = total.plus(attempt.counted or NOTHING)
    return total


def _tried(job: Job, attempts: tuple[Attempt, ...]) -> Finished:
    """Return a carrier for attempts; nothing but its job and its attempts is written.

    What an answer cost in tokens is known where its reply is given, too.
    """
    return Finished(
        job=job,
        end_state=EndState.FAILED,
        attempts=attempts,
        conversation=Conversation(system=None, messages=()),
        replies=(),
        finished_at=0.0,
    )
