"""Calls of a rehearsal: which goes out when, what becomes of it, what comes next. Pure.

Does what gate, attempts, rollouts and the warming of caches do in `execute`, as plain state over an
agenda. A call is decided by its server (`server.py`) the moment it goes out, and ends by the
agenda.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import inf

import numpy as np

from runner.config.streaming import streams
from runner.core.values import EndState, Failure, FailureKind, Reply, Usage
from runner.execute.purse import PAUSE_S
from runner.limits.backoff import delay_s
from runner.rehearse.agenda import Agenda, Kind
from runner.rehearse.cells import CellCalls
from runner.rehearse.measure import GroupMeasure, ModelMeasure
from runner.rehearse.scene import CHARACTERS_PER_TOKEN, Scene
from runner.rehearse.server import Admitted, Endpoint, Overloaded
from runner.rehearse.worker import Flight, Lane, Run, Worker
from runner.simulate.limits import Refused
from runner.simulate.quota_headers import retry_after

REFUSAL_S = 0.01
"""How long a 429 takes."""


class Calls:
    """All calls of a rehearsal, over all workers."""

    def __init__(
        self,
        scene: Scene,
        agenda: Agenda,
        *,
        endpoints: Mapping[str, Endpoint],
        cells: Mapping[int, CellCalls],
        models: Mapping[str, ModelMeasure],
        groups: Mapping[str, GroupMeasure],
        rng: np.random.Generator,
        on_need: Callable[[Worker], None],
    ) -> None:
        """Start without any.

        Args:
            scene: what is rehearsed.
            agenda: where ends of calls are noted.
            endpoints: by model.
            cells: what calls are like, by cell number.
            models: where they are counted.
            groups: the same, by quota group.
            rng: of all draws.
            on_need: told of a worker that wants a heartbeat sooner.
        """
        self.moved_at = 0.0
        """When the last answer came."""
        self._scene = scene
        self._agenda = agenda
        self._endpoints = endpoints
        self._cells = cells
        self._models = models
        self._groups = groups
        self._rng = rng
        self._on_need = on_need
        self._uniform: list[float] = []

    def _draw(self) -> float:
        if not self._uniform:
            self._uniform = self._rng.uniform(size=4096).tolist()
        return self._uniform.pop()

    def look(self, worker: Worker, lane: Lane) -> None:
        """Start what may start, and see to it that somebody looks again."""
        now, purse = self._agenda.now, lane.purse
        while lane.in_flight < lane.slots:
            due = lane.paused_until if purse is None else purse.wallet.next_at(now)
            if due is None or due > now:
                break
            run = self._next(worker, lane)
            if run is None:
                break
            self._send(worker, lane, run)
        if not lane.waits():
            if worker.granted and lane.has_jobs and lane.running < lane.slots:
                worker.granted = False
                self._on_need(worker)
            return
        due = lane.paused_until if purse is None else purse.wallet.next_at(now)
        if due is None:
            if lane.ready and not worker.short:  # a job that has not begun asks for nothing
                self._on_need(worker)
        elif now < due < inf and not now < lane.woken_for <= due:
            lane.woken_for = due
            self._agenda.at(due, Kind.WAKE, worker, lane)

    def _next(self, worker: Worker, lane: Lane) -> Run | None:
        """Take the call that is next: of jobs that have begun first."""
        while lane.waits():
            if lane.ready:
                return lane.ready.popleft()
            self.arrive(lane, self._begin(worker, lane))
        return None

    def arrive(self, lane: Lane, run: Run) -> None:
        """A call wants to go out: it may have to wait for somebody who writes the cache."""
        marked = run.home is lane and self._cells[run.job.cell].shared
        if not marked or not lane.must_wait(run, self._agenda.now):
            self._queue(lane, run)

    def _queue(self, lane: Lane, run: Run) -> None:
        """Put a call into the row of those that wait for a place."""
        marked = run.home is lane and self._cells[run.job.cell].shared
        run.reads = not run.leads if marked else None
        if lane.purse is not None:
            run.cost = lane.purse.asks(
                run.job.cell,
                self._input_of(lane, run) * CHARACTERS_PER_TOKEN,
                first=run.at == 0 and run.tries == 0,
                reads=run.reads,
            )
        lane.ready.append(run)

    def _input_of(self, lane: Lane, run: Run) -> int:
        cell = self._cells[run.job.cell]
        return cell.input_tokens if run.home is lane else cell.companions[lane.model.name]

    def _begin(self, worker: Worker, lane: Lane) -> Run:
        job = lane.fresh.popleft()
        lane.running += 1
        cell = self._cells[job.cell]
        steps = [lane] * max(1, self._whole(cell.shape.calls))
        for companion in cell.shape.companions:
            asked = self._whole(companion.calls)
            for i in range(asked):  # spread behind the calls that they belong to
                steps.insert((i + 1) * len(steps) // (asked + 1) + 1, worker.lanes[companion.model])
        return Run(job, lane, tuple(steps))

    def _whole(self, mean: float) -> int:
        whole = int(mean)
        share = mean - whole
        return whole + (share > 0 and self._draw() < share)

    def _send(self, worker: Worker, lane: Lane, run: Run) -> None:
        now, name = self._agenda.now, lane.model.name
        cell = self._cells[run.job.cell]
        mine = run.home is lane
        input_tokens = self._input_of(lane, run)
        ticket = None
        if lane.purse is not None and run.cost is not None:
            ticket = lane.purse.wallet.take(now, run.cost())
        lane.in_flight += 1
        if run.leads:
            lane.prefixes[run.job.cell].sent = True
        if run.tries == 0:
            lane.retries.first_attempt()
        begin = max(now, worker.cpu_free)
        worker.cpu_free = begin + self._scene.cpu_s.get(name, 0.0)
        shared = cell.shared if mine else 0
        found = self._endpoints[name].call(
            run.job.cell, input_tokens, shared=shared, ttl_s=cell.ttl_s, now=begin
        )
        flight = Flight(worker, lane, run, ticket, now, input_tokens, found)
        self._models[name].calls += 1
        group = self._groups[lane.group]
        seconds = REFUSAL_S
        if isinstance(found, Admitted):
            group.admitted(input_tokens - found.read, begin)
            group.produced(found.tokens, begin + found.first_s, found.seconds - found.first_s)
            seconds = found.seconds
            if run.leads and streams(lane.model):  # of a plain call only the end is seen
                self._agenda.at(begin + found.first_s, Kind.WARM, worker, flight)
        elif isinstance(found, Overloaded):
            seconds = found.seconds
        self._agenda.at(begin + seconds, Kind.END, worker, flight)

    def warmed(self, flight: Flight, *, answered: bool) -> None:
        """A call with a marked prefix has begun to be answered, or has ended."""
        ttl_s = self._cells[flight.run.job.cell].ttl_s
        lane, now = flight.lane, self._agenda.now
        for run in lane.warmed(flight.run, now, answered=answered, ttl_s=ttl_s):
            self._queue(lane, run)
        if flight.lane.ready:
            self.look(flight.worker, flight.lane)

    def end(self, flight: Flight) -> None:
        """A response is there."""
        lane, run, now = flight.lane, flight.run, self._agenda.now
        model = self._models[lane.model.name]
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
                reads=run.reads,
            )
        if run.home is lane and self._cells[run.job.cell].shared:
            self.warmed(flight, answered=isinstance(reply, Reply))
        if isinstance(reply, Failure):
            self._failed(flight, reply)
        else:
            self._answered(flight, reply.usage)
        self.look(flight.worker, lane)

    def _reply(self, flight: Flight) -> Reply | Failure:
        found = flight.found
        if isinstance(found, Admitted):
            for quota, permit in found.permits:
                quota.finish(permit, self._agenda.now)
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
            self._models[flight.lane.model.name].refused_by[found.limit.value] += 1
            return Failure(
                kind=FailureKind.RATE_LIMITED,
                message=found.limit.value.replace("_", " ").removesuffix("s"),
                retry_after_s=retry_after(found.wait_s),
            )
        return Failure(kind=FailureKind.OVERLOADED, message="overloaded")

    def _answered(self, flight: Flight, usage: Usage) -> None:
        self.moved_at = self._agenda.now
        run, lane = flight.run, flight.lane
        model = self._models[lane.model.name]
        model.answers.append(self._agenda.now)
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
            self.arrive(following, run)
            if following is not lane:
                self.look(flight.worker, following)
            return
        home = run.home
        home.running -= 1
        home.finished += 1
        flight.worker.finished.append(run.job)
        self._models[home.model.name].jobs += 1
        if home is not lane:
            self.look(flight.worker, home)

    def _cost(self, run: Run, lane: Lane, usage: Usage) -> float | None:
        if run.home is lane:
            rates = self._cells[run.job.cell].rates
            return None if rates is None else rates.cost_usd(usage)
        tariff = self._scene.tariffs.get(lane.model.name)
        return None if tariff is None else tariff.cost_usd(usage, self._scene.at)

    def _failed(self, flight: Flight, failure: Failure) -> None:
        worker, lane, run = flight.worker, flight.lane, flight.run
        model, now = self._models[lane.model.name], self._agenda.now
        run.tries += 1
        retry, policy = failure.retry_after_s, self._scene.config.retry
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
            self._on_need(worker)
        else:
            model.overloaded += 1
            if not lane.outage:
                wait_s = max(wait_s, lane.retries.take(now))
        lane.tally.waiting += 1
        self._agenda.at(now + wait_s, Kind.RETRY, worker, run)

    def retry(self, worker: Worker, run: Run) -> None:
        """A job has slept long enough."""
        lane = run.steps[run.at]
        lane.tally.waiting -= 1
        self.arrive(lane, run)
        self.look(worker, lane)
