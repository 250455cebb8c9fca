"""Which worker holds which job. Pure: heartbeats in, decisions out, time as an argument.

A job is owed, leased to exactly one live worker, or ended (recorded or a dead letter). Memory
grows with leases and with ended bitmaps, never with the plan.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from pyroaring import BitMap

from runner.core.seeds import SeedSet
from runner.core.values import Attempt, Job
from runner.execute.messages import Heartbeat, Lease
from runner.plan.cells import Plan
from runner.plan.owed import OwedCursor


@dataclass(slots=True)
class _Leased:
    lease: Lease
    seq: int
    """Of the heartbeat whose answer granted it; a later one that lacks it never got it."""
    acked: bool = False
    recalled: bool = False
    """To be handed back, since answers of others are known that its holder may lack: it would pay
    for these turns again. Leased anew, with all that is known, once it has come back."""


@dataclass(slots=True)
class WorkerView:
    """A worker as the coordinator knows it."""

    incarnation: str
    beat: Heartbeat
    seen_at: float
    """When its last heartbeat was received (monotonic seconds of the coordinator)."""
    lost: bool = False
    """Silent past its lease; its jobs are owed again, its calls may still be running."""
    leases: dict[Job, _Leased] = field(default_factory=dict[Job, _Leased])
    """In the order of granting."""
    alone: Job | None = None
    """Runs this suspect and nothing beside it."""
    listed: Counter[str] = field(default_factory=Counter[str])
    """Published jobs that its last heartbeat still holds, per model: it will hear of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciled:
    """What a heartbeat changes, for the reply."""

    resend: tuple[Lease, ...]
    returned_seen: tuple[Job, ...]
    revoke: tuple[Job, ...]


