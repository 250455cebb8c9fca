"""The event loop of a rehearsal: heartbeats, permits that come due, calls that end. Pure.

Time is a number on a heap; nothing sleeps and nothing is a task. The coordinator is the real desk
with the real lease table and the real quota authorities; every worker beats once a second; calls
are answered by `server.py`. A call costs two events, a worker one a second. Left out, because they
take no time that matters: messages on the way, journals, publishing.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from math import inf

import numpy as np

from runner.config.schema import called
from runner.config.streaming import streams
from runner.core.money import Rates
from runner.core.seams import ProcessIdentity
from runner.core.seeds import SeedSet
from runner.core.values import EndState, Failure, FailureKind, Job, Reply, Usage
from runner.dispatch.board import Board
from runner.dispatch.desk import Desk
from runner.dispatch.leases import LeaseTable
from runner.dispatch.quotas import QuotaDesk, quota_plan
from runner.dispatch.witnesses import Witnesses
from runner.execute.purse import PAUSE_S
from runner.execute.worker import LEAST_BEAT_S
from runner.limits.backoff import delay_s
from runner.observe.events import Discard
from runner.observe.quotas import QuotaProgress
from runner.providers.caching import TTL_S, caches, ttl_of
from runner.rehearse.measure import GroupMeasure, ModelMeasure
from runner.rehearse.scene import CHARACTERS_PER_TOKEN, Scene, Shape
from runner.rehearse.server import Admitted, Endpoint, Overloaded, endpoints
from runner.rehearse.worker import Flight, Lane, Run, Worker
from runner.simulate.limits import Refused
from runner.simulate.quota_headers import retry_after

REFUSAL_S = 0.01
"""How long a 429 takes."""
ENDLESS_S = 400 * 86_400.0
STUCK_S = 7200.0
"""So long without an end of a call: nothing will come."""


class Kind(IntEnum):
    """Of events."""

    BEAT = 0
    WAKE = 1
    END = 2
    WARM = 3
    RETRY = 4
    SAMPLE = 5


class EndlessError(Exception):
    """The sweep would not end."""


@dataclass(frozen=True, slots=True)
class _Nobody:
    """A process table in which nobody ever dies."""

    def current(self) -> ProcessIdentity:
        return ProcessIdentity(host="-", boot_id="", pid_namespace="", pid=0, started="")

    def is_dead(self, other: ProcessIdentity) -> bool | None:
        return False


@dataclass(slots=True)
class _Cell:
    """What a cell's calls are like, worked out once."""

    model: str
    shape: Shape
    input_tokens: int
    shared: int
    """Tokens of the prefix that is marked for the cache; 0: none is."""
    ttl_s: float
    rates: Rates | None
    companions: dict[str, int] = field(default_factory=dict[str, int])
    """Model to the input tokens of each call."""


