"""The event loop of a rehearsal: heartbeats, permits that come due, calls that end. Pure.

Time is a number on a heap; nothing sleeps and nothing is a task. The coordinator is the real desk
with the real lease table and the real quota authorities; every worker beats once a second; calls
are answered by `server.py`. A call costs two events, a worker one a second.
"""

from __future__ import annotations

import heapq
from enum import IntEnum
from math import inf

import numpy as np

from runner.config.schema import RetryConfig
from runner.core.seeds import SeedSet
from runner.core.values import EndState, Failure, FailureKind, Reply, Usage
from runner.dispatch.board import Board
from runner.dispatch.desk import Desk
from runner.dispatch.leases import LeaseTable
from runner.dispatch.quotas import QuotaDesk, quota_plan
from runner.execute.worker import LEAST_BEAT_S
from runner.limits.backoff import delay_s
from runner.observe.events import Discard
from runner.observe.quotas import QuotaProgress
from runner.rehearse.measure import GroupMeasure, ModelMeasure
from runner.rehearse.scene import CallSize, Scene, call_size
from runner.rehearse.server import Admitted, Endpoint, Overloaded, endpoints
from runner.rehearse.worker import Flight, Lane, Worker
from runner.simulate.limits import Refused
from runner.simulate.quota_headers import retry_after

REFUSAL_S = 0.01
"""How long a 429 takes."""
ENDLESS_S = 30 * 86_400.0


class Kind(IntEnum):
    """Of events."""

    BEAT = 0
    WAKE = 1
    END = 2
    RETRY = 3
    SAMPLE = 4


class EndlessError(Exception):
    """The sweep would not have ended within a month."""


