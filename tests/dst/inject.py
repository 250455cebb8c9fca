"""Carries out the faults of a schedule on a simulated site, and mends them when their time is over.

Tells the oracle which processes were out of reach for so long that a lease may have run out.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from runner.core.values import FailureKind
from runner.execute.worker import Worker
from tests.dst.api import ApiFault
from tests.dst.disk import DiskState
from tests.dst.fleet import Fleet, Site
from tests.dst.oracle import Oracle, Outage
from tests.dst.schedule import Fault
from tests.dst.world import SimProcess

PAID = "-paid"


@dataclass(slots=True)
class Injector:
    """Applies faults to whatever runs under a name at that moment."""

    site: Site
    oracle: Oracle
    fleets: list[Fleet]
    start_fleet: Callable[..., Fleet]
    blackout_until: float = 0.0
    """Nothing is started before: after a `kill-all` nobody types the command at once."""
    active: int = 0
    _mends: list[Callable[[], None]] = field(default_factory=list)

    async def carry_out(self, faults: tuple[Fault, ...]) -> None:
        """Apply every fault at its time; returns when the last one is mended."""
        world = self.site.world
        async with asyncio.TaskGroup() as group:
            for fault in faults:
                group.create_task(self._one(fault))
        world.trace("calm")

    async def _one(self, fault: Fault) -> None:
        await asyncio.sleep(fault.at)
        self.site.world.trace("FAULT", fault)
        mend = getattr(self, f"_{fault.kind.partition('-')[0]}")(fault)
        if fault.lasts:
            await asyncio.sleep(fault.lasts)
        if mend is not None:
            mend()

    # Processes and hosts

    def _process(self, name: str) -> SimProcess | None:
        for fleet in reversed(self.fleets):
            found = fleet.coordinator if name == "coordinator" else fleet.workers.get(name)
            if found is not None and not found.dead:
                return found
        return None

    def _kill(self, fault: Fault) -> None:
        if fault.kind == "kill-all":
            self.blackout_until = self.site.world.now + fault.lasts
            for fleet in self.fleets:
                fleet.kill()
            return
        process = self._process(fault.target)
        if process is not None:
            process.kill()

    def _crash(self, fault: Fault) -> Callable[[], None]:
        host = self.site.world.hosts[fault.target]
        outage = self.oracle.out_of_reach(host.name)
        if host.up:
            host.crash()

        def mend() -> None:
            host.boot()
            outage.until = self.site.world.now

        return mend

    def _lose(self, fault: Fault) -> Callable[[], None] | None:
        if fault.kind != "lose-host":
            name = {"lose-requests": "lose_request", "lose-replies": "lose_reply"}[fault.kind]
            return self._set(self.site.network.faults, name, fault)
        host = self.site.world.hosts[fault.target]
        if host.up:
            self.oracle.out_of_reach(host.name)
            host.crash(lost=True)
        return None

    def _stop(self, fault: Fault) -> Callable[[], None] | None:
        process = self._process(fault.target)
        return None if process is None else self._hold([process], suspending=False)

    def _suspend(self, fault: Fault) -> Callable[[], None]:
        return self._hold(self.site.world.hosts[fault.target].processes, suspending=True)

    def _hold(self, processes: list[SimProcess], *, suspending: bool) -> Callable[[], None]:
        outages = [self.oracle.out_of_reach(p.host.name, p.name) for p in processes]
        for process in processes:
            process.stop(suspending=suspending)

        def mend() -> None:
            for process, outage in zip(processes, outages, strict=True):
                process.cont()
                outage.until = self.site.world.now

        return mend

    def _drain(self, fault: Fault) -> None:
        for fleet in reversed(self.fleets):
            process, engine = fleet.workers.get(fault.target), fleet.engines.get(fault.target)
            if process is not None and engine is not None and not process.dead:
                outage = self.oracle.out_of_reach(process.host.name, process.name)
                process.on_death.append(partial(self._over, outage))
                process.spawn(_call_drain(engine, fault.amount))
                return

    def _over(self, outage: Outage) -> None:
        outage.until = self.site.world.now

    def _rival(self, fault: Fault) -> None:
        host = self.site.world.hosts[fault.target]
        if host.up and self.site.world.now >= self.blackout_until:
            self.start_fleet(host, forced=fault.amount > 0)

    # Messages, storage, the API

    def _cut(self, fault: Fault) -> Callable[[], None]:
        """Cut a host off from all others, in one direction or both."""
        others = [h for h in self.site.world.hosts if h != fault.target]
        pairs = {(fault.target, o) for o in others} if fault.kind != "cut-to" else set()
        pairs |= {(o, fault.target) for o in others} if fault.kind != "cut-from" else set()
        cut = self.site.network.faults.cut
        pairs -= cut
        cut |= pairs
        return self._everybody(lambda: cut.difference_update(pairs))

    def _double(self, fault: Fault) -> Callable[[], None]:
        return self._set(self.site.network.faults, "double", fault)

    def _late(self, fault: Fault) -> Callable[[], None]:
        return self._set(self.site.network.faults, "late", fault)

    def _set(self, faults: object, name: str, fault: Fault) -> Callable[[], None]:
        before = getattr(faults, name)
        setattr(faults, name, max(before, fault.amount))
        return self._everybody(lambda: setattr(faults, name, 0.0))

    def _everybody(self, mend: Callable[[], None]) -> Callable[[], None]:
        """Messages get lost between any two processes meanwhile."""
        outage = self.oracle.out_of_reach("*")

        def after() -> None:
            mend()
            outage.until = self.site.world.now

        return after

    def _store(self, fault: Fault) -> Callable[[], None]:
        faults = self.site.store.faults
        what = fault.kind.removeprefix("store-")
        if what == "cut":
            host = self.site.world.hosts[fault.target]
            host.store_reachable = False
            return self._everybody(lambda: setattr(host, "store_reachable", True))
        name, value, calm = {
            "full": ("full", True, False),
            "slow": ("slow", fault.amount, 1.0),
        }.get(what, (f"error_{what}", fault.amount, 0.0))
        setattr(faults, name, value)
        return self._everybody(lambda: setattr(faults, name, calm))

    def _disk(self, fault: Fault) -> Callable[[], None]:
        state = self.site.world.hosts[fault.target].disk
        assert isinstance(state, DiskState)
        name, value, calm = {
            "disk-full": ("full", True, False),
            "disk-slow": ("slow", fault.amount, 1.0),
            "disk-short": ("short_write", fault.amount, 0.0),
            "disk-sync": ("sync_error", fault.amount, 0.0),
        }[fault.kind]
        setattr(state.faults, name, value)
        return self._everybody(lambda: setattr(state.faults, name, calm))

    def _api(self, fault: Fault) -> Callable[[], None] | None:
        if fault.kind == "api-cut":
            host = self.site.world.hosts[fault.target]
            host.api_reachable = False
            return lambda: setattr(host, "api_reachable", True)
        what = fault.kind.removeprefix("api-")
        self.site.api.faults.append(
            ApiFault(
                kind=FailureKind(what.removesuffix(PAID)),
                model=fault.target or None,
                until=self.site.world.now + fault.lasts,
                probability=fault.amount,
                after_answer=what.endswith(PAID),
            )
        )
        return None


async def _call_drain(engine: Worker, grace_s: float) -> None:
    engine.drain(grace_s)