class Rehearsal:
    """One sweep in virtual time; `run` once, then read what was measured."""

    def __init__(self, scene: Scene) -> None:
        """Prepare; costs grow with cells, not with jobs."""
        config = scene.config
        self.scene = scene
        self.now = 0.0
        self.quota_plan = quota_plan(config)
        self.group_of = {name: use.group for name, use in self.quota_plan.uses.items()}
        self.models = {m.name: ModelMeasure() for m in called(config)}
        self.groups = {name: GroupMeasure() for name in self.quota_plan.groups}
        self._rng = np.random.default_rng(scene.draw)
        self._uniform: list[float] = []
        self._endpoints = endpoints(
            scene,
            groups=self.group_of,
            cache_reads_count=self.quota_plan.cache_reads_count,
            rng=self._rng,
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
        )
        self._beat_s = config.engine.heartbeat_s
        self._cpu_s = {name: scene.cpu_s.get(name, 0.0) for name in models}
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
        self._cells = {cell.number: self._cell(cell.number, cell.model) for cell in scene.plan.cells}
        self._events: list[tuple[float, int, Kind, Worker | None, object]] = []
        self._serial = 0
        self._moved_at = 0.0
        for i, worker in enumerate(self._workers):
            worker.beat_at = self._beat_s * i / len(self._workers)
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
                assert isinstance(what, Flight)
                self._end(what)
            elif kind is Kind.WAKE:
                assert worker is not None
                assert isinstance(what, Lane)
                self._look(worker, what)
            elif kind is Kind.BEAT:
                assert worker is not None
                if what == worker.beat_at:
                    self._beat(worker)
                    if self._table.settled:
                        return
            elif kind is Kind.RETRY:
                assert worker is not None
                assert isinstance(what, Run)
                self._retry(worker, what)
            elif kind is Kind.WARM:
                assert isinstance(what, Flight)
                self._warmed(what, answered=True)
            else:
                self._sample()
            if self.now - self._moved_at > STUCK_S or self.now > ENDLESS_S:
                raise EndlessError

    def _cell(self, number: int, model: str) -> _Cell:
        scene, shape = self.scene, self.scene.shape(number)
        config = self._endpoints[model].model
        ttl = ttl_of(config.cache)
        shared = shape.shared_tokens if caches(config, shape.shared_characters) else 0
        input_tokens = max(1, round(shape.input_tokens))
        tariff = scene.tariffs.get(model)
        return _Cell(
            model=model,
            shape=shape,
            input_tokens=input_tokens,
            shared=min(shared, input_tokens - 1),
            ttl_s=TTL_S.get(ttl or "", 0.0),
            rates=None if tariff is None else tariff.rates(scene.at, input_tokens),
            companions={c.model: max(1, round(c.input_tokens)) for c in shape.companions},
        )

    def _at(self, when: float, kind: Kind, worker: Worker | None, what: object) -> None:
        self._serial += 1
        heapq.heappush(self._events, (when, self._serial, kind, worker, what))

    def _draw(self) -> float:
        if not self._uniform:
            self._uniform = self._rng.uniform(size=4096).tolist()
        return self._uniform.pop()

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
        worker.take((self._cells[lease.job.cell].model, lease.job) for lease in reply.grants)
        worker.beat_at = now + self._beat_s
        self._at(worker.beat_at, Kind.BEAT, worker, worker.beat_at)
        for lane in worker.lanes.values():
            self._look(worker, lane)

    def _publish(self, worker: Worker) -> None:
        by_cell: dict[int, list[int]] = {}
        for job in worker.finished:
            by_cell.setdefault(job.cell, []).append(job.seed)
            del worker.held[job]
        worker.finished = []
        self._table.ended({cell: SeedSet.of_seeds(seeds) for cell, seeds in by_cell.items()})

    def _beat_soon(self, worker: Worker) -> None:
        when = max(self.now, worker.sent_at + LEAST_BEAT_S)
        if when < worker.beat_at:
            worker.beat_at = when
            self._at(when, Kind.BEAT, worker, when)

    # -- calls -------------------------------------------------------------------------------

    def _look(self, worker: Worker, lane: Lane) -> None:
        """Start what may start, and see to it that somebody looks again."""
        now, purse = self.now, lane.purse
        while lane.in_flight < lane.slots:
            due = lane.paused_until if purse is None else purse.wallet.next_at(now)
            if due is None or due > now:
                break
            run = self._next(lane)
            if run is None:
                break
            self._send(worker, lane, run)
        if not lane.waits():
            if worker.granted and lane.has_jobs and lane.running < lane.slots:
                worker.granted = False
                self._beat_soon(worker)
            return
        due = lane.paused_until if purse is None else purse.wallet.next_at(now)
        if due is None:
            if not worker.short:
                self._beat_soon(worker)
        elif now < due < inf and not now < lane.woken_for <= due:
            lane.woken_for = due
            self._at(due, Kind.WAKE, worker, lane)

    def _next(self, lane: Lane) -> Run | None:
        """Take the call that is next: of jobs that have begun first."""
        while lane.waits():
            if lane.ready:
                run = lane.ready.popleft()
            else:
                run = self._begin(lane, lane.fresh.popleft())
            marked = run.home is lane and self._cells[run.job.cell].shared
            if not marked or run.leads or not lane.must_wait(run, self.now):
                return run
        return None

    def _begin(self, lane: Lane, job: Job) -> Run:
        lane.running += 1
        cell = self._cells[job.cell]
        own = max(1, self._whole(cell.shape.calls))
        steps = [lane] * own
        if cell.companions:
            worker_lanes = self._lanes_beside(lane)
            for companion in cell.shape.companions:
                asked = self._whole(companion.calls)
                for i in range(asked):  # spread behind the calls that they belong to
                    steps.insert((i + 1) * len(steps) // (asked + 1) + 1, worker_lanes[companion.model])
        return Run(job, lane, tuple(steps))

    def _lanes_beside(self, lane: Lane) -> Mapping[str, Lane]:
        return next(w.lanes for w in self._workers if w.lanes[lane.model.name] is lane)

    def _whole(self, mean: float) -> int:
        whole = int(mean)
        share = mean - whole
        return whole + (share > 0 and self._draw() < share)

    def _send(self, worker: Worker, lane: Lane, run: Run) -> None:
        now, name = self.now, lane.model.name
        cell = self._cells[run.job.cell]
        mine = run.home is lane
        input_tokens = cell.input_tokens if mine else cell.companions[name]
        ticket = None
        if lane.purse is not None:
            cost = lane.purse.cost(
                run.job.cell,
                input_tokens * CHARACTERS_PER_TOKEN,
                first=run.at == 0 and run.tries == 0,
            )
            ticket = lane.purse.wallet.take(now, cost)
        lane.in_flight += 1
        if run.tries == 0:
            lane.retries.first_attempt()
        begin = max(now, worker.cpu_free)
        worker.cpu_free = begin + self._cpu_s[name]
        shared = cell.shared if mine else 0
        found = self._endpoints[name].call(
            run.job.cell, input_tokens, shared=shared, ttl_s=cell.ttl_s, now=begin
        )
        flight = Flight(worker, lane, run, ticket, now, input_tokens, found)
        self.models[name].calls += 1
        group = self.groups[lane.group]
        seconds = REFUSAL_S
        if isinstance(found, Admitted):
            group.admitted(input_tokens - found.read, begin)
            group.produced(found.tokens, begin + found.first_s, found.seconds - found.first_s)
            seconds = found.seconds
            if run.leads and streams(lane.model):  # of a plain call only the end is seen
                self._at(begin + found.first_s, Kind.WARM, worker, flight)
        elif isinstance(found, Overloaded):
            seconds = found.seconds
        self._at(begin + seconds, Kind.END, worker, flight)

    def _warmed(self, flight: Flight, *, answered: bool) -> None:
        ttl_s = self._cells[flight.run.job.cell].ttl_s
        flight.lane.warmed(flight.run, self.now, answered=answered, ttl_s=ttl_s)
        if flight.lane.ready:
            self._look(flight.worker, flight.lane)

    def _end(self, flight: Flight) -> None:
        lane, run, now = flight.lane, flight.run, self.now
        self._moved_at = now
        model = self.models[lane.model.name]
        model.ended_at = now
        reply = self._reply(flight)
        lane.in_flight -= 1
        lane.heard = True
        trouble = isinstance(reply, Failure) and reply.kind is FailureKind.OVERLOADED
        lane.tally.count(reply, trouble=trouble)
        if lane.purse is not None and flight.ticket is not None:
            lane.purse.end(
                flight.ticket,
                reply,
                cell=run.job.cell,
                characters=flight.input_tokens * CHARACTERS_PER_TOKEN,
                latency_s=now - flight.sent_at,
                trouble=trouble,
                now=now,
            )
        if run.home is lane and self._cells[run.job.cell].shared:
            self._warmed(flight, answered=isinstance(reply, Reply))
        if isinstance(reply, Failure):
            self._failed(flight, reply)
        else:
            self._answered(flight, reply.usage)
        self._look(flight.worker, lane)

    def _reply(self, flight: Flight) -> Reply | Failure:
        found = flight.found
        if isinstance(found, Admitted):
            for quota, permit in found.permits:
                quota.finish(permit, self.now)
            hour = self._cells[flight.run.job.cell].ttl_s > 300
            usage = Usage(
                input_tokens=flight.input_tokens - found.read - found.written,
                output_tokens=found.tokens,
                cache_read_tokens=found.read,
                cache_write_tokens=found.written,
                cache_write_1h_tokens=found.written if hour else 0,
            )
            return Reply(
                content=(),
                stop_reason="end_turn",
                end_state=EndState.ANSWERED,
                usage=usage,
                model="",
            )
        if isinstance(found, Refused):
            self.models[flight.lane.model.name].refused_by[found.limit.value] += 1
            return Failure(
                kind=FailureKind.RATE_LIMITED,
                message=found.limit.value.replace("_", " ").removesuffix("s"),
                retry_after_s=retry_after(found.wait_s),
            )
        return Failure(kind=FailureKind.OVERLOADED, message="overloaded")

    def _answered(self, flight: Flight, usage: Usage) -> None:
        run, lane = flight.run, flight.lane
        model = self.models[lane.model.name]
        model.input_tokens += usage.input_tokens
        model.cached_tokens += usage.cache_read_tokens
        model.written_tokens += usage.cache_write_tokens
        model.output_tokens += usage.output_tokens
        cost = self._cost(run, lane, usage)
        if cost is None:
            model.unpriced += 1
        else:
            model.cost_usd += cost
        run.at, run.tries = run.at + 1, 0
        if run.at < len(run.steps):
            following = run.steps[run.at]
            following.ready.append(run)
            if following is not lane:
                self._look(flight.worker, following)
            return
        home = run.home
        home.running -= 1
        home.finished += 1
        flight.worker.finished.append(run.job)
        self.models[home.model.name].jobs += 1
        if home is not lane:
            self._look(flight.worker, home)

    def _cost(self, run: Run, lane: Lane, usage: Usage) -> float | None:
        if run.home is lane:
            rates = self._cells[run.job.cell].rates
            return None if rates is None else rates.cost_usd(usage)
        tariff = self.scene.tariffs.get(lane.model.name)
        return None if tariff is None else tariff.cost_usd(usage, self.scene.at)

    def _failed(self, flight: Flight, failure: Failure) -> None:
        worker, lane, run = flight.worker, flight.lane, flight.run
        model, now = self.models[lane.model.name], self.now
        run.tries += 1
        retry, policy = failure.retry_after_s, self.scene.config.retry
        wait_s = delay_s(
            run.tries,
            self._draw(),
            retry_after_s=retry,
            initial_s=policy.wait_initial_s,
            maximum_s=policy.wait_max_s,
        )
        if failure.kind is FailureKind.RATE_LIMITED:
            model.refused += 1
            for other in worker.lanes.values():
                if other.group == lane.group:
                    other.pause(retry or PAUSE_S, now)
            self._beat_soon(worker)
        else:
            model.overloaded += 1
            if not lane.outage:
                wait_s = max(wait_s, lane.retries.take(now))
        lane.tally.waiting += 1
        self._at(now + wait_s, Kind.RETRY, worker, run)

    def _retry(self, worker: Worker, run: Run) -> None:
        lane = run.steps[run.at]
        lane.tally.waiting -= 1
        lane.ready.append(run)
        self._look(worker, lane)

    # -- what binds --------------------------------------------------------------------------

    def _sample(self) -> None:
        now = self.now
        for progress in self._quotas.progress(now):
            group = self.groups[progress.group]
            lanes = [w.lanes[m] for w in self._workers for m in progress.models]
            flying = sum(lane.in_flight for lane in lanes)
            for m in progress.models:
                of_model = sum(w.lanes[m].in_flight for w in self._workers)
                self.models[m].most_in_flight = max(self.models[m].most_in_flight, of_model)
            if any(lane.waits() for lane in lanes) or any(map(self._owed, progress.models)):
                group.busy_until = now
                why = self._why(progress, flying)
            else:
                why = "tail" if any(lane.has_jobs for lane in lanes) else "demand"
            group.bound_by(why, now)
        self._at(now + (1.0 if now < 120 else 5.0), Kind.SAMPLE, None, None)

    def _owed(self, model: str) -> bool:
        return self._table.owed(model) > 0

    def _why(self, progress: QuotaProgress, flying: int) -> str:
        if progress.hold_s > 0:
            return "pause"
        if all(w.cpu_free > self.now + 0.1 for w in self._workers):
            return "workers"
        if progress.binds is not None:
            return progress.binds
        places = sum(self._desk.slots[m].limit for m in progress.models)
        return "places" if flying >= 0.9 * places else "start"