class LeaseTable:
    """All leases of a sweep, and what is owed."""

    def __init__(self, plan: Plan, ended: Mapping[int, BitMap], *, suspect_deaths: int) -> None:
        """Start with nothing leased.

        Args:
            plan: what is to be done.
            ended: seeds recorded or dead-lettered, per cell number; copied.
            suspect_deaths: worker deaths with a job in flight before it is run alone.
        """
        self.plan = plan
        self.workers: dict[str, WorkerView] = {}
        self.carried: dict[Job, tuple[Attempt, ...]] = {}
        """Attempts of unfinished jobs whose worker is gone; granted along with the job."""
        self.unlisted: dict[Job, dict[str, tuple[Attempt, ...]]] = {}
        """Attempts of jobs handed back, by the worker that made them, whose rows are in no seal
        yet. Until they are published the job is leased to nobody."""
        self.stopped: dict[str, str] = {}
        """Models of which nothing is granted any more, with the reason."""
        self._ended = {n: BitMap(b) for n, b in ended.items() if n in plan}
        self._taken = {n: BitMap(b) for n, b in self._ended.items()}
        self._owner: dict[Job, str] = {}
        self._cursors = {
            model: OwedCursor(plan.of_model(model), plan.seed_block, self._taken)
            for model in plan.models
        }
        self._planned = {m: sum(len(c.seeds) for c in plan.of_model(m)) for m in plan.models}
        self._done: Counter[str] = Counter()
        self._leased: Counter[str] = Counter()
        for number, seeds in self._ended.items():
            cell = plan.cell(number)
            self._done[cell.model] += sum(
                seeds.range_cardinality(a, b) for a, b in cell.seeds.ranges
            )
        self._deaths: Counter[Job] = Counter()
        self._suspect_deaths = suspect_deaths
        self._suspects: list[Job] = []

    # What is left

    def owed(self, model: str) -> int:
        """Return the jobs of a model that nobody holds and that have not ended."""
        return self._planned.get(model, 0) - self._done[model] - self._leased[model]

    def planned(self, model: str) -> int:
        """Return the jobs of a model in the plan; actors have none of their own."""
        return self._planned.get(model, 0)

    def done(self, model: str) -> int:
        """Return the jobs of a model that are recorded or dead letters."""
        return self._done[model]

    def leased(self, model: str) -> int:
        """Return the jobs of a model that workers hold, finished but unpublished ones included."""
        return self._leased[model]

    def is_ended(self, job: Job) -> bool:
        """Return whether a job is recorded or a dead letter."""
        ended = self._ended.get(job.cell)
        return ended is not None and job.seed in ended

    @property
    def settled(self) -> bool:
        """Return whether nothing is leased and nothing that may still be granted is owed."""
        return not self._owner and all(
            self.owed(m) <= 0 for m in self.plan.models if m not in self.stopped
        )

    # What happens

    def reconcile(self, beat: Heartbeat, now: float) -> Reconciled:
        """Bring the table in line with what a worker says it holds (see execute/messages.py)."""
        view = self.workers.get(beat.incarnation)
        if view is None:
            view = self.workers[beat.incarnation] = WorkerView(beat.incarnation, beat, now)
        view.beat, view.seen_at, view.lost = beat, now, False
        returned = self._take_back(view, beat.returned)
        revoke = self._adopt(view, beat.held)
        return Reconciled(
            resend=self._missing(view, frozenset(beat.held), draining=beat.draining),
            returned_seen=returned,
            revoke=revoke,
        )

    def _take_back(self, view: WorkerView, returned: Iterable[Lease]) -> tuple[Job, ...]:
        seen: list[Job] = []
        for lease in returned:
            seen.append(lease.job)
            if not self.is_ended(lease.job):
                self._carry(lease)
            self._hold_up(view.incarnation, lease)
            if self._owner.get(lease.job) == view.incarnation:
                self._owe(view, lease.job)
        return tuple(seen)

    def _hold_up(self, incarnation: str, lease: Lease) -> None:
        job = lease.job
        own = tuple(a for a in lease.carried if a.incarnation == incarnation)
        if own and job.cell in self.plan and job.seed in self.plan.cell(job.cell).seeds:
            self.unlisted.setdefault(job, {})[incarnation] = own
            self._take(job)

    def listed(self, told: Mapping[Job, Mapping[str, tuple[Attempt, ...]]]) -> None:
        """Take out of `unlisted` what is published now; the jobs are owed again."""
        for job, by_worker in told.items():
            waiting = self.unlisted.get(job, {})
            for incarnation, attempts in by_worker.items():
                if waiting.get(incarnation) == attempts:
                    del waiting[incarnation]
            if not waiting:
                self.unlisted.pop(job, None)
                free = job not in self._owner and job not in self._suspects
                if free and not self.is_ended(job):
                    self._untake(job)

    def _carry(self, lease: Lease) -> None:
        if lease.carried:
            known = {a.attempt_id: a for a in (*self.carried.get(lease.job, ()), *lease.carried)}
            self.carried[lease.job] = tuple(known.values())

    def _adopt(self, view: WorkerView, held: Iterable[Job]) -> tuple[Job, ...]:
        revoke: list[Job] = []
        view.listed.clear()
        for job in held:
            owner = self._owner.get(job)
            if owner == view.incarnation:
                view.leases[job].acked = True
            elif owner is None and job.cell in self.plan and not self.is_ended(job):
                # Granted by an earlier coordinator, or before this one gave the worker up.
                self._lease(view, Lease(job=job), acked=True)
                view.leases[job].recalled = any(
                    a.answer is not None and a.incarnation != view.incarnation
                    for a in self.carried.get(job, ())
                )
            else:
                if owner is None and self.is_ended(job):
                    view.listed[self.plan.cell(job.cell).model] += 1
                revoke.append(job)
                continue
            if view.leases[job].recalled:
                revoke.append(job)
        return tuple(revoke)

    def _missing(
        self, view: WorkerView, held: frozenset[Job], *, draining: bool
    ) -> tuple[Lease, ...]:
        resend: list[Lease] = []
        for job, leased in list(view.leases.items()):
            if job in held:
                continue
            if leased.acked or draining:
                self._owe(view, job)
            else:
                resend.append(leased.lease)
        return tuple(resend)

    def grant(self, incarnation: str, model: str, want: int) -> list[Lease]:
        """Lease owed jobs of a model to a worker: fewer towards the end, so that all end together."""
        view = self.workers[incarnation]
        if want <= 0 or model in self.stopped or view.alone is not None:
            return []
        live = max(1, sum(not w.lost for w in self.workers.values()))
        # Alone there is nobody to leave anything for.
        share = want if live == 1 else max(1, -(-self.owed(model) // (2 * live)))
        leases: list[Lease] = []
        for job in self._cursors[model].take(min(want, share)):
            if self._deaths[job] >= self._suspect_deaths:
                self._take(job)
                self._suspects.append(job)
            else:
                leases.append(Lease(job=job, carried=self.carried.get(job, ())))
        for lease in leases:
            self._lease(view, lease)
        return leases

    def grant_alone(self, incarnation: str) -> list[Lease]:
        """Lease a suspect to a worker that holds nothing unfinished, and keep it alone with it."""
        view = self.workers[incarnation]
        if view.alone is not None and (self.is_ended(view.alone) or view.alone not in view.leases):
            view.alone = None
        busy = bool(view.beat.running or any(view.beat.queued.values())) or any(
            not leased.acked for leased in view.leases.values()
        )
        ready = [job for job in self._suspects if job not in self.unlisted]
        if not ready or view.alone is not None or busy:
            return []
        job = ready[0]
        self._suspects.remove(job)
        self._untake(job)
        lease = Lease(job=job, carried=self.carried.get(job, ()), alone=True)
        self._lease(view, lease)
        view.alone = job
        return [lease]

    def isolating(self, incarnation: str) -> bool:
        """Return whether this worker should get nothing, so that a suspect can run alone on it."""
        view = self.workers[incarnation]
        if view.alone is not None:
            return True
        if not self._suspects:
            return False
        free = [w for w in self.workers.values() if not w.lost and w.alone is None]
        chosen = min(free, key=lambda w: (len(w.leases), w.incarnation), default=None)
        return chosen is view

    def steal(self, incarnation: str, model: str) -> tuple[Job, ...]:
        """Return jobs that this worker should hand back unstarted, for others that are idle.

        A stolen job is leased again only after this worker has confirmed that it gave it back.
        """
        view = self.workers[incarnation]
        spare = view.beat.queued.get(model, 0)
        if spare == 0 or self.owed(model) > 0 or model in self.stopped or view.alone is not None:
            return ()
        idle = any(
            w.beat.wants.get(model, 0) > 0
            and not w.beat.queued.get(model, 0)
            and w.incarnation != incarnation
            and not w.lost
            for w in self.workers.values()
        )
        if not idle:
            return ()
        mine = [
            j for j, s in view.leases.items() if s.acked and self.plan.cell(j.cell).model == model
        ]
        return tuple(mine[-(-spare // 2) * -1 :])

    def ended(self, jobs: Mapping[int, SeedSet]) -> None:
        """Take published jobs (recorded or dead-lettered) out of the leases."""
        for number, seeds in jobs.items():
            if number not in self.plan:
                continue
            model = self.plan.cell(number).model
            planned = self.plan.cell(number).seeds
            ended = self._ended.setdefault(number, BitMap())
            for seed in seeds:
                job = Job(number, seed)
                owner = self._owner.pop(job, None)
                if owner is not None:
                    self._leased[model] -= 1
                    view = self.workers[owner]
                    view.leases.pop(job, None)
                    view.listed[model] += 1
                if seed not in ended:
                    ended.add(seed)
                    self._done[model] += seed in planned
                self._take(job)
                self.carried.pop(job, None)
        self._suspects = [job for job in self._suspects if not self.is_ended(job)]

    def expired(self, now: float, after_s: float, *, since: float = 0.0) -> list[str]:
        """Return the workers silent for longer than that, counted from `since`; mark them lost."""
        lost = [
            view.incarnation
            for view in self.workers.values()
            if not view.lost and now - max(view.seen_at, since) > after_s
        ]
        for incarnation in lost:
            self.workers[incarnation].lost = True
        return lost

    def release(self, incarnation: str) -> None:
        """Owe the jobs of a lost worker again (after its journal was recovered)."""
        view = self.workers.get(incarnation)
        if view is not None and view.lost:
            for job in list(view.leases):
                self._owe(view, job)

    def remove(self, incarnation: str) -> None:
        """Forget a worker that is provably gone; its jobs are owed again."""
        view = self.workers.pop(incarnation, None)
        if view is not None:
            for job in list(view.leases):
                self._owe(view, job)

    def died_with(self, jobs: Iterable[Job]) -> list[Job]:
        """Count a worker's death against jobs that were on the wire; returns the counts' poison.

        A job is poison when it was the only one on the wire, after it had come under suspicion.
        """
        flying = list(jobs)
        for job in flying:
            self._deaths[job] += 1
        if len(flying) == 1 and self._deaths[flying[0]] > self._suspect_deaths:
            return [job for job in flying if not self.is_ended(job)]
        return []

    # The one place where owner, counts and bitmaps change together

    def _lease(self, view: WorkerView, lease: Lease, *, acked: bool = False) -> None:
        job = lease.job
        if job in self._suspects:  # one taken for dead came back with it
            self._suspects.remove(job)
        self._owner[job] = view.incarnation
        view.leases[job] = _Leased(lease, view.beat.seq, acked)
        self._leased[self.plan.cell(job.cell).model] += 1
        self._take(job)

    def _owe(self, view: WorkerView, job: Job) -> None:
        view.leases.pop(job, None)
        if view.alone == job:
            view.alone = None
        if self._owner.get(job) != view.incarnation:
            return
        del self._owner[job]
        self._leased[self.plan.cell(job.cell).model] -= 1
        if not self.is_ended(job) and job not in self.unlisted:
            self._untake(job)

    def _take(self, job: Job) -> None:
        self._taken.setdefault(job.cell, BitMap()).add(job.seed)

    def _untake(self, job: Job) -> None:
        self._taken[job.cell].discard(job.seed)
        self._cursors[self.plan.cell(job.cell).model].give_back(job)
