"""A worker of a rehearsal: what `execute` does with leases, places and permits, as plain state. Pure.

Purses, tallies and messages are the real ones; gate, attempts and rollouts are a queue of calls and
a count of those on the wire, since nothing here waits for a network.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from runner.config.schema import ModelConfig
from runner.core.seams import ProcessIdentity
from runner.core.values import Job
from runner.execute.demand import LEAST_QUEUED, MOST_QUEUED, QUEUED_S, UNKNOWN_SLOTS
from runner.execute.messages import Heartbeat, HeartbeatReply, Lease, QuotaWord
from runner.execute.purse import Purse
from runner.execute.tally import Tally
from runner.limits.quota import Readings
from runner.limits.retry_budget import RetryBudget
from runner.limits.wallet import Ticket

FALL = 0.7


@dataclass(slots=True, eq=False)
class Run:
    """A job that a worker holds."""

    job: Job
    turn: int = 0
    tries: int = 0
    """Failures in a row."""


@dataclass(slots=True)
class Lane:
    """One model in one worker."""

    model: ModelConfig
    purse: Purse | None
    ready: deque[Run] = field(default_factory=deque[Run])
    """Calls that could go out now, of jobs that have begun."""
    fresh: deque[Job] = field(default_factory=deque[Job])
    """Jobs that have not begun."""
    tally: Tally = field(default_factory=Tally)
    retries: RetryBudget = field(default_factory=lambda: RetryBudget(at=0.0))
    slots: int = 0
    in_flight: int = 0
    paused_until: float = 0.0
    outage: bool = False
    heard: bool = False
    """There was a response since the last heartbeat."""
    woken_for: float = -1.0
    """When somebody will look whether a permit is due."""
    finished: int = 0
    rate: float = 0.0
    seen: int = 0

    def may_start(self, now: float) -> bool:
        """Return whether a place is free and nothing holds the model back."""
        return self.in_flight < self.slots and now >= self.paused_until

    def next_run(self) -> Run | None:
        """Take the call that is next: of jobs that have begun first."""
        if self.ready:
            return self.ready.popleft()
        return Run(self.fresh.popleft()) if self.fresh else None

    def waits(self) -> bool:
        """Return whether there is a call to send."""
        return bool(self.ready or self.fresh)

    def pause(self, until: float, now: float) -> None:
        """Send nothing before."""
        self.paused_until = max(self.paused_until, until)
        if self.purse is not None:
            self.purse.wallet.hold(until - now, now)


class Worker:
    """One worker."""

    def __init__(
        self, name: str, models: Mapping[str, ModelConfig], purses: Mapping[str, Purse]
    ) -> None:
        """Start with nothing held."""
        self.name = name
        self.lanes = {
            model: Lane(model=config, purse=purses.get(model)) for model, config in models.items()
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
        self.running = 0
        self.finished: list[Job] = []
        """Since the last heartbeat."""
        self._returned: list[Lease] = []
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
            wants={name: self._wanted(lane) for name, lane in lanes.items()},
            queued={name: len(lane.fresh) for name, lane in lanes.items()},
            running=self.running,
            unpublished={},
            slots={name: lane.slots for name, lane in lanes.items()},
            tallies={
                name: lane.tally.snapshot(in_flight=lane.in_flight, ready=len(lane.ready))
                for name, lane in lanes.items()
            },
            quota=self._words(readings, now),
        )

    def _words(self, readings: Mapping[str, Readings], now: float) -> dict[str, QuotaWord]:
        words: dict[str, QuotaWord] = {}
        for name, lane in self.lanes.items():
            if lane.purse is not None:
                wants = len(lane.ready) + len(lane.fresh)
                word = lane.purse.word(now, wants=wants)
                found = readings.get(name)
                words[name] = replace(word, readings=found) if found else word
                lane.heard = False
        return words

    def obey(self, reply: HeartbeatReply, now: float) -> None:
        """Take a reply in."""
        self._claim = reply.claim
        for name, lane in self.lanes.items():
            lane.slots = reply.slots.get(name, 0)
            lane.outage = name in reply.outages
            hold_s = reply.holds.get(name, 0.0)
            if hold_s > 0:
                lane.pause(now + hold_s, now)
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
            self.held[job] = None
            self.lanes[model].fresh.append(job)

    # -- calls -----------------------------------------------------------------------------

    def started(self, lane: Lane, run: Run) -> None:
        """Count a call that goes out."""
        lane.in_flight += 1
        if run.turn == 0 and run.tries == 0:
            self.running += 1
        if run.tries == 0:
            lane.retries.first_attempt()

    def finish(self, lane: Lane, run: Run) -> None:
        """A job has ended."""
        self.running -= 1
        lane.finished += 1
        self.finished.append(run.job)
        del self.held[run.job]

    # -- wants (see execute/demand.py) -----------------------------------------------------

    def _rate(self, now: float) -> None:
        passed = now - self.sent_at
        if self.sent_at >= 0 and passed >= 0.5:
            for lane in self.lanes.values():
                lane.rate = max((lane.finished - lane.seen) / passed, lane.rate * FALL)
                lane.seen = lane.finished

    def _wanted(self, lane: Lane) -> int:
        if lane.purse is not None:
            target = max(LEAST_QUEUED, int(QUEUED_S * lane.rate), lane.purse.starts())
            return max(0, min(MOST_QUEUED, target) - len(lane.fresh))
        slots = lane.slots or min(lane.model.max_in_flight, UNKNOWN_SLOTS)
        target = min(MOST_QUEUED, max(2 * slots, int(2 * lane.rate)))
        unfinished = len(lane.fresh) + len(lane.ready) + lane.in_flight
        return max(0, target - unfinished)


@dataclass(slots=True, eq=False)
class Flight:
    """A call on the wire."""

    worker: Worker
    lane: Lane
    run: Run
    ticket: Ticket | None
    sent_at: float
