"""A worker of a rehearsal: what `execute` does with leases, places and permits, as plain state. Pure.

Purses, tallies and messages are the real ones. Gate, attempts, rollouts and the warming of caches
are queues of calls and counts of those on the wire, since nothing here waits for a network; how
much is asked for follows `execute/demand.py`, number for number.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial

from runner.config.schema import ModelConfig
from runner.core.seams import ProcessIdentity
from runner.core.values import Job
from runner.execute.demand import FALL, LEAST_QUEUED, MOST_QUEUED, QUEUED_S, UNKNOWN_SLOTS
from runner.execute.messages import AWAITS, WRITES, Heartbeat, HeartbeatReply, Lease, QuotaWord
from runner.execute.purse import Purse
from runner.execute.tally import Tally
from runner.execute.warmth import MARGIN
from runner.limits.quota import Cost, Readings
from runner.limits.retry_budget import RetryBudget
from runner.limits.wallet import Ticket
from runner.providers.caching import asks_to_cache
from runner.rehearse.server import Admitted, Overloaded
from runner.simulate.limits import Refused


@dataclass(slots=True, eq=False)
class Run:
    """A job that has begun."""

    job: Job
    home: Lane
    """Of the model under test."""
    steps: tuple[Lane, ...]
    """The lane of each of its calls."""
    at: int = 0
    """Which of them is next."""
    tries: int = 0
    """Failures in a row."""
    leads: bool = False
    """Its call writes the cache that others wait for."""
    cost: Callable[[], Cost] | None = None
    """Tells what its call is expected to cost, by what is known when it is asked."""
    reads: bool | None = None
    """Its call reads its prefix from the cache (True) or writes it; None: it shares none."""


@dataclass(slots=True)
class Prefix:
    """A cached beginning, as one worker sees it (`execute/warmth.py`)."""

    warm_until: float = 0.0
    warming: bool = False
    sent: bool = False
    waiters: list[Run] = field(default_factory=list[Run])


@dataclass(slots=True, eq=False)
class Lane:
    """One model in one worker."""

    model: ModelConfig
    group: str
    purse: Purse | None
    has_jobs: bool
    """It is under test; else it plays roles only."""
    ready: deque[Run] = field(default_factory=deque[Run])
    """Calls that could go out now, of jobs that have begun."""
    fresh: deque[Job] = field(default_factory=deque[Job])
    """Jobs that have not begun."""
    prefixes: dict[int, Prefix] = field(default_factory=dict[int, Prefix])
    elsewhere: frozenset[int] = frozenset()
    """Cells whose prefix another worker writes."""
    tally: Tally = field(default_factory=Tally)
    retries: RetryBudget = field(default_factory=lambda: RetryBudget(at=0.0))
    slots: int = 0
    in_flight: int = 0
    running: int = 0
    """Of its own jobs."""
    paused_until: float = 0.0
    outage: bool = False
    heard: bool = False
    """There was a response since the last heartbeat."""
    woken_for: float = -1.0
    """When somebody will look whether a permit is due."""
    finished: int = 0
    rate: float = 0.0
    seen: int = 0

    def waits(self) -> bool:
        """Return whether there is a call to send."""
        return bool(self.ready or self.fresh)

    def pause(self, seconds: float, now: float) -> None:
        """Send nothing for so long."""
        self.paused_until = max(self.paused_until, now + seconds)
        if self.purse is not None:
            self.purse.wallet.hold(seconds, now)

    def must_wait(self, run: Run, now: float) -> bool:
        """Queue a call whose prefix somebody is writing; else it goes, as the writer if need be."""
        prefix = self.prefixes.setdefault(run.job.cell, Prefix())
        if now < prefix.warm_until:
            return False
        if prefix.warming or run.job.cell in self.elsewhere:
            prefix.waiters.append(run)
            self.tally.waiting += 1
            return True
        prefix.warming = run.leads = True
        return False

    def readable(self, cell: int, now: float) -> bool:
        """Return whether a call that goes out soon will not have to write the prefix."""
        prefix = self.prefixes.get(cell)
        return prefix is not None and (prefix.warming or now < prefix.warm_until)

    def left_s(self, cell: int, now: float) -> float:
        """Return what a heartbeat says of a prefix (`Warmth.left_s`)."""
        prefix = self.prefixes.get(cell) or Prefix()
        left = prefix.warm_until - now
        if left <= 0 and not prefix.warming and prefix.waiters:
            return AWAITS
        return left if left > 0 else WRITES if prefix.sent else 0.0

    def told(
        self, readable: Mapping[int, float], elsewhere: frozenset[int], now: float
    ) -> list[Run]:
        """Take in what others have written or are about to write; returns who looks again."""
        freed, self.elsewhere = self.elsewhere - elsewhere, elsewhere
        found: list[Run] = []
        for cell in {*readable, *freed}:
            prefix = self.prefixes.setdefault(cell, Prefix())
            prefix.warm_until = max(prefix.warm_until, now + readable.get(cell, 0.0))
            found += prefix.waiters
            prefix.waiters = []
        self.tally.waiting -= len(found)
        return found

    def warmed(self, run: Run, now: float, *, answered: bool, ttl_s: float) -> list[Run]:
        """Note how a call with a marked prefix ended; returns who may go on."""
        prefix = self.prefixes[run.job.cell]
        if answered:
            prefix.warm_until = now + ttl_s * MARGIN
        found: list[Run] = []
        if answered or run.leads:
            prefix.warming = prefix.sent = False
            found, prefix.waiters = prefix.waiters, found
            self.tally.waiting -= len(found)
        run.leads = False
        return found


class Worker:
    """One worker."""

    def __init__(
        self,
        name: str,
        models: Mapping[str, ModelConfig],
        *,
        groups: Mapping[str, str],
        purses: Mapping[str, Purse],
        tested: Iterable[str],
        beat_s: float,
    ) -> None:
        """Start with nothing held.

        Args:
            name: of the worker.
            models: that are called, by name.
            groups: model to its quota group.
            purses: of the models that wait for permits.
            tested: models that have jobs of their own.
            beat_s: between two heartbeats.
        """
        self.name = name
        tested = frozenset(tested)
        self.lanes = {
            model: Lane(
                model=config,
                group=groups[model],
                purse=purses.get(model),
                has_jobs=model in tested,
            )
            for model, config in models.items()
        }
        self.held: dict[Job, None] = {}
        """In the order of granting."""
        self.cpu_free = 0.0
        """From when on its processor is idle."""
        self.beat_at = 0.0
        """Of the next heartbeat."""
        self.sent_at = -1.0
        self.granted = False
        self.short = False
        self.finished: list[Job] = []
        """Since the last heartbeat."""
        self._returned: list[Lease] = []
        self._caching = [name for name in models if asks_to_cache(models[name]) and name in tested]
        self._model_of: dict[int, str] = {}
        self._beat_s = beat_s
        self._rated_at = 0.0
        self._seq = 0
        self._claim = 0
        self._process = ProcessIdentity(
            host="rehearsal", boot_id="", pid_namespace="", pid=0, started=name
        )

    # -- messages --------------------------------------------------------------------------

    def heartbeat(self, readings: Mapping[str, Readings], now: float) -> Heartbeat:
        """Return the heartbeat of this moment.

        Args:
            readings: by model, of those that had a response since the last one.
            now: seconds.
        """
        self._seq += 1
        self._rate(now)
        self.sent_at = now
        lanes = self.lanes
        return Heartbeat(
            seq=self._seq,
            worker=self.name,
            incarnation=self.name,
            process=self._process,
            node="rehearsal",
            claim=self._claim,
            held=tuple(self.held),
            returned=tuple(self._returned),
            sealed=(),
            wants={name: self._wanted(lane) for name, lane in lanes.items() if lane.has_jobs},
            queued={name: len(lane.fresh) for name, lane in lanes.items() if lane.has_jobs},
            running=sum(lane.running for lane in lanes.values()),
            unpublished={},
            slots={name: lane.slots for name, lane in lanes.items()},
            tallies={
                name: lane.tally.snapshot(
                    in_flight=lane.in_flight,
                    ready=len(lane.ready),
                    paused_s=max(0.0, lane.paused_until - now),
                )
                for name, lane in lanes.items()
            },
            quota=self._words(readings, now),
            prefixes={
                cell: lanes[model].left_s(cell, now)
                for cell in dict.fromkeys(job.cell for job in self.held)
                if (model := self._model_of[cell]) in self._caching
            },
        )

    def _words(self, readings: Mapping[str, Readings], now: float) -> dict[str, QuotaWord]:
        words: dict[str, QuotaWord] = {}
        for name, lane in self.lanes.items():
            if lane.purse is not None:
                wants = len(lane.ready) + len(lane.fresh)
                word = lane.purse.word(
                    now,
                    wants=wants,
                    waiting=(run.cost() for run in lane.ready if run.cost is not None),
                    cells=(job.cell for job in lane.fresh),
                    readable=partial(lane.readable, now=now),
                )
                found = readings.get(name)
                words[name] = replace(word, readings=found) if found else word
                lane.heard = False
        return words

    def obey(self, reply: HeartbeatReply, now: float) -> list[tuple[Lane, Run]]:
        """Take a reply in; returns the calls that have waited for a cache and look again."""
        self._claim = reply.claim
        for name, lane in self.lanes.items():
            lane.slots = reply.slots.get(name, 0)
            lane.outage = name in reply.outages
            hold_s = reply.holds.get(name, 0.0)
            if hold_s > 0:
                lane.pause(hold_s, now)
        got: dict[str, int] = {}
        for block in reply.permits:
            purse = self.lanes[block.model].purse
            if purse is not None:
                purse.accept(block, sent_at=self.sent_at, now=now)
                got[block.model] = block.count
        self.short = any(
            got.get(name, 0) < len(lane.ready)
            for name, lane in self.lanes.items()
            if lane.purse is not None
        )
        self.granted = bool(reply.grants)
        seen = frozenset(reply.returned_seen)
        self._returned = [lease for lease in self._returned if lease.job not in seen]
        for job in reply.revoke:
            self._hand_back(job)
        found: list[tuple[Lane, Run]] = []
        for name in self._caching:
            lane, of = self.lanes[name], self._model_of
            readable = {cell: s for cell, s in reply.readable.items() if of.get(cell) == name}
            elsewhere = frozenset(cell for cell in reply.elsewhere if of.get(cell) == name)
            found += [(lane, run) for run in lane.told(readable, elsewhere, now)]
        return found

    def _hand_back(self, job: Job) -> None:
        """Give up a job that has not begun; one that has is kept."""
        for lane in self.lanes.values():
            if job in self.held and job in lane.fresh:
                lane.fresh.remove(job)
                del self.held[job]
                self._returned.append(Lease(job=job))

    def take(self, jobs: Iterable[tuple[str, Job]]) -> None:
        """Hold jobs, each of a model."""
        for model, job in jobs:
            self._model_of[job.cell] = model
            self.held[job] = None
            self.lanes[model].fresh.append(job)

    # -- wants (see execute/demand.py) -----------------------------------------------------

    def _rate(self, now: float) -> None:
        passed = now - self._rated_at
        if passed >= self._beat_s / 2:
            self._rated_at = now
            for lane in self.lanes.values():
                lane.rate = max((lane.finished - lane.seen) / passed, lane.rate * FALL)
                lane.seen = lane.finished

    def _wanted(self, lane: Lane) -> int:
        if lane.purse is not None:
            target = max(LEAST_QUEUED, int(QUEUED_S * lane.rate), lane.purse.starts())
            return max(0, min(MOST_QUEUED, target) - len(lane.fresh))
        slots = lane.slots or min(lane.model.max_in_flight, UNKNOWN_SLOTS)
        target = min(MOST_QUEUED, max(2 * slots, int(2 * lane.rate)) + lane.tally.waiting)
        return max(0, target - len(lane.fresh) - lane.running)


@dataclass(slots=True, eq=False)
class Flight:
    """A call on the wire."""

    worker: Worker
    lane: Lane
    run: Run
    ticket: Ticket | None
    sent_at: float
    input_tokens: int
    found: Admitted | Refused | Overloaded
