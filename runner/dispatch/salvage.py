"""What journals of gone workers still hold: answers to publish, rollouts to continue, suspects.

Owns the way from journal files to recovery seals and to carried attempts. A journal is deleted
only when its writer is provably gone and every job in it has ended; until then it is read again
by each new coordinator, which makes the count of deaths a job was part of durable, too.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from runner.core.seams import Clock, Disk, KeyMissingError, Processes, ProcessIdentity, Store
from runner.core.values import Attempt, Conversation, EndState, Finished, Job
from runner.dispatch.leases import LeaseTable
from runner.execute.outbox import Offload
from runner.execute.replay import Codec, Progressed, replay
from runner.observe.events import JournalRecovered, Problem, Sink
from runner.record.layout import ATTEMPTS, part_key, seal_incarnation, seal_name
from runner.record.parts import EncodedPart, attempt_ids, encode_parts
from runner.record.recovery import (
    JobTrace,
    delete_journal,
    incarnations,
    read_journal,
    unsealed,
)
from runner.record.seals import list_seals, write_seal
from runner.record.state import SweepState
from runner.scenarios.book import Book

_FIRST_FRAME_S = 1.0
"""A journal without a first frame after so long was begun by a process that died doing it."""
_CHUNK = 1000
"""Jobs per recovery seal: bounds memory and the size of a part."""
_SEALS_PER_CLAIM = 100_000
"""A recovery seal's number is the claim's times this, plus its own count."""


@dataclass(slots=True, kw_only=True)
class Salvage:
    """Reads journals for one coordinator."""

    store: Store
    disk: Disk
    clock: Clock
    processes: Processes
    book: Book
    codecs: Mapping[str, Codec]
    offload: Offload
    claim: int
    state: Callable[[], SweepState]
    report: Callable[[str], None]
    """Told of damage found, in words for the user."""
    events: Sink
    retained: dict[str, set[Job]] = field(default_factory=dict[str, set[Job]])
    """Journals of gone workers, by incarnation, with the jobs for which they are still needed."""
    inherited: frozenset[str] = frozenset()
    """Seals that lay unpublished when this claim began."""
    lost_calls: int = 0
    """Calls whose worker died while they were on the wire."""
    _writers: dict[str, ProcessIdentity | None] = field(
        default_factory=dict[str, ProcessIdentity | None]
    )
    """Who wrote a journal, by incarnation: read once."""
    _deaths: set[str] = field(default_factory=set[str])
    """Workers whose death has been counted against their jobs."""
    _recovered: dict[str, set[str]] = field(default_factory=dict[str, set[str]])
    _unsure: dict[str, list[EncodedPart]] = field(default_factory=dict[str, list[EncodedPart]])
    _written: list[str] = field(default_factory=list[str])
    _seals: int = 0

    async def find(self) -> dict[str, bool | None]:
        """Return the incarnations with a journal on this disk: True gone, False runs, None unknown.

        A journal whose first frame was lost belongs to nobody who could go on writing it.

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
            found[incarnation] = True if writer is None else self.processes.is_dead(writer)
        return found

    async def load_recovered(self) -> None:
        """Learn what earlier coordinators recovered of journals still here, published or not.

        Raises:
            StorageError: the store refused.
            OSError: the disk refused.
        """
        here = set(await incarnations(self.disk))
        keys = {
            key.removeprefix(ATTEMPTS).removesuffix(".parquet"): key
            for key in await self.store.list(ATTEMPTS)
        }
        self.inherited = frozenset(await list_seals(self.store))
        for seal in self.inherited:
            keys.setdefault(seal, part_key(seal, "attempts"))
        for seal, key in keys.items():
            incarnation = seal_incarnation(seal)
            if seal[-1] in "rx" and incarnation in here:
                known = self._recovered.setdefault(incarnation, set())
                with contextlib.suppress(KeyMissingError):  # a seal without attempts
                    known |= attempt_ids(await self.store.get(key))

    def is_stale(self, seal: str) -> bool:
        """Return whether a seal was written by recovery under an earlier claim after this one began.

        Its writer knew nothing of what was published since.
        """
        if not seal.endswith("r") or seal in self.inherited:
            return False
        return int(seal.partition(".")[2][:-1]) // _SEALS_PER_CLAIM != self.claim

    def recovered_ids(self, incarnation: str) -> set[str]:
        """Return the attempts that a recovery seal or a rewritten part of this worker holds."""
        return self._recovered.get(incarnation, set())

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
        left = {
            job: trace
            for job, trace in unsealed(index, self.state().published_seals).items()
            if job.cell in self.book.plan
        }
        known = self.recovered_ids(incarnation)
        batch = _Batch(self, incarnation)
        for job, trace in left.items():
            fresh = tuple(
                a
                for a in trace.attempts
                if a.incarnation == incarnation and a.attempt_id not in known
            )
            done = None if table.is_ended(job) else self._finish(job, trace, table)
            await batch.add(done, _tried(job, fresh) if fresh else None)
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

    async def tidy(self, table: LeaseTable) -> None:
        """Delete the journals of gone workers whose jobs have all ended.

        Raises:
            OSError: a file could not be deleted; call again.
        """
        for incarnation, needed in list(self.retained.items()):
            left = {job for job in needed if not table.is_ended(job)}
            self.retained[incarnation] = left
            if not left:
                await delete_journal(self.disk, incarnation)
                del self.retained[incarnation]

    async def seal(self, incarnation: str, rows: list[Finished], attempts: list[Finished]) -> None:
        """Write recovered rows, and attempts of finished and unfinished jobs, as a seal."""
        self._seals += 1
        # The claim's number makes the name unique over coordinators, zombies included.
        name = seal_name(incarnation, self.claim * _SEALS_PER_CLAIM + self._seals, "r")
        parts = await self.offload(lambda: encode_parts(rows, self.book.facts, attempts=attempts))
        self._unsure[name] = parts
        ids = self._recovered.setdefault(incarnation, set())
        ids.update(a.attempt_id for tried in attempts for a in tried.attempts)
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

    def _finish(self, job: Job, trace: JobTrace, table: LeaseTable) -> Finished | None:
        """Return the job's end if the journals know it, else keep its attempts to carry."""
        progress = self._replay(job, (*table.carried.get(job, ()), *trace.attempts))
        if progress.ended:
            last = max((a for a in progress.attempts if a.answer), key=lambda a: a.started_at)
            return progress.finished(last.started_at + last.latency_s)
        if trace.dead is not None:
            return progress.finished(trace.dead.finished_at, trace.dead.end_state, trace.dead.error)
        if any(a.answer for a in progress.attempts):
            table.carried[job] = tuple(progress.attempts)
        return None

    def _poison(self, job: Job, table: LeaseTable) -> Finished:
        progress = self._replay(job, table.carried.get(job, ()))
        why = "its worker died each time it ran, at last with nothing else on the wire"
        return progress.finished(self.clock.wall(), EndState.POISON, why)

    def _replay(self, job: Job, attempts: tuple[Attempt, ...]) -> Progressed:
        model = self.book.plan.cell(job.cell).model
        known = {a.attempt_id: a for a in attempts}
        return replay(
            job, self.book.rollout(job), lambda actor: self.codecs[actor or model], known.values()
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


def _tried(job: Job, attempts: tuple[Attempt, ...]) -> Finished:
    """Return a carrier for attempts; nothing but its job and its attempts is written."""
    return Finished(
        job=job,
        end_state=EndState.FAILED,
        attempts=attempts,
        conversation=Conversation(system=None, messages=()),
        replies=(),
        finished_at=0.0,
    )
