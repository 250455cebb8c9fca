"""No job is with two workers that may call; nothing is forgotten, whatever messages are lost."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from runner.core.seeds import by_cell
from runner.core.values import Job
from runner.dispatch.leases import LeaseTable
from runner.execute.messages import Lease
from tests.support.beats import BEAT
from tests.support.cells import cell, plan

TTL_S = 10.0


@dataclass
class _Worker:
    seq: int = 0
    held: dict[Job, bool] = field(default_factory=dict)
    """Job to: finished and not published."""
    returned: dict[Job, Lease] = field(default_factory=dict)
    lease_until: float = 0.0


class Cluster(RuleBasedStateMachine):
    """Two workers and a coordinator; replies arrive or do not."""

    names = st.sampled_from(["a", "b"])

    def __init__(self) -> None:
        super().__init__()
        self.plan = plan([cell(number, 8) for number in range(3)], block=3)
        self.table = LeaseTable(self.plan, {}, suspect_deaths=3)
        self.workers: dict[str, _Worker] = {"a": _Worker(), "b": _Worker()}
        self.now = 0.0
        self.ended: set[Job] = set()

    @rule(name=names, want=st.integers(0, 6), arrives=st.booleans())
    def heartbeat(self, name: str, want: int, arrives: bool) -> None:
        worker = self.workers[name]
        worker.seq += 1
        sent = self.now
        beat = replace(
            BEAT,
            seq=worker.seq,
            incarnation=name,
            held=tuple(worker.held),
            returned=tuple(worker.returned.values()),
            wants={"m": want},
            queued={"m": sum(not done for done in worker.held.values())},
        )
        found = self.table.reconcile(beat, self.now)
        revoke = [*found.revoke, *self.table.steal(name, "m")]
        grants = [*found.resend, *self.table.grant(name, "m", want)]
        if not arrives:
            return
        worker.lease_until = sent + TTL_S
        for job in found.returned_seen:
            worker.returned.pop(job, None)
        for job in revoke:
            if worker.held.get(job) is False:
                del worker.held[job]
                worker.returned[job] = Lease(job=job)
        for lease in grants:
            if lease.job not in worker.returned:
                worker.held.setdefault(lease.job, False)

    @rule(name=names)
    def finish(self, name: str) -> None:
        worker = self.workers[name]
        job = next((j for j, done in worker.held.items() if not done), None)
        if job is not None and self.now < worker.lease_until:
            worker.held[job] = True

    @rule(name=names)
    def publish(self, name: str) -> None:
        """Rows of a worker reach the manifest; overlaps are taken out there."""
        done = [j for j, finished in self.workers[name].held.items() if finished]
        self.table.ended(by_cell(done))
        self.ended |= set(done)
        for job in done:
            del self.workers[name].held[job]

    @rule(name=names)
    def hand_back(self, name: str) -> None:
        worker = self.workers[name]
        job = next((j for j, done in worker.held.items() if not done), None)
        if job is not None:
            del worker.held[job]
            worker.returned[job] = Lease(job=job)

    @rule(seconds=st.sampled_from([0.5, 3.0, 2 * TTL_S]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        for name in self.table.expired(self.now, TTL_S * 1.05):
            self.table.release(name)

    @precondition(lambda self: len(self.table.workers) == 2)
    @rule(name=names)
    def die(self, name: str) -> None:
        self.table.remove(name)
        self.workers[name] = _Worker(seq=self.workers[name].seq)

    @invariant()
    def one_caller_per_job(self) -> None:
        callers = [w for w in self.workers.values() if self.now < w.lease_until]
        running = [j for w in callers for j, done in w.held.items() if not done]
        assert len(running) == len(set(running))

    @invariant()
    def nothing_is_forgotten(self) -> None:
        table = self.table
        assert table.owed("m") + table.leased("m") + table.done("m") == self.plan.jobs
        assert table.done("m") == len(self.ended)
        assert table.owed("m") >= 0

    def teardown(self) -> None:
        """Whatever happened: with messages arriving, everything ends."""
        for _ in range(200):
            if self.table.settled:
                break
            for name in ("a", "b"):
                self.heartbeat(name, 6, True)
                for _ in range(8):
                    self.finish(name)
                self.publish(name)
        assert self.table.settled
        assert len(self.ended) == self.plan.jobs


TestCluster = Cluster.TestCase
TestCluster.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