class Rehearsal:
    """One sweep in virtual time; `run` once, then read what was measured."""

    def __init__(self, scene: Scene) -> None:
        """Prepare; costs grow with cells, not with jobs."""
        self.scene = scene
        self.now = 0.0
        self.ended_at = 0.0
        config = scene.config
        models = {m.name: m for m in config.models}
        self._rng = np.random.default_rng(scene.seed)
        self._endpoints = endpoints(config.models, scene.settings, self._rng)
        self._policy: RetryConfig = config.retry
        quotas = quota_plan(config)
        self.group_of = {name: use.group for name, use in quotas.uses.items()}
        self.table = LeaseTable(
            scene.plan, scene.ended, suspect_deaths=config.engine.suspect_deaths
        )
        self._board = Board(sweep=config.name, directory="", started="", started_at=0.0)
        self.quotas = QuotaDesk(quotas, models, now=0.0, silent_s=None)
        self._desk = Desk(
            self.table,
            models=models,
            quotas=self.quotas,
            board=self._board,
            lease_ttl_s=config.engine.lease_ttl_s,
            claim=1,
            report=lambda _: None,
            events=Discard(),
        )
        self._beat_s = config.engine.heartbeat_s
        self.workers = [
            Worker(f"w{i}", models, quotas.purses(models)) for i in range(scene.workers)
        ]
        self.models = {name: ModelMeasure() for name in models}
        self.groups = {name: GroupMeasure() for name in quotas.groups}
        self._sizes = {
            cell.number: call_size(
                scene.size(cell.number), self._endpoints[cell.model].mean_tokens()
            )
            for cell in scene.plan.cells
        }
        self._model_of = {cell.number: cell.model for cell in scene.plan.cells}
        self._events: list[tuple[float, int, Kind, Worker | None, object]] = []
        self._serial = 0
        self.cpu_s = 0.0
        for i, worker in enumerate(self.workers):
            worker.beat_at = self._beat_s * i / len(self.workers)
            self._at(worker.beat_at, Kind.BEAT, worker, worker.beat_at)
        self._at(0.5, Kind.SAMPLE, None, None)

    def run(self) -> None:
        """Go on until every job has ended.

        Raises:
            EndlessError: it does not.
        """
        while self._events:
            self.now, _, kind, worker, what = heapq.heappop(self._events)
            if kind is Kind.END:
                self._end(worker, what)
            elif kind is Kind.WAKE and worker is not None:
                self._look(worker, str(what))
            elif kind is Kind.BEAT and worker is not None:
                if what == worker.beat_at:
                    self._beat(worker)
            elif kind is Kind.RETRY and worker is not None:
                self._retry(worker, what)
            else:
                self._sample()
            if self.now > ENDLESS_S:
                raise EndlessError
            if kind is Kind.BEAT and self.table.settled:
                return

    def _at(self, when: float, kind: Kind, worker: Worker | None, what: object) -> None:
        self._serial += 1
        heapq.heappush(self._events, (when, self._serial, kind, worker, what))

    # -- heartbeats --------------------------------------------------------------------------

    def _beat(self, worker: Worker) -> None:
        now = self.now
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
        worker.obey(reply, now)
        worker.take((self._model_of[lease.job.cell], lease.job) for lease in reply.grants)
        worker.beat_at = now + self._beat_s
        self._at(worker.beat_at, Kind.BEAT, worker, worker.beat_at)
        for name in worker.lanes:
            self._look(worker, name)

    def _publish(self, worker: Worker) -> None:
        by_cell: dict[int, list[int]] = {}
        for job in worker.finished:
            by_cell.setdefault(job.cell, []).append(job.seed)
        worker.finished = []
        self.table.ended({cell: SeedSet.of_seeds(seeds) for cell, seeds in by_cell.items()})

    def _beat_soon(self, worker: Worker) -> None:
        when = max(self.now, worker.sent_at + LEAST_BEAT_S)
        if when < worker.beat_at:
            worker.beat_at = when
            self._at(when, Kind.BEAT, worker, when)

    # -- calls -------------------------------------------------------------------------------

    def _look(self, worker: Worker, name: str) -> None:
        """Start what may start, and see to it that somebody looks again."""
        lane, now = worker.lanes[name], self.now
        endpoint = self._endpoints[name]
        purse = lane.purse
        if purse is None:
            while lane.may_start(now) and (run := lane.next_run()) is not None:
                worker.started(lane, run)
                self._send(Flight(worker, lane, run, None, now), endpoint)
            due = lane.paused_until if lane.paused_until > now else inf
        else:
            wallet = purse.wallet
            due = wallet.next_at(now)
            while due is not None and due <= now and lane.in_flight < lane.slots:
                run = lane.next_run()
                if run is None:
                    break
                cell, first = run.job.cell, run.turn == 0 and run.tries == 0
                cost = purse.cost(cell, self._sizes[cell].characters, first=first)
                ticket = wallet.take(now, cost)
                worker.started(lane, run)
                self._send(Flight(worker, lane, run, ticket, now), endpoint)
                due = wallet.next_at(now)
        self._wake_later(worker, lane, due)

    def _wake_later(self, worker: Worker, lane: Lane, due: float | None) -> None:
        now = self.now
        if not lane.waits():
            if worker.granted and lane.in_flight < lane.slots:
                worker.granted = False
                self._beat_soon(worker)
        elif due is None:
            if not worker.short:
                self._beat_soon(worker)
        elif now < due < inf and not now < lane.woken_for <= due:
            lane.woken_for = due
            self._at(due, Kind.WAKE, worker, lane.model.name)

    def _send(self, flight: Flight, endpoint: Endpoint) -> None:
        worker, name = flight.worker, flight.lane.model.name
        begin = max(self.now, worker.cpu_free)
        worker.cpu_free = begin + self.scene.cpu_s
        self.cpu_s += self.scene.cpu_s
        model, group = self.models[name], self.groups[self.group_of[name]]
        model.calls += 1
        input_tokens = self._sizes[flight.run.job.cell].input_tokens
        found = endpoint.call(input_tokens, begin)
        if isinstance(found, Admitted):
            group.admitted(input_tokens, begin)
            group.produced(found.tokens, begin + found.first_s, found.seconds - found.first_s)
            self._at(begin + found.seconds, Kind.END, worker, (flight, found, endpoint))
            return
        if isinstance(found, Refused):
            group.refused[found.limit] += 1
            self._at(begin + REFUSAL_S, Kind.END, worker, (flight, found, endpoint))
            return
        self._at(begin + found.seconds, Kind.END, worker, (flight, found, endpoint))

    def _end(self, worker: Worker | None, what: object) -> None:
        assert worker is not None
        flight, found, endpoint = what  # pyright: ignore[reportGeneralTypeIssues]
        lane, run, name = flight.lane, flight.run, flight.lane.model.name
        size = self._sizes[run.job.cell]
        reply = self._reply(found, endpoint, size)
        full = lane.in_flight >= lane.slots
        lane.in_flight -= 1
        lane.heard = True
        lane.tally.count(reply)
        if lane.purse is not None and flight.ticket is not None:
            lane.purse.end(
                flight.ticket,
                reply,
                cell=run.job.cell,
                characters=size.characters,
                latency_s=self.now - flight.sent_at,
                now=self.now,
            )
        self.groups[self.group_of[name]].ended += 1
        if isinstance(reply, Failure):
            self._failed(flight, reply)
        else:
            self._answered(flight, reply.usage, size)
        if full or lane.purse is None or lane.ready:
            self._look(worker, name)

    def _reply(
        self, found: Admitted | Refused | Overloaded, endpoint: Endpoint, size: CallSize
    ) -> Reply | Failure:
        if isinstance(found, Admitted):
            endpoint.quota.finish(found.permit, self.now)
            return Reply(
                content=(),
                stop_reason="end_turn",
                end_state=EndState.ANSWERED,
                usage=Usage(input_tokens=size.input_tokens, output_tokens=found.tokens),
                model="",
            )
        if isinstance(found, Refused):
            return Failure(
                kind=FailureKind.RATE_LIMITED,
                message=found.limit.value.replace("_", " ").removesuffix("s"),
                retry_after_s=retry_after(found.wait_s),
            )
        return Failure(kind=FailureKind.OVERLOADED, message="overloaded")

    def _answered(self, flight: Flight, usage: Usage, size: CallSize) -> None:
        run, model = flight.run, self.models[flight.lane.model.name]
        model.answered += 1
        model.input_tokens += usage.input_tokens
        model.output_tokens += usage.output_tokens
        run.turn, run.tries = run.turn + 1, 0
        if run.turn < size.calls:
            flight.lane.ready.append(run)
            return
        flight.worker.finish(flight.lane, run)
        model.ends.append(self.now)
        self.ended_at = self.now

    def _failed(self, flight: Flight, failure: Failure) -> None:
        worker, lane, run = flight.worker, flight.lane, flight.run
        model, now = self.models[lane.model.name], self.now
        run.tries += 1
        refused = failure.kind is FailureKind.RATE_LIMITED
        wait_s = delay_s(
            run.tries,
            self._rng.random(),
            retry_after_s=failure.retry_after_s,
            initial_s=self._policy.wait_initial_s,
            maximum_s=self._policy.wait_max_s,
        )
        if refused:
            model.refused += 1
            group = self.group_of[lane.model.name]
            for name, other in worker.lanes.items():
                if self.group_of[name] == group:
                    other.pause(now + (failure.retry_after_s or 1.0), now)
            self._beat_soon(worker)
        else:
            model.overloaded += 1
            if not lane.outage:
                wait_s = max(wait_s, lane.retries.take(now))
        lane.tally.waiting += 1
        self._at(now + wait_s, Kind.RETRY, worker, (lane, run))

    def _retry(self, worker: Worker, what: object) -> None:
        lane, run = what  # pyright: ignore[reportGeneralTypeIssues]
        lane.tally.waiting -= 1
        lane.ready.append(run)
        self._look(worker, lane.model.name)

    # -- what binds --------------------------------------------------------------------------

    def _sample(self) -> None:
        now = self.now
        for progress in self.quotas.progress(now):
            group = self.groups[progress.group]
            lanes = [w.lanes[m] for w in self.workers for m in progress.models]
            flying = sum(lane.in_flight for lane in lanes)
            for m in progress.models:
                of_model = sum(w.lanes[m].in_flight for w in self.workers)
                self.models[m].most_in_flight = max(self.models[m].most_in_flight, of_model)
            waits = any(lane.waits() for lane in lanes) or any(map(self.table.owed, progress.models))
            if waits:
                group.busy_until = now
                why = self._why(progress, flying)
            else:
                why = "tail" if flying else "done"
            group.bound_by(why, now)
        self._at(now + (1.0 if now < 120 else 5.0), Kind.SAMPLE, None, None)

    def _why(self, progress: QuotaProgress, flying: int) -> str:
        if progress.hold_s > 0:
            return "pause"
        if all(w.cpu_free > self.now + 0.1 for w in self.workers):
            return "workers"
        if progress.binds is not None:
            return progress.binds
        places = sum(self._desk.slots[m].limit for m in progress.models)
        return "places" if flying >= 0.9 * places else "start"

    # -- for whoever reads -------------------------------------------------------------------

    def endpoint(self, model: str) -> Endpoint:
        """Return a model's endpoint."""
        return self._endpoints[model]
