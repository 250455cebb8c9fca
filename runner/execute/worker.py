"""A worker: one event loop, thousands of rollouts, one heartbeat a second.

Owns the lease clock. `lease_until` is counted from the moment a heartbeat was *sent*, on a clock
that counts suspended time; past it no call starts (Ray does not fence partitioned actors, so the
worker fences itself). What is on the wire then still ends in the journal and in a part.

Crash points, and what the next coordinator finds:
  before the note        nothing was sent
  note, no attempt       a call in flight: may be repeated
  attempt journalled     the answer is replayed, never asked again
  seal begun             parts without a marker are ignored; the journal has everything
  marker written         published by the next coordinator, whoever it is
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping

from runner.config.schema import EngineConfig, ModelConfig, RetryConfig
from runner.core.errors import StorageError
from runner.core.identity import job_key
from runner.core.seams import ProcessIdentity
from runner.core.values import NOTHING
from runner.execute.attempt import Caller
from runner.execute.demand import Demand
from runner.execute.endpoints import endpoints_of
from runner.execute.jobs import Jobs
from runner.execute.messages import Heartbeat, HeartbeatReply, Vitals
from runner.execute.outbox import Outbox
from runner.execute.purse import Purse
from runner.execute.terms import PeerUnreachableError, WorkerIdentity, WorkerWorld, say_last
from runner.execute.testimony import DeathsHere
from runner.execute.worklog import WorkLog
from runner.limits.spending import Allowance
from runner.providers.protocol import Provider
from runner.record.frames import Header
from runner.record.journal import Journal
from runner.record.manifest import latest_claim
from runner.scenarios.any_book import AnyBook

LEAST_BEAT_S = 0.05
FIRST_BEATS = 20
"""So many heartbeats a worker hastens while it waits for its first allowance."""
ORPHAN_AFTER_S = 600.0
"""A worker that reached no coordinator for so long seals and exits: its driver is gone."""


class Worker:
    """Runs leased jobs until it is drained, superseded or orphaned."""

    def __init__(
        self,
        identity: WorkerIdentity,
        world: WorkerWorld,
        *,
        book: AnyBook,
        models: Mapping[str, ModelConfig],
        providers: Mapping[str, Provider],
        groups: Mapping[str, str],
        purses: Mapping[str, Purse],
        engine: EngineConfig,
        retry: RetryConfig,
    ) -> None:
        """Make a worker that holds nothing; `run` does the rest.

        Args:
            identity: who it is.
            world: its seams.
            book: cells and rollouts.
            models: by name.
            providers: by model.
            groups: quota group of each model.
            purses: of the models that wait for permits.
            engine: bounds and intervals.
            retry: bounds of the retry layer.
        """
        self.identity = identity
        self._world = world
        self._engine = engine
        self._process = world.processes.current()
        self._journal = Journal(
            world.disk,
            world.clock,
            Header(
                incarnation=identity.incarnation,
                process=self._process,
                node=identity.node,
                claim=0,
                sweep_id=identity.sweep_id,
            ),
        )
        now = world.clock.monotonic
        self._log = WorkLog(
            sweep=identity.sweep_id,
            worker=identity.worker,
            incarnation=identity.incarnation,
            key_of=lambda job: job_key(book.plan.cell(job.cell).digest, job.seed),
        )
        self._allowance = Allowance(limited=book.config.budget.limited)
        self._endpoints = endpoints_of(
            book,
            models,
            providers=providers,
            groups=groups,
            purses=purses,
            allowance=self._allowance,
            clock=world.clock,
            may_call=self._may_call,
            on_empty=self._on_no_permit,
        )
        caller = Caller(
            incarnation=identity.incarnation,
            clock=world.clock,
            journal=self._journal,
            policy=retry,
            draw=world.rng.random,
            storage_trouble=self._on_journal,
            pause_group=self._pause_group,
            keep_trying=lambda: not self._giving_up,
            log=self._log,
        )
        self._outbox = Outbox(
            incarnation=identity.incarnation,
            store=world.store,
            journal=self._journal,
            clock=world.clock,
            bounds=engine,
            facts=book.facts,
            offload=world.offload,
            storage_trouble=self._on_storage,
            journal_trouble=self._on_journal,
            on_sealed=self.wake,
        )
        self.jobs = Jobs(
            book=book,
            endpoints=self._endpoints,
            caller=caller,
            outbox=self._outbox,
            bounds=engine,
            on_hungry=self._on_hungry,
            log=self._log,
        )
        for endpoint in self._endpoints.values():
            endpoint.gate.on_room = self.jobs.dispatch
        self._seq = self._claim = 0
        self._slots: dict[str, int] = {}
        self._lease_until = now()
        self._reached_at = now()
        self._superseded_checked_at = now()
        self._drain_until: float | None = None
        self._storage_error: str | None = None
        self._storage_since: float | None = None
        self._storage_is_journal = False
        self._testimony = DeathsHere(world.processes, world.hand_in)
        self._gone: tuple[ProcessIdentity, ...] = ()
        self._giving_up = self._leaving = False
        self._loop_lag_s = 0.0
        self._wake = asyncio.Event()
        self._granted = False
        """The last reply brought jobs: more may follow, so an idle moment is not the end."""
        self._demand = Demand(
            jobs=self.jobs,
            endpoints=self._endpoints,
            most_in_flight={name: model.max_in_flight for name, model in models.items()},
            beat_s=engine.heartbeat_s,
            rated_at=now(),
        )

    async def run(self) -> None:
        """Work until there is nothing left to do for this worker.

        Raises:
            StorageError: the journal could not be created.
        """
        await self._testimony.begin()
        await self._journal.open()
        self._log.tell("worker started", node=self.identity.node, pid=self._process.pid)
        try:
            while not self._leaving:
                await self._beat()
                self._outbox.tick()
                self._kick()
                await self._pause()
            await self._leave()
        finally:
            self.jobs.kill()
            self._testimony.end()

    def drain(self, grace_s: float) -> None:
        """Stop leasing; finish or hand back within the grace period, seal, exit."""
        until = self._world.clock.monotonic() + grace_s
        if self._drain_until is None:
            self._drain_until = until
            self.jobs.drain()
        self._drain_until = min(until, self._drain_until)
        self.wake()

    def wake(self) -> None:
        """Send the next heartbeat without waiting for its time."""
        self._wake.set()

    # The lease clock and the bounds on unsealed work: every request asks here before it starts.

    def _may_call(self) -> bool:
        return (
            self._world.clock.monotonic() < self._lease_until
            and self._storage_error is None
            and self._outbox.unsealed_bytes() < self._engine.unsealed_max_bytes
            and self._outbox.unsealed_age_s() < self._engine.unsealed_max_age_s
        )

    def _on_journal(self, error: str | None) -> None:
        self._on_storage(error)
        self._storage_is_journal = error is not None

    def _on_storage(self, error: str | None) -> None:
        self._storage_is_journal = False
        if error is None:
            self._storage_since = None
        elif self._storage_since is None:
            self._storage_since = self._world.clock.monotonic()
        self._storage_error = error

    async def _pause(self) -> None:
        began = self._world.clock.monotonic()
        await self._world.clock.sleep(LEAST_BEAT_S)
        self._loop_lag_s = max(0.0, self._world.clock.monotonic() - began - LEAST_BEAT_S)
        rest = self._engine.heartbeat_s - LEAST_BEAT_S
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(rest):
                await self._wake.wait()
        self._wake.clear()

    async def _beat(self) -> None:
        self._seq += 1
        sent = self._world.clock.monotonic()
        beat = self._heartbeat(sent)
        try:
            async with asyncio.timeout(max(3.0, 3 * self._engine.heartbeat_s)):
                reply = await self._world.peer.heartbeat(beat)
        except (TimeoutError, PeerUnreachableError):
            await self._on_silence()
            return
        if reply.seq == self._seq:
            await self._obey(reply, sent)

    async def _obey(self, reply: HeartbeatReply, sent: float) -> None:
        self._reached_at = sent
        self._lease_until = sent + reply.lease_ttl_s
        if reply.claim != self._claim != 0:
            self.jobs.tell_again()
            self.wake()  # that coordinator leases nothing before it has heard it
        self._claim, self._slots = reply.claim, dict(reply.slots)
        self._log.claim = reply.claim
        self.jobs.confirm_returned(reply.returned_seen)
        self.jobs.revoke(reply.revoke)
        for model, reason in reply.stopped_models.items():
            self.jobs.stop_model(model, reason)
        if reply.stopped_models and self.jobs.returned():
            self.wake()  # that may be the end: the user waits for it
        for model, endpoint in self._endpoints.items():
            endpoint.gate.slots = reply.slots.get(model, 0)
            endpoint.outage = model in reply.outages
            endpoint.quota_note = reply.quota_notes.get(model, "")
            if (hold_s := reply.holds.get(model, 0.0)) > 0:
                endpoint.gate.pause(hold_s)
        self.jobs.told(reply.readable, reply.elsewhere)
        self._gone, self._granted = self._testimony.of(reply.missing), bool(reply.grants)
        if reply.allowance is not None:
            if self._allowance.granted == NOTHING and self._seq < FIRST_BEATS:
                self.wake()  # the first is on its way through the manifest; places come with it
            self._allowance.granted = reply.allowance
        self.jobs.accept(reply.grants)
        self._demand.take(reply.permits, sent, self._world.clock.monotonic())
        self.jobs.published(await self._outbox.published(reply.published))
        if reply.drain_s is not None:
            self.drain(reply.drain_s)

    def _on_no_permit(self) -> None:
        """A call came and no permit is in hand: ask before the second is over."""
        if not self._demand.short:
            self.wake()

    def _pause_group(self, group: str, seconds: float) -> None:
        """Hold a whole quota group back after a 429, and let the others know at once."""
        for endpoint in (e for e in self._endpoints.values() if e.group == group):
            endpoint.gate.pause(seconds)
        self.wake()

    async def _on_silence(self) -> None:
        """Without a coordinator: fence (by the lease clock), look for a successor's claim."""
        now = self._world.clock.monotonic()
        if now < self._lease_until:
            return
        self._log.tell("lease ended without a coordinator", for_s=round(now - self._reached_at, 1))
        if now - self._reached_at > ORPHAN_AFTER_S:
            self._leaving = True
            return
        if now - self._superseded_checked_at < self._engine.lease_ttl_s / 2:
            return
        self._superseded_checked_at = now
        with contextlib.suppress(StorageError):
            claim = await latest_claim(self._world.store)
            if claim is not None and claim.fleet != self.identity.fleet:
                self._leaving = True

    def _kick(self) -> None:
        """Let time act: expired pauses, a renewed lease, a seal that made room, an idle end."""
        for model, endpoint in self._endpoints.items():
            if endpoint.health.stopped is not None and not endpoint.gate.closed:
                self.jobs.stop_model(model, endpoint.health.stopped)
            endpoint.gate.kick()
        self.jobs.dispatch()
        settled = self.jobs.idle and self._outbox.empty
        if self.jobs.idle and not self._granted:
            self._outbox.seal()
        if self._drain_until is None:
            return
        if self._world.clock.monotonic() >= self._drain_until:
            self.jobs.abandon()
            self._giving_up = True
        if self._giving_up:
            self._leaving = settled or self._storage_error is not None
        elif settled and not self._outbox.sealed and not self.jobs.returned():
            self._leaving = True

    async def _leave(self) -> None:
        """Last acts: cancel, seal what is there, say goodbye; the journal keeps the rest."""
        self._giving_up = True
        self.jobs.drain()
        self.jobs.abandon()
        if self._storage_error is None:
            with contextlib.suppress(StorageError, TimeoutError):
                async with asyncio.timeout(self._engine.grace_s):
                    await self._outbox.flush()
        await self._outbox.abandon()
        # Notes of calls given up tell the next coordinator what they may have cost.
        await self._journal.close(delete_if_empty=not self._allowance.open)
        self._log.tell("worker left", held=len(self.jobs.held()))
        self.jobs.tell_again()  # the last words may reach a coordinator that never heard it
        self._seq += 1
        beat = self._heartbeat(self._world.clock.monotonic(), done=True)
        await say_last(self._world.peer, beat, self._world.clock)

    def _heartbeat(self, now: float, *, done: bool = False) -> Heartbeat:
        draining = self._drain_until is not None or done
        trouble_s = 0.0 if self._storage_since is None else now - self._storage_since
        for endpoint in self._endpoints.values():
            endpoint.health.look(now, endpoint.gate.in_flight)
        health = {name: endpoint.health for name, endpoint in self._endpoints.items()}
        return Heartbeat(
            seq=self._seq,
            worker=self.identity.worker,
            incarnation=self.identity.incarnation,
            process=self._process,
            node=self.identity.node,
            claim=self._claim,
            held=self.jobs.held(),
            returned=self.jobs.returned(),
            sealed=tuple(self._outbox.sealed),
            wants={} if draining else self._demand.jobs_wanted(now),
            queued=self.jobs.queued(),
            running=self.jobs.running(),
            unpublished=dict(self.jobs.unpublished),
            slots=self._slots,
            tallies={
                n: e.tally.snapshot(
                    in_flight=e.gate.in_flight,
                    ready=e.gate.waiting,
                    paused_s=max(0.0, e.gate.paused_until - now),
                )
                for n, e in self._endpoints.items()
            },
            stopped_models={n: h.stopped for n, h in health.items() if h.stopped},
            unreachable={n: h.unreachable for n, h in health.items() if h.unreachable},
            quota=self._demand.words(now, draining=draining),
            spending=self._demand.spending(self._allowance, leaving=draining),
            prefixes={} if draining else self.jobs.prefixes(),
            storage_error=self._storage_error if trouble_s > self._engine.heartbeat_s else None,
            storage_error_s=trouble_s,
            storage_is_journal=self._storage_is_journal,
            journal_lag_s=self._journal.lag_s,
            vitals=Vitals(
                loop_lag_s=self._loop_lag_s,
                seal_s=self._outbox.seal_s,
                memory_bytes=self._world.memory(),
            ),
            gone=self._gone,
            draining=draining,
            done=done,
        )

    def _on_hungry(self) -> None:
        """A queue ran dry while the coordinator still had jobs: ask before the second is over."""
        if self._granted:
            self.wake()
