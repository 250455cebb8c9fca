"""The event loop of a rehearsal: heartbeats, permits that come due, calls that end. Pure.

Time is a number on a heap; nothing sleeps and nothing is a task. The coordinator is the real desk
with the real lease table and the real quota authorities; every worker beats once a second; calls
are answered by `server.py`. A call costs two events, a worker one a second. Left out, because they
take no time that matters: messages on the way, journals, publishing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from runner.config.schema import called
from runner.core.seams import ProcessIdentity
from runner.core.seeds import SeedSet
from runner.dispatch.board import Board
from runner.dispatch.desk import Desk
from runner.dispatch.leases import LeaseTable
from runner.dispatch.quota_plan import quota_plan
from runner.dispatch.quotas import QuotaDesk
from runner.dispatch.witnesses import Witnesses
from runner.execute.worker import LEAST_BEAT_S
from runner.limits.tripwire import Tripwire
from runner.observe.events import Discard
from runner.observe.quotas import QuotaProgress
from runner.rehearse.agenda import Agenda, Kind
from runner.rehearse.calls import Calls
from runner.rehearse.cells import cell_calls
from runner.rehearse.measure import GroupMeasure, ModelMeasure
from runner.rehearse.scene import Scene
from runner.rehearse.server import endpoints
from runner.rehearse.worker import Flight, Lane, Run, Worker

ENDLESS_S = 400 * 86_400.0
STUCK_S = 3 * 3600.0
"""So long without an answer: none will come."""


class EndlessError(Exception):
    """The sweep would not end."""


@dataclass(frozen=True, slots=True)
class _Nobody:
    """A process table in which nobody ever dies."""

    def current(self) -> ProcessIdentity:
        return ProcessIdentity(host="-", boot_id="", pid_namespace="", pid=0, started="")

    def is_dead(self, other: ProcessIdentity) -> bool | None:  # noqa: ARG002  # the seam's
        return False


class Rehearsal:
    """One sweep in virtual time; `run` once, then read what was measured."""

    def __init__(self, scene: Scene) -> None:
        """Prepare; costs grow with cells, not with jobs."""
        config = scene.config
        self.scene = scene
        self.quota_plan = quota_plan(config)
        self.group_of = {name: use.group for name, use in self.quota_plan.uses.items()}
        self.models = {m.name: ModelMeasure() for m in called(config)}
        self.groups = {name: GroupMeasure() for name in self.quota_plan.groups}
        rng = np.random.default_rng(scene.draw)
        self._endpoints = endpoints(
            scene,
            groups=self.group_of,
            cache_reads_count=self.quota_plan.cache_reads_count,
            rng=rng,
        )
        models = {m.name: m for m in called(config)}
        self._table = LeaseTable(scene.plan, {}, suspect_deaths=config.engine.suspect_deaths)
        self._quotas = QuotaDesk(self.quota_plan, models, now=0.0, silent_s=None)
        self._desk = Desk(
            self._table,
            models=models,
            quotas=self._quotas,
            witnesses=Witnesses(_Nobody()),
            board=Board(sweep=config.name, directory="", started="", started_at=0.0),
            lease_ttl_s=config.engine.lease_ttl_s,
            claim=1,
            report=lambda _: None,
            events=Discard(),
            # It holds jobs back until the first have ended; what they are worth is not known here.
            tripwire=Tripwire(replace(config.tripwire, share=1.0)),
        )
        self._beat_s = config.engine.heartbeat_s
        self._workers = [
            Worker(
                f"w{i}",
                models,
                groups=self.group_of,
                purses=self.quota_plan.purses(models),
                tested=scene.plan.models,
                beat_s=self._beat_s,
            )
            for i in range(scene.workers)
        ]
        self._cells = cell_calls(scene, models)
        self._agenda = Agenda()
        self._calls = Calls(
            scene,
            self._agenda,
            endpoints=self._endpoints,
            cells=self._cells,
            models=self.models,
            groups=self.groups,
            rng=rng,
            on_need=self._beat_soon,
        )
        for i, worker in enumerate(self._workers):
            worker.beat_at = self._beat_s * i / len(self._workers)
            self._agenda.at(worker.beat_at, Kind.BEAT, worker, worker.beat_at)
        self._agenda.at(0.5, Kind.SAMPLE, self._workers[0], None)

    def run(self) -> None:
        """Go on until every job has ended.

        Raises:
            EndlessError: it does not.
        """
        calls, agenda = self._calls, self._agenda
        while True:
            now, _, kind, worker, what = agenda.pop()
            if kind is Kind.END and isinstance(what, Flight):
                calls.end(what)
            elif kind is Kind.WAKE and isinstance(what, Lane):
                calls.look(worker, what)
            elif kind is Kind.RETRY and isinstance(what, Run):
                calls.retry(worker, what)
            elif kind is Kind.WARM and isinstance(what, Flight):
                calls.warmed(what, answered=True)
            elif kind is Kind.SAMPLE:
                self._sample(now)
            elif what == worker.beat_at:
                self._beat(worker, now)
                if self._table.settled:
                    return
            if now - calls.moved_at > STUCK_S or now > ENDLESS_S:
                raise EndlessError

    # -- heartbeats --------------------------------------------------------------------------

    def _beat(self, worker: Worker, now: float) -> None:
        if worker.finished:
            self._publish(worker)
        readings = {
            name: self._endpoints[name].readings(now)
            for name, lane in worker.lanes.items()
            if lane.heard and self._endpoints[name].sends_headers
        }
        reply = self._desk.answer(
            worker.heartbeat(readings, now), now, leasing=True, published=(), drain_s=None
        )
        worker.take((self._cells[lease.job.cell].model, lease.job) for lease in reply.grants)
        for lane, run in worker.obey(reply, now):
            self._calls.arrive(lane, run)
        worker.beat_at = now + self._beat_s
        self._agenda.at(worker.beat_at, Kind.BEAT, worker, worker.beat_at)
        for lane in worker.lanes.values():
            self._calls.look(worker, lane)

    def _publish(self, worker: Worker) -> None:
        by_cell: dict[int, list[int]] = {}
        for job in worker.finished:
            by_cell.setdefault(job.cell, []).append(job.seed)
            del worker.held[job]
        worker.finished = []
        self._table.ended({cell: SeedSet.of_seeds(seeds) for cell, seeds in by_cell.items()})

    def _beat_soon(self, worker: Worker) -> None:
        when = max(self._agenda.now, worker.sent_at + LEAST_BEAT_S)
        if when < worker.beat_at:
            worker.beat_at = when
            self._agenda.at(when, Kind.BEAT, worker, when)

    # -- what binds --------------------------------------------------------------------------

    def _sample(self, now: float) -> None:
        for progress in self._quotas.progress(now):
            group = self.groups[progress.group]
            lanes = [w.lanes[m] for w in self._workers for m in progress.models]
            flying = sum(lane.in_flight for lane in lanes)
            for m in progress.models:
                of_model = sum(w.lanes[m].in_flight for w in self._workers)
                self.models[m].most_in_flight = max(self.models[m].most_in_flight, of_model)
            if any(lane.waits() for lane in lanes) or any(map(self._owed, progress.models)):
                group.busy_until = now
                why = self._why(progress, flying, now)
            else:
                why = "tail" if any(lane.has_jobs for lane in lanes) else "demand"
            group.bound_by(why, now)
        step_s = 1.0 if now < 120 else 5.0
        self._agenda.at(now + step_s, Kind.SAMPLE, self._workers[0], None)

    def _owed(self, model: str) -> bool:
        return self._table.owed(model) > 0

    def _why(self, progress: QuotaProgress, flying: int, now: float) -> str:
        if progress.hold_s > 0:
            return "pause"
        if all(w.cpu_free > now + 0.1 for w in self._workers):
            return "workers"
        places = sum(self._desk.slots[m].limit for m in progress.models)
        if flying >= 0.95 * places:
            return "places"
        return progress.binds or "start"
