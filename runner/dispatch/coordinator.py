"""The coordinator: one per sweep, claims it, leases its jobs, publishes its rows.

A thin shell around pure parts (`leases.py`, `limits/slots.py`) and two I/O flows (`publisher.py`,
`salvage.py`). Order at the start, each step repeatable by a successor: claim, complete old
entries, publish what lies in parts/, recover the journals of gone workers, publish again, and only
then lease. If a worker of before may still run, nothing is leased until it has registered or its
lease must have ended.

A claim is checked against the manifest every cycle. A coordinator that could not check for
`VERIFY_S` (it was suspended, or the store is away) answers no heartbeat, so its workers fence
themselves before a successor leases anything.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Generator, Mapping

from runner.config.schema import EngineConfig, ModelConfig
from runner.core.errors import FencedError, StorageError
from runner.core.seams import KeyMissingError
from runner.dispatch.board import Board
from runner.dispatch.chronicle import published, started, stopped
from runner.dispatch.desk import Desk
from runner.dispatch.ending import reason_to_drain
from runner.dispatch.funds import Funds
from runner.dispatch.guests import GuestBeat, Guests
from runner.dispatch.holding import hold, tell
from runner.dispatch.leases import LeaseTable
from runner.dispatch.publisher import Publisher
from runner.dispatch.quota_plan import quota_plan
from runner.dispatch.quotas import QuotaDesk
from runner.dispatch.recovered import Recovered
from runner.dispatch.salvage import Salvage
from runner.dispatch.steering import PAUSED, Steering
from runner.dispatch.terms import ASKED, CoordinatorWorld, Ended, Preamble
from runner.dispatch.trouble import Trouble, Verdict
from runner.dispatch.watch import Watch
from runner.dispatch.witnesses import Witnesses
from runner.execute.messages import Heartbeat, HeartbeatReply
from runner.execute.replay import Codec
from runner.execute.terms import PeerUnreachableError
from runner.limits.tripwire import Tripwire
from runner.observe.events import Discard, Problem, Sink
from runner.observe.progress import Phase, Progress
from runner.record.entries import Claim, Publish, Release
from runner.record.handed_in import JoinedDisk
from runner.record.layout import entry_key
from runner.record.manifest import ManifestLog
from runner.scenarios.any_book import AnyBook

VERIFY_S = 5.0
"""How old the last proof that no later claim exists may be for a heartbeat to be answered."""
LOOK_EVERY = 5
"""Cycles between two looks into parts/ for seals that nobody announced."""
LATE_S = 10.0
"""Past the grace period: how long to wait for workers to say goodbye."""


class Coordinator:
    """Leases, slots and publishing of one sweep under one claim."""

    def __init__(
        self,
        world: CoordinatorWorld,
        *,
        book: AnyBook,
        models: Mapping[str, ModelConfig],
        codecs: Mapping[str, Codec],
        engine: EngineConfig,
        claim: Claim,
        board: Board,
        preamble: Preamble | None = None,
    ) -> None:
        """Make a coordinator that holds nothing yet.

        Args:
            world: its seams.
            book: cells and rollouts.
            models: by name, for their numbers of requests in flight.
            codecs: by model, to replay journalled answers.
            engine: bounds and intervals.
            claim: what to claim the sweep with.
            board: counts for people.
            preamble: what to write right after the first claim of this fleet.
        """
        self.world = world
        self.phase = Phase.STARTING
        self._trouble = Trouble(patience_s=world.storage_patience_s)
        self._events: Sink = Discard()
        self._book = book
        self._models = models
        self._codecs = codecs
        self._engine = engine
        self._claim = claim
        self._board = board
        self._preamble = preamble
        self._log = ManifestLog(world.store, world.clock)
        self._number = 0
        self._verified_at = 0.0
        self._drain_until: float | None = None
        self._why = "done"
        self._detail = ""
        self._fenced: FencedError | None = None
        self._cycles = 0
        self._wake = asyncio.Event()

    async def start(self) -> None:
        """Claim the sweep and bring it to the state in which jobs may be leased.

        Raises:
            FencedError: another claim was faster.
            SweepStateError: the sweep changed since the preamble was worked out.
            StorageError: the store refuses.
            RecordError: the manifest is damaged.
        """
        world, now = self.world, self.world.clock.monotonic
        self.phase = Phase.RECOVERING
        state = await self._log.load()
        before = state.last_claim
        if self._preamble is not None:
            self._preamble.refuse_later(before, self._claim.fleet)
        self._number = await self._log.claim(self._claim)
        self._verified_at = now()
        self._events = world.open_events(self._number)
        await self._log.complete_old()
        if self._preamble is not None:
            await self._preamble.write(self._log, world.store, self._claim.fleet)
        state = self._log.state
        self.table = LeaseTable(
            self._book.plan,
            state.ended(),
            suspect_deaths=self._engine.suspect_deaths,
        )
        # A predecessor may have answered, and granted, as long as its last look at the manifest
        # was good for; a first claim has none.
        self.quotas = QuotaDesk(
            quota_plan(self._book.config),
            self._models,
            now=now(),
            silent_s=None if before is None else -VERIFY_S,
        )
        budget, given = self._book.config.budget, self._preamble or Preamble(base=0)
        beat_s = self._engine.heartbeat_s
        self.funds = Funds(budget, self._log, beat_s, given.elsewhere, given.budget_since)
        witnesses = Witnesses(world.processes)
        self.desk = Desk(
            self.table,
            models=self._models,
            quotas=self.quotas,
            witnesses=witnesses,
            board=self._board,
            lease_ttl_s=self._engine.lease_ttl_s,
            claim=self._number,
            report=world.report,
            events=self._events,
            allow=self.funds.answer,
            scarce=self.funds.is_scarce,
            tripwire=Tripwire(self._book.config.tripwire),
        )
        self.guests = Guests(desk=self.desk, funds=self.funds, processes=world.processes)
        recovered = Recovered(store=world.store, claim=self._number)
        self.salvage = Salvage(
            store=world.store,
            disk=world.disk if world.journals_complete else JoinedDisk(world.disk, world.store),
            clock=world.clock,
            processes=witnesses,
            book=self._book,
            codecs=self._codecs,
            offload=world.offload,
            recovered=recovered,
            state=lambda: self._log.state,
            report=world.report,
            events=self._events,
        )
        self.publisher = Publisher(
            world.store,
            self._log,
            claim=self._number,
            recovered=recovered,
            finish_recovery=self.salvage.finish_seals,
            on_published=self._on_published,
        )
        await recovered.load()
        self.steering = Steering(
            world.store, desk=self.desk, funds=self.funds, claim=self._number, events=self._events
        )
        self.watch = Watch(
            claim=self._number,
            clock=world.clock,
            processes=witnesses,
            engine=self._engine,
            journals_complete=world.journals_complete,
            desk=self.desk,
            quotas=self.quotas,
            funds=self.funds,
            publisher=self.publisher,
            salvage=self.salvage,
            verify=self._verify,
            events=self._events,
        )
        self._events.emit(started(self._book.config.name, self._number, state, self.table))
        await self.watch.begin(before, self._claim, wait_s=self._engine.lease_ttl_s + VERIFY_S)
        self.phase = Phase.RUNNING

    async def run(self) -> Ended:
        """Publish, watch and lease until the sweep is done, drained, fenced or out of space."""
        holds = hold(self.world, self._claim, self._number, self.progress)
        holding = asyncio.get_running_loop().create_task(holds)
        try:
            ended = await self._work()
            self._events.emit(stopped(ended, self._number, self._log.state, self.table))
            return ended
        finally:
            holding.cancel()
            self._events.close()

    async def _work(self) -> Ended:
        while not self._over():
            try:
                await self._cycle()
            except FencedError as error:
                self._fenced = error
                return Ended(reason="fenced", detail=str(error))
            except (StorageError, OSError) as error:
                with self._telling():
                    verdict = self._trouble.own(str(error), self.world.clock.monotonic())
                if verdict is Verdict.END:
                    self.drain(0.0, "storage", self._trouble.text)
            else:
                self._trouble.over(self.table.workers.values())
            if self._over():
                break
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._engine.publish_s):
                    await self._wake.wait()
            self._wake.clear()
        return await self._end()

    def drain(self, grace_s: float, why: str = "interrupted", detail: str = "") -> None:
        """Stop leasing; let workers finish or hand back within the grace period."""
        until = self.world.clock.monotonic() + grace_s
        if self._drain_until is None:
            self._why, self._detail = why, detail
            self.phase = Phase.DRAINING
        self._drain_until = min(until, self._drain_until or until)
        self._wake.set()

    def worker_died(self, incarnation: str) -> None:
        """Take the backend's word that a worker's process ended; proof is looked for."""
        self.watch.silent.add(incarnation)
        self._wake.set()

    async def heartbeat(self, beat: Heartbeat) -> HeartbeatReply:
        """Answer a worker (see execute/messages.py).

        Raises:
            PeerUnreachableError: this coordinator may not answer (starting, fenced, or it could
                not check its claim for too long).
        """
        now = self._sure()
        known = self.desk.known(beat)
        return known if known is not None else self._answer(beat, now)

    async def guest(self, said: GuestBeat) -> HeartbeatReply:
        """Answer a judge that draws on this sweep's quotas (see dispatch/guests.py).

        Raises:
            PeerUnreachableError: as `heartbeat`.
        """
        now = self._sure()
        if self.funds.waits(said.beat):
            self._wake.set()
        return self.guests.answer(said, now, leasing=self.watch.wait_until is None)

    def progress(self) -> Progress:
        """Return the sweep at this moment."""
        paused = self.phase is Phase.RUNNING and self.steering.paused
        return self._board.progress(
            self.table,
            self._log.state,
            now=self.world.clock.monotonic(),
            phase=Phase.PAUSED if paused else self.phase,
            text=self._trouble.text or (PAUSED if paused else self.watch.text),
            lost_calls=self.salvage.lost_calls,
            quotas=self.quotas,
            budget=self.funds.progress(),
        )

    # Heartbeats

    def _sure(self) -> float:
        """Return the time, if this coordinator may answer now."""
        now = self.world.clock.monotonic()
        if self.phase in {Phase.STARTING, Phase.RECOVERING} or self._fenced is not None:
            msg = "this coordinator does not hold the sweep"
            raise PeerUnreachableError(msg)
        if now - self._verified_at > VERIFY_S:
            self._wake.set()
            msg = "the claim could not be checked in time"
            raise PeerUnreachableError(msg)
        return now

    def _answer(self, beat: Heartbeat, now: float) -> HeartbeatReply:
        self.watch.heard(beat)
        known = self._log.state.published_seals
        for seal in beat.sealed:
            if seal not in known:
                self.publisher.announced.setdefault(seal)
        with self._telling():
            verdict = self._trouble.of_worker(beat, self.table.workers.values())
        if verdict is Verdict.END:
            self.drain(0.0, "storage", self._trouble.text)
        if beat.done or (beat.returned and self.table.stopped) or self.funds.waits(beat):
            self._wake.set()  # the end may be near, or somebody waits for money
        waits = self.watch.wait_until is not None or self._drain_until is not None
        drain_s = None if self._drain_until is None else max(0.0, self._drain_until - now)
        if verdict is Verdict.LEAVE:
            drain_s = 0.0
        return self.desk.answer(
            beat,
            now,
            leasing=not (waits or beat.draining or beat.done or verdict is Verdict.LEAVE),
            published=known,
            drain_s=drain_s,
        )

    # The cycle

    async def _cycle(self) -> None:
        await self._verify()
        self._cycles += 1
        await self.publisher.cycle(look=self._cycles % LOOK_EVERY == 0)
        await self.watch.cycle()
        if self._log.state.head - self._log.state.snapshot >= self._engine.snapshot_every:
            await self._log.snapshot()
        if await self.steering.look(self.world.clock.monotonic()) and self._drain_until is None:
            self.drain(self._engine.grace_s, detail=ASKED)
        now = self.world.clock.monotonic()
        self.guests.look(now)
        why = reason_to_drain(self.table, self.watch, self.funds, now)
        if self._drain_until is None and why is not None:
            self.drain(self._engine.grace_s, *why)

    async def _verify(self) -> None:
        """Look for a later claim; an entry of ours that ended in an error is settled first."""
        await self.publisher.settle()
        started = self.world.clock.monotonic()
        try:
            await self.world.store.get(entry_key(self._log.state.head + 1))
        except KeyMissingError:
            if started - self._verified_at > VERIFY_S:
                self.watch.answering_since = started
            self._verified_at = started
        else:
            msg = f"manifest entry {self._log.state.head + 1} was written by another process"
            raise FencedError(msg)

    def _on_published(self, entry: Publish) -> None:
        self._events.emit(published(entry, self._log.state.head))
        for shard in (*entry.transcripts, *entry.failures):
            self.table.ended(shard.jobs)

    # The end

    @contextlib.contextmanager
    def _telling(self) -> Generator[None]:
        """Write down storage trouble that is news."""
        before = self._trouble.text
        yield
        if self._trouble.text != before:
            self._events.emit(Problem(where="storage", what=self._trouble.text))

    def _over(self) -> bool:
        if self._drain_until is None:
            return False
        late = self.world.clock.monotonic() > self._drain_until + LATE_S
        return late or all(w.lost for w in self.table.workers.values())

    async def _end(self) -> Ended:
        try:
            await self.publisher.cycle(look=True)
            await self.funds.write()
            await self.salvage.tidy(self.table, closed=self.funds.closed)
            if self._why == "done" and not self.table.settled:
                self._why = "interrupted"
            if not self.table.workers:
                await self._log.append(Release(reason=self._why))
        except FencedError as error:
            return Ended(reason="fenced", detail=str(error))
        except (StorageError, OSError) as error:
            return Ended(reason="storage", detail=str(error))
        self.phase = Phase.DONE if self._why == "done" else Phase.STOPPED
        await tell(self.world.store, self._number, self.progress())
        return Ended(reason=self._why, detail=self._detail)
