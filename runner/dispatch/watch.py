"""Workers that are silent, leaving, or left over from an earlier coordinator, and their journals.

A worker's jobs are owed again only after its journal was recovered and what came of that was
published. Leasing waits until every worker of before has registered or must have fenced itself.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from runner.config.schema import EngineConfig
from runner.core.seams import Clock
from runner.core.values import NOTHING
from runner.dispatch.desk import Desk
from runner.dispatch.funds import Funds
from runner.dispatch.leases import WorkerView
from runner.dispatch.publisher import Publisher
from runner.dispatch.quotas import QuotaDesk
from runner.dispatch.salvage import Salvage
from runner.dispatch.witnesses import Witnesses
from runner.execute.messages import Heartbeat
from runner.limits.ledger import GUEST
from runner.observe.events import Sink, WorkerLost
from runner.record.entries import Claim
from runner.record.state import ClaimWritten

_COUNT_EVERY_S = 5.0
FIND_EVERY = 5
"""Cycles between two looks for journals that were handed in."""


@dataclass(slots=True, kw_only=True)
class Watch:
    """Looks after the workers of one claim."""

    claim: int
    clock: Clock
    processes: Witnesses
    engine: EngineConfig
    journals_complete: bool
    desk: Desk
    quotas: QuotaDesk
    funds: Funds
    publisher: Publisher
    salvage: Salvage
    verify: Callable[[], Awaitable[None]]
    """Looks for a later claim: raises FencedError, StorageError."""
    events: Sink
    wait_until: float | None = None
    """Nothing is leased before (monotonic seconds); None: leasing goes on."""
    answering_since: float = 0.0
    """Since when every heartbeat was answered: silence while this coordinator was stopped, or
    could not check its claim, says nothing about a worker."""
    silent: set[str] = field(default_factory=set[str])
    awaited: set[str] = field(default_factory=set[str])
    """Workers of before, of whom nobody knows yet whether they run."""
    leavers: dict[str, Heartbeat] = field(default_factory=dict[str, Heartbeat])
    """Workers that said goodbye, with their last words."""
    _cycles: int = 0
    _calling: dict[str, tuple[float, float]] = field(default_factory=dict[str, tuple[float, float]])
    """Workers that never registered and had calls on the wire: since when nothing was started,
    and when to look again what has ended."""

    async def begin(self, before: ClaimWritten | None, claim: Claim, *, wait_s: float) -> None:
        """Publish what lies in parts/, recover the journals here, find out whom to wait for.

        What lies in parts/ need not have a journal beside it: that may have been on the disk of a
        node that is lost.

        Args:
            before: the last claim before this one's.
            claim: this one.
            wait_s: after which every worker of before must have fenced itself.

        Raises:
            FencedError: a later claim exists.
            StorageError: the store refused.
            OSError: the disk refused.
        """
        same = before is not None and before.claim.fleet == claim.fleet
        await self.publisher.cycle(look=True)
        found = await self.salvage.find()
        for incarnation, gone in found.items():
            if gone:
                await self._recover(incarnation, gone=True, crashed=True)
                self._close(incarnation, None)
            else:
                self.awaited.add(incarnation)
        if self.journals_complete:
            for incarnation in [i for i in self.funds.ledger.drawn if i not in found]:
                # It left nothing unpublished behind. What a judge spent a new session has from the
                # judge's own sweep; a coordinator that was restarted has not, and keeps the account.
                if not (same and incarnation.startswith(GUEST)):
                    self.funds.gone(incarnation, NOTHING)
        await self.funds.write()
        if self.awaited or not (before is None or self.journals_complete):
            self.wait_until = self.clock.monotonic() + wait_s
        else:
            self.quotas.all_registered(self.clock.monotonic())

    @property
    def text(self) -> str:
        """Why nothing is leased yet, in words; empty where it is."""
        if self.wait_until is None:
            return ""
        left = max(0.0, self.wait_until - self.clock.monotonic())
        return f"workers of the session before may still run: leasing begins within {left:.0f} s"

    @property
    def certain(self) -> bool:
        """Return whether every worker is heard, or given up."""
        workers = self.desk.table.workers
        unsure = (i in workers and not workers[i].lost for i in self.silent)
        return self.wait_until is None and not any(unsure)

    def heard(self, beat: Heartbeat) -> None:
        """Take note of a sign of life, or of a goodbye."""
        self.silent.discard(beat.incarnation)
        if beat.done or beat.claim in {0, self.claim}:
            # Who obeyed another claim has yet to say again what it has handed back under that one.
            self.awaited.discard(beat.incarnation)
        if beat.done:
            self.leavers[beat.incarnation] = beat

    async def cycle(self) -> None:
        """Bury who left, stop waiting for who was awaited, look after who is silent.

        Raises:
            FencedError: a later claim exists.
            StorageError: the store refused; call again.
            OSError: the disk refused; call again.
        """
        table, now = self.desk.table, self.clock.monotonic()
        await self._find_handed_in()
        await self._list_returned()
        await self._bury_leavers()
        await self._end_wait()
        self.silent |= set(
            table.expired(now, self.engine.lease_ttl_s * 1.05, since=self.answering_since)
        )
        self.silent |= {
            w.incarnation
            for w in table.workers.values()
            if now - w.seen_at > 2 * self.engine.heartbeat_s
        }
        for incarnation in sorted(self.silent):
            await self._look_after(incarnation)
        await self.funds.write()
        await self.salvage.tidy(table, closed=self.funds.closed)

    async def _find_handed_in(self) -> None:
        """Look after workers whose journals were handed in since, now and then."""
        self._cycles += 1
        if self.journals_complete or (self.wait_until is None and self._cycles % FIND_EVERY):
            return
        await self.salvage.find()
        self.silent |= self.salvage.handed_in - self.salvage.retained.keys()

    async def _end_wait(self) -> None:
        """Lease again once every worker of before has registered or must have fenced itself."""
        if self.wait_until is None:
            return
        for incarnation, gone in (await self.salvage.find()).items():
            if gone and incarnation in self.awaited:
                await self._recover(incarnation, gone=True, crashed=True)
                self._close(incarnation, None)
                self.awaited.discard(incarnation)
        all_known = not self.awaited and self.journals_complete
        if not all_known and self.clock.monotonic() < self.wait_until:
            return
        for incarnation in sorted(self.awaited):
            await self._recover(incarnation, gone=False, crashed=False)
            await self._count_calls(incarnation, self.clock.monotonic())
        self.silent |= self.awaited
        self.awaited.clear()
        self.wait_until = None
        self.quotas.all_registered(self.clock.monotonic())

    async def _count_calls(self, incarnation: str, since: float) -> None:
        """Keep the places of what a worker that never registered may have on the wire."""
        wire = await self.salvage.on_the_wire(incarnation)
        self._calling.pop(incarnation, None)
        if incarnation in self.desk.table.workers:  # it has registered meanwhile
            return
        self.desk.unheard(incarnation, wire, since)
        if wire:
            self._calling[incarnation] = since, self.clock.monotonic() + _COUNT_EVERY_S

    async def _recover(self, incarnation: str, *, gone: bool, crashed: bool) -> None:
        await self.publisher.cycle(look=True)
        await self.salvage.recover(incarnation, self.desk.table, gone=gone, crashed=crashed)
        await self.publisher.cycle(look=True)
        # A journal that holds nothing, or a seal that is not there any more, may have been seen to
        # by a later coordinator: then these jobs are not this one's to lease.
        await self.verify()

    async def _list_returned(self) -> None:
        """Publish the attempts of jobs that were handed back, and owe these again."""
        table = self.desk.table
        told = {job: dict(by_worker) for job, by_worker in table.unlisted.items()}
        if told:
            await self.salvage.list_returned(told)
            await self.publisher.cycle()
            await self.verify()
            table.listed(told)

    async def _bury_leavers(self) -> None:
        for incarnation, beat in list(self.leavers.items()):
            await self._recover(incarnation, gone=True, crashed=False)
            self._emit_lost(incarnation, "left")
            self.funds.left(incarnation)
            self.desk.gone(incarnation, beat)
            del self.leavers[incarnation]

    async def _look_after(self, incarnation: str) -> None:
        """Recover a silent worker: for good where it is provably gone, else once it is lost."""
        view = self.desk.table.workers.get(incarnation)
        if incarnation in self.leavers:
            return
        if await self._is_gone(incarnation, view):
            await self._recover(incarnation, gone=True, crashed=True)
            self._emit_lost(incarnation, "died")
            self._close(incarnation, view)
            self.desk.gone(incarnation, view.beat if view else None)
            self.silent.discard(incarnation)
            self._calling.pop(incarnation, None)
        elif view is None:
            since, next_at = self._calling.get(incarnation, (0.0, math.inf))
            if self.clock.monotonic() >= next_at:
                await self._count_calls(incarnation, since)
        elif view.lost:
            if view.leases:
                await self._recover(incarnation, gone=False, crashed=False)
            if view.lost:  # it may have come back while its journal was read
                if view.leases:
                    self._emit_lost(incarnation, "silent")
                self.funds.lost(incarnation)
                self.desk.table.release(incarnation)
                self.desk.lost(incarnation, self.clock.monotonic())
        else:
            self.silent.discard(incarnation)

    def _close(self, incarnation: str, view: WorkerView | None) -> None:
        """Close the account of a worker that has ended: its journal is recovered and published."""
        writer = self.salvage.writer(incarnation) if view is None else view.beat.process
        trusted = writer is not None and not (
            self.processes.rebooted(writer) or self.salvage.switched_off(incarnation, writer)
        )
        self.funds.gone(incarnation, self.salvage.unproven.get(incarnation) if trusted else None)

    def _emit_lost(self, incarnation: str, reason: str) -> None:
        view = self.desk.table.workers.get(incarnation)
        if view is not None:
            lost = WorkerLost(
                worker=view.beat.worker,
                incarnation=incarnation,
                reason=reason,
                owed_again=len(view.leases),
            )
            self.events.emit(lost)

    async def _is_gone(self, incarnation: str, view: WorkerView | None) -> bool:
        if incarnation in self.salvage.handed_in:
            return True
        if view is not None:
            return self.processes.is_dead(view.beat.process) is True
        return (await self.salvage.find()).get(incarnation, True) is True
