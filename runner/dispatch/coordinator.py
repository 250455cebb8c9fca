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
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from pyroaring import BitMap

from runner.config.schema import EngineConfig, ModelConfig
from runner.core.errors import FencedError, StorageError, SweepStateError
from runner.core.seams import Clock, Disk, KeyMissingError, Processes, Store
from runner.dispatch.board import Board
from runner.dispatch.leases import LeaseTable, WorkerView
from runner.dispatch.publisher import Publisher
from runner.dispatch.salvage import Salvage
from runner.execute.messages import Heartbeat, HeartbeatReply, Lease
from runner.execute.outbox import Offload
from runner.execute.replay import Codec
from runner.execute.worker import PeerUnreachableError
from runner.limits.slots import SlotAuthority
from runner.observe.progress import Phase, Progress, to_json
from runner.record.control import stop_asked
from runner.record.entries import Claim, Entry, Publish, Release
from runner.record.holder import BEAT_S, HolderBeat
from runner.record.layout import entry_key, seal_incarnation
from runner.record.manifest import ManifestLog
from runner.record.recovery import incarnations
from runner.record.status import status_key
from runner.scenarios.book import Book

VERIFY_S = 5.0
"""How old the last proof that no later claim exists may be for a heartbeat to be answered."""
LOOK_EVERY = 5
"""Cycles between two looks into parts/ for seals that nobody announced."""
STORAGE_PATIENCE_S = 20.0
"""An output that refuses every write for so long ends the sweep; it is resumed when there is
space again."""
LATE_S = 10.0
"""Past the grace period: how long to wait for workers to say goodbye."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CoordinatorWorld:
    """Everything a coordinator reaches the outside through."""

    store: Store
    disk: Disk
    """Where the workers' journals lie, as far as this host can read them."""
    clock: Clock
    processes: Processes
    offload: Offload
    report: Callable[[str], None]
    """Told of damage and of decisions that people should see, one line each."""
    journals_complete: bool = True
    """Every worker's journal lies on `disk`: then a look at their writers tells who still runs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preamble:
    """What a new driver session changes in the sweep before anything is leased."""

    base: int
    """The last manifest entry that the changes were worked out against."""
    files: tuple[tuple[str, bytes], ...] = ()
    """Keys and contents to put first: the configuration, the cell table of a new plan."""
    entries: tuple[Entry, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """Why the coordinator stopped."""

    reason: str
    """done, stopped, interrupted, storage or fenced."""
    detail: str = ""


class Coordinator:
    """Leases, slots and publishing of one sweep under one claim."""

    def __init__(
        self,
        world: CoordinatorWorld,
        *,
        book: Book,
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
        self.text = ""
        self._book = book
        self._models = models
        self._codecs = codecs
        self._engine = engine
        self._claim = claim
        self._board = board
        self._preamble = preamble
        self._log = ManifestLog(world.store, world.clock)
        self._number = 0
        self._slots = {name: SlotAuthority(m.max_in_flight) for name, m in models.items()}
        self._replies: dict[str, HeartbeatReply] = {}
        self._verified_at = 0.0
        self._awaited: set[str] = set()
        self._wait_until: float | None = None
        self._leavers: dict[str, Heartbeat] = {}
        self._silent: set[str] = set()
        self._drain_until: float | None = None
        self._why = "done"
        self._detail = ""
        self._fenced: FencedError | None = None
        self._storage_since: float | None = None
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
        self._number = await self._log.claim(self._claim)
        self._verified_at = now()
        await self._log.complete_old()
        if before is None or before.claim.fleet != self._claim.fleet:
            await self._introduce()
        state = self._log.state
        self.table = LeaseTable(
            self._book.plan,
            _union(state.recorded, state.dead),
            suspect_deaths=self._engine.suspect_deaths,
        )
        self.salvage = Salvage(
            store=world.store,
            disk=world.disk,
            clock=world.clock,
            processes=world.processes,
            book=self._book,
            codecs=self._codecs,
            offload=world.offload,
            claim=self._number,
            state=lambda: self._log.state,
            report=world.report,
        )
        self.publisher = Publisher(
            world.store,
            self._log,
            claim=self._number,
            recovered_ids=self.salvage.recovered_ids,
            on_published=self._on_published,
        )
        await self.salvage.load_recovered()
        for incarnation, gone in (await self.salvage.find()).items():
            if gone:
                await self._recover(incarnation, gone=True, crashed=True)
            else:
                self._awaited.add(incarnation)
        clean = before is None or world.journals_complete
        if self._awaited or not clean:
            self._wait_until = now() + self._engine.lease_ttl_s + VERIFY_S
        self.phase = Phase.RUNNING

    async def _introduce(self) -> None:
        """Write what this driver session changes, if nobody changed the sweep meanwhile."""
        preamble = self._preamble
        if preamble is None:
            return
        if self._number != preamble.base + 1:
            await self._log.append(Release(reason="interrupted"))
            msg = (
                "another process wrote to the sweep while this one was starting; nothing was "
                "started. Run the same command again"
            )
            raise SweepStateError(msg)
        for key, data in preamble.files:
            await self.world.store.put(key, data)
        for entry in preamble.entries:
            number = await self._log.append(entry)
            await self._log.complete(number)

    async def run(self) -> Ended:
        """Publish, watch and lease until the sweep is done, drained, fenced or out of space."""
        holding = asyncio.get_running_loop().create_task(self._hold())
        try:
            return await self._work()
        finally:
            holding.cancel()

    async def _work(self) -> Ended:
        while not self._over():
            try:
                await self._cycle()
            except FencedError as error:
                self._fenced = error
                return Ended(reason="fenced", detail=str(error))
            except (StorageError, OSError) as error:
                self._on_storage(str(error), self._trouble_s())
            else:
                self._storage_since = None
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
        self._silent.add(incarnation)
        self._wake.set()

    async def heartbeat(self, beat: Heartbeat) -> HeartbeatReply:
        """Answer a worker (see execute/messages.py).

        Raises:
            PeerUnreachableError: this coordinator may not answer (starting, fenced, or it could
                not check its claim for too long).
        """
        now = self.world.clock.monotonic()
        if self.phase in {Phase.STARTING, Phase.RECOVERING} or self._fenced is not None:
            raise PeerUnreachableError("this coordinator does not hold the sweep")
        if now - self._verified_at > VERIFY_S:
            self._wake.set()
            raise PeerUnreachableError("the claim could not be checked in time")
        last = self._replies.get(beat.incarnation)
        if last is not None and beat.seq <= last.seq:
            return last
        reply = self._answer(beat, now)
        self._replies[beat.incarnation] = reply
        return reply

    def progress(self) -> Progress:
        """Return the sweep at this moment."""
        plan, state = self._book.plan, self._log.state
        recorded: dict[str, int] = {}
        dead: dict[str, int] = {}
        for totals, bits in ((recorded, state.recorded), (dead, state.dead)):
            for number, seeds in bits.items():
                if number in plan:
                    cell = plan.cell(number)
                    count = sum(seeds.range_cardinality(a, b) for a, b in cell.seeds.ranges)
                    totals[cell.model] = totals.get(cell.model, 0) + count
        return self._board.progress(
            self.table,
            now=self.world.clock.monotonic(),
            phase=self.phase,
            text=self.text,
            recorded=recorded,
            dead=dead,
            lost_calls=self.salvage.lost_calls,
        )

    @property
    def claim_number(self) -> int:
        """Return the number of the claim, 0 before `start`."""
        return self._number

    # Heartbeats

    def _answer(self, beat: Heartbeat, now: float) -> HeartbeatReply:
        self._silent.discard(beat.incarnation)
        self._awaited.discard(beat.incarnation)
        found = self.table.reconcile(beat, now)
        for model, tally in beat.tallies.items():
            self._slots[model].report(
                beat.incarnation,
                obeyed=beat.slots.get(model, 0),
                in_flight=tally.in_flight,
                demand=tally.in_flight
                + tally.waiting
                + tally.ready
                + beat.queued.get(model, 0)
                + min(beat.wants.get(model, 0), max(0, self.table.owed(model))),
            )
        published = self._log.state.published_seals
        for seal in beat.sealed:
            if seal not in published:
                self.publisher.announced.setdefault(seal)
        self._stop_models(beat)
        if beat.storage_error is not None:
            self._on_storage(beat.storage_error, beat.storage_error_s)
        if beat.done:
            self._leavers[beat.incarnation] = beat
            self._wake.set()
        waits = self._wait_until is not None or self._drain_until is not None
        leasing = not (waits or beat.draining or beat.done)
        slots = {
            m: a.grant(beat.incarnation, now, most=None if leasing else beat.slots.get(m, 0))
            for m, a in self._slots.items()
        }
        grants: list[Lease] = list(found.resend)
        revoke = list(found.revoke)
        if leasing:
            if not found.returned_seen:  # what it handed back is for others first
                grants += self._grants(beat, slots)
            for model in beat.queued:
                revoke += self.table.steal(beat.incarnation, model)
        return HeartbeatReply(
            seq=beat.seq,
            claim=self._number,
            lease_ttl_s=self._engine.lease_ttl_s,
            grants=tuple(grants),
            slots=slots,
            published=tuple(s for s in beat.sealed if s in published),
            returned_seen=found.returned_seen,
            revoke=tuple(revoke),
            stopped_models=dict(self.table.stopped),
            drain_s=None if self._drain_until is None else max(0.0, self._drain_until - now),
        )

    def _grants(self, beat: Heartbeat, slots: Mapping[str, int]) -> list[Lease]:
        grants = self.table.grant_alone(beat.incarnation)
        if grants or self.table.isolating(beat.incarnation):
            return grants
        for model, want in beat.wants.items():
            if slots.get(model, 0) == 0:
                continue  # with fewer places than workers, jobs would wait here for nothing
            grants += self.table.grant(beat.incarnation, model, want)
        return grants

    def _stop_models(self, beat: Heartbeat) -> None:
        for model, reason in beat.stopped_models.items():
            self._stop_model(model, reason)
        for model, reason in beat.unreachable.items():
            if not self._board.answered(self.table, model):
                self._stop_model(model, reason)

    def _stop_model(self, model: str, reason: str) -> None:
        if model not in self.table.stopped:
            self.table.stopped[model] = reason
            self.world.report(f"models.{model}: {reason}. No further request is sent to it.")

    async def _hold(self) -> None:
        """Count for other hosts, and leave the progress for `runner status`."""
        claim, store = self._claim, self.world.store
        beat = HolderBeat(store, claim=self._number, fleet=claim.fleet, process=claim.process)
        while True:
            with contextlib.suppress(StorageError):
                await beat.beat()
                await store.put(status_key(self._number), to_json(self.progress()))
            await self.world.clock.sleep(BEAT_S)

    # The cycle

    async def _cycle(self) -> None:
        now = self.world.clock.monotonic
        await self._verify()
        self._cycles += 1
        await self.publisher.cycle(look=self._cycles % LOOK_EVERY == 0)
        await self._bury_leavers()
        await self._end_wait()
        self._silent |= set(self.table.expired(now(), self._engine.lease_ttl_s * 1.05))
        self._silent |= {
            w.incarnation
            for w in self.table.workers.values()
            if now() - w.seen_at > 2 * self._engine.heartbeat_s
        }
        for incarnation in sorted(self._silent):
            await self._look_after(incarnation)
        await self.salvage.tidy(self.table)
        await self._snapshot()
        if self._drain_until is None and await stop_asked(self.world.store, self._number):
            self.drain(self._engine.grace_s, detail="asked by runner stop")
        if self._drain_until is None and self._wait_until is None and self.table.settled:
            stopped = dict(self.table.stopped)
            left = any(self.table.owed(m) for m in stopped)
            self.drain(
                self._engine.grace_s,
                "stopped" if left else "done",
                "; ".join(f"models.{m}: {why}" for m, why in stopped.items()),
            )

    async def _snapshot(self) -> None:
        state = self._log.state
        if state.head - state.snapshot < self._engine.snapshot_every:
            return
        if self.world.journals_complete:  # else a journal may come to light on another host
            here = {*await incarnations(self.world.disk), *self.table.workers}
            self._log.prune_seals(lambda seal: seal_incarnation(seal) in here)
        await self._log.snapshot()

    async def _end_wait(self) -> None:
        """Lease again once every worker of before has registered or must have fenced itself."""
        if self._wait_until is None:
            return
        for incarnation, gone in (await self.salvage.find()).items():
            if gone and incarnation in self._awaited:
                await self._recover(incarnation, gone=True, crashed=True)
                self._awaited.discard(incarnation)
        all_known = not self._awaited and self.world.journals_complete
        if not all_known and self.world.clock.monotonic() < self._wait_until:
            return
        for incarnation in sorted(self._awaited):
            await self._recover(incarnation, gone=False, crashed=False)
        self._silent |= self._awaited
        self._awaited.clear()
        self._wait_until = None

    async def _recover(self, incarnation: str, *, gone: bool, crashed: bool) -> None:
        await self.publisher.cycle(look=True)
        await self.salvage.recover(incarnation, self.table, gone=gone, crashed=crashed)
        await self.publisher.cycle(look=True)

    async def _verify(self) -> None:
        started = self.world.clock.monotonic()
        try:
            await self.world.store.get(entry_key(self._log.state.head + 1))
        except KeyMissingError:
            self._verified_at = started
        else:
            msg = f"manifest entry {self._log.state.head + 1} was written by another process"
            raise FencedError(msg)

    async def _bury_leavers(self) -> None:
        for incarnation, beat in list(self._leavers.items()):
            await self._recover(incarnation, gone=True, crashed=False)
            self._gone(incarnation, beat)
            del self._leavers[incarnation]

    async def _look_after(self, incarnation: str) -> None:
        """Recover a silent worker: for good where it is provably gone, else once it is lost."""
        view = self.table.workers.get(incarnation)
        if incarnation in self._leavers:
            return
        gone = self._is_gone(incarnation, view, await self.salvage.find())
        if gone:
            await self._recover(incarnation, gone=True, crashed=True)
            self._gone(incarnation, view.beat if view else None)
            self._silent.discard(incarnation)
        elif view is not None and view.lost and view.leases:
            await self._recover(incarnation, gone=False, crashed=False)
            if view.lost:  # it may have come back while its journal was read
                self.table.release(incarnation)
                until = self.world.clock.monotonic()
                for name, authority in self._slots.items():
                    authority.lost(incarnation, until + self._models[name].timeout_s)
        elif view is not None and not view.lost:
            self._silent.discard(incarnation)

    def _is_gone(
        self, incarnation: str, view: WorkerView | None, found: Mapping[str, bool | None]
    ) -> bool:
        if view is not None:
            return self.world.processes.is_dead(view.beat.process) is True
        return found.get(incarnation, True) is True

    def _gone(self, incarnation: str, beat: Heartbeat | None) -> None:
        if beat is not None:
            self._board.bury(beat)
        self.table.remove(incarnation)
        self._replies.pop(incarnation, None)
        for authority in self._slots.values():
            authority.gone(incarnation)

    def _on_published(self, entry: Publish) -> None:
        for shard in (*entry.transcripts, *entry.failures):
            self.table.ended(shard.jobs)

    # The end

    def _on_storage(self, error: str, for_s: float) -> None:
        self.text = error
        if for_s > STORAGE_PATIENCE_S:
            self.drain(0.0, "storage", error)

    def _trouble_s(self) -> float:
        now = self.world.clock.monotonic()
        if self._storage_since is None:
            self._storage_since = now
        return now - self._storage_since

    def _over(self) -> bool:
        if self._drain_until is None:
            return False
        late = self.world.clock.monotonic() > self._drain_until + LATE_S
        return late or all(w.lost for w in self.table.workers.values())

    async def _end(self) -> Ended:
        try:
            await self.publisher.cycle(look=True)
            await self.salvage.tidy(self.table)
            if self._why == "done" and not self.table.settled:
                self._why = "interrupted"
            if not self.table.workers:
                await self._log.append(Release(reason=self._why))
        except FencedError as error:
            return Ended(reason="fenced", detail=str(error))
        except (StorageError, OSError) as error:
            return Ended(reason="storage", detail=str(error))
        self.phase = Phase.DONE if self._why == "done" else Phase.STOPPED
        with contextlib.suppress(StorageError):
            await self.world.store.put(status_key(self._number), to_json(self.progress()))
        return Ended(reason=self._why, detail=self._detail)


def _union(a: Mapping[int, BitMap], b: Mapping[int, BitMap]) -> dict[int, BitMap]:
    return {n: a.get(n, BitMap()) | b.get(n, BitMap()) for n in {*a, *b}}
