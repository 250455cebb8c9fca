"""A fleet: what one `runner sweep` command starts. Its driver's host, a coordinator that is
restarted when it dies, and workers that are replaced when they die; all gone when the driver is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import TypeVar

from runner.core.errors import FencedError, StorageError, SweepStateError
from runner.dispatch.board import Board
from runner.dispatch.coordinator import Coordinator
from runner.dispatch.quota_plan import quota_plan
from runner.dispatch.terms import CoordinatorWorld, Ended, Preamble
from runner.execute.messages import Heartbeat, HeartbeatReply
from runner.execute.terms import PeerUnreachableError, WorkerIdentity, WorkerWorld
from runner.execute.worker import Worker
from runner.record.entries import Claim, PlanEntry
from runner.record.handed_in import hand_in
from runner.record.holder import Standing, who_holds
from runner.record.manifest import load_state
from tests.dst.api import SimApi, SimProvider
from tests.dst.disk import SimDisk
from tests.dst.network import PeerLostError, SimNetwork
from tests.dst.schedule import Shape
from tests.dst.store import SimStore, StoreState
from tests.dst.sweep import Sweep
from tests.dst.world import SimClock, SimHost, SimProcess, SimProcesses, World

T = TypeVar("T")


@dataclass(slots=True)
class Site:
    """Everything that fleets share: the world and the sweep directory in it."""

    world: World
    shape: Shape
    sweep: Sweep
    store: StoreState
    network: SimNetwork
    api: SimApi
    names: Random
    reports: list[str] = field(default_factory=list)
    ends: list[Ended] = field(default_factory=list)


async def offload(work: Callable[[], T]) -> T:
    """Run CPU work as the engine's backends do, in a thread; here at its start or its end."""
    return await asyncio.to_thread(work)


class SimPeer:
    """`runner.execute.worker.Peer` over the simulated network."""

    def __init__(self, api: SimApi, network: SimNetwork, process: SimProcess, fleet: str) -> None:
        self._api = api
        self._network = network
        self._process = process
        self._name = fleet

    async def heartbeat(self, beat: Heartbeat) -> HeartbeatReply:
        sent = self._process.world.now
        try:
            reply = await self._network.call(self._process, self._name, beat)
        except PeerLostError as error:
            raise PeerUnreachableError(str(error)) from error
        took = self._process.world.now - sent
        self._api.slowest_beat_s = max(self._api.slowest_beat_s, took)
        self._process.leased(sent + reply.lease_ttl_s)
        return reply


@dataclass(slots=True)
class Fleet:
    """One driver session."""

    site: Site
    name: str
    host: SimHost
    forced: bool = False
    """`--take-over`."""
    alive: bool = True
    ended: Ended | None = None
    coordinator: SimProcess | None = None
    engine: Coordinator | None = None
    workers: dict[str, SimProcess] = field(default_factory=dict)
    engines: dict[str, Worker] = field(default_factory=dict)
    _waiting: set[str] = field(default_factory=set)
    """What is about to be started again."""
    _starts: int = 0
    budget_usd: float | None = field(init=False)
    """That it was started with."""

    def __post_init__(self) -> None:
        self.budget_usd = self.site.sweep.book.config.budget.usd

    def keep_up(self) -> None:
        """Start what is missing; called by the world every half second."""
        if not self.alive:
            return
        if not self.host.up:
            self.driver_dies()
            return
        if self.ended is not None:
            return
        if self.coordinator is None or self.coordinator.dead:
            self._again("coordinator", self._start_coordinator)
        for i in range(self.site.shape.workers):
            name = f"w{i}"
            process = self.workers.get(name)
            if process is None or process.dead:
                self._again(name, lambda name=name: self._start_worker(name))

    def _again(self, what: str, start: Callable[[], None]) -> None:
        if what in self._waiting:
            return
        self._waiting.add(what)
        first = self._starts < 1 + self.site.shape.workers
        self._starts += 1
        delay = self.site.world.rng.uniform(0.05, 0.4 if first else 4.0)

        def act() -> None:
            self._waiting.discard(what)
            if self.alive and self.ended is None and self.host.up:
                start()

        self.site.world.loop.in_world(delay, act)

    def driver_dies(self) -> None:
        """The driver's host is gone: its workers are orphans until somebody notices, if ever."""
        self.alive = False
        self.site.world.trace("driver-dies", self.name)
        for process in self.workers.values():
            if self.site.world.chance(0.7):
                self.site.world.loop.in_world(
                    self.site.world.rng.uniform(0.5, 60), process.kill, "orphan"
                )

    def kill(self) -> None:
        """End every process of the fleet at once."""
        self.alive = False
        for process in (self.coordinator, *self.workers.values()):
            if process is not None:
                process.kill()

    def _start_coordinator(self) -> None:
        process = SimProcess(self.host, f"{self.name}-coordinator")
        self.coordinator = process
        process.start(self._coordinate(process))

    async def _coordinate(self, process: SimProcess) -> None:
        site = self.site
        clock = SimClock(process)
        store = SimStore(site.store, process)
        assert self.host.disk is not None
        disk = SimDisk(self.host.disk, process)
        processes = SimProcesses(process)
        try:
            preamble = await self._look(store, processes, clock)
        except StorageError as error:
            site.world.trace("start-failed", process.name, error)
            return
        if preamble is None:
            self._over(Ended(reason="refused"))
            return
        engine = Coordinator(
            CoordinatorWorld(
                store=store,
                disk=disk,
                clock=clock,
                processes=processes,
                offload=offload,
                report=site.reports.append,
                storage_patience_s=site.shape.storage_patience_s,
                journals_complete=site.shape.shared_journal or site.shape.hosts == 1,
            ),
            book=site.sweep.book,
            models=site.sweep.models,
            codecs={m: SimProvider(site.api, process, m) for m in site.sweep.models},
            engine=site.sweep.engine,
            claim=Claim(
                nonce=f"{site.names.getrandbits(64):016x}",
                fleet=self.name,
                process=processes.current(),
                node=self.host.name,
                started_at="2030-01-01T00:00:00Z",
            ),
            board=Board(
                sweep="dst", directory="outputs/dst", started="", started_at=clock.monotonic()
            ),
            preamble=preamble,
        )
        try:
            await engine.start()
        except FencedError as error:
            self._over(Ended(reason="fenced", detail=str(error)))
            return
        except SweepStateError as error:
            self._over(Ended(reason="raced", detail=str(error)))
            return
        except (StorageError, OSError) as error:
            site.world.trace("start-failed", process.name, error)
            return
        self.engine = engine
        site.network.serve(self.name, process, engine.heartbeat)
        self._over(await engine.run())

    async def _look(
        self, store: SimStore, processes: SimProcesses, clock: SimClock
    ) -> Preamble | None:
        """Do what `runner sweep` does before it claims; None: a live process holds the sweep."""
        state = await load_state(store)
        last = state.last_claim
        if last is not None and last.claim.fleet != self.name and not self.forced:
            take_over_s = self.site.sweep.engine.take_over_s
            held = await who_holds(store, processes, clock, state, take_over_s=take_over_s)
            if held.standing is Standing.LIVE:
                return None
        version = self.site.sweep.book.plan.version
        new = () if state.plan_version == version else (PlanEntry(version=version),)
        return Preamble(base=state.head, entries=new)

    def _over(self, ended: Ended) -> None:
        self.ended = ended
        self.site.ends.append(ended)
        self.site.world.trace("ended", self.name, ended.reason, ended.detail)

    def _start_worker(self, name: str) -> None:
        site, rng = self.site, self.site.world.rng
        home = site.world.hosts[f"h{int(name[1:]) % site.shape.hosts}"]
        if not home.up:
            up = [h for h in site.world.hosts.values() if h.up]
            if not up or rng.random() < 0.5:
                return  # tried again later: the host may come back
            home = rng.choice(up)
        process = SimProcess(home, f"{self.name}-{name}")
        self.workers[name] = process
        process.start(self._work(process, name))

    async def _work(self, process: SimProcess, name: str) -> None:
        site = self.site
        assert process.host.disk is not None
        incarnation = f"{self.name}-{name}-{site.names.getrandbits(32):08x}"
        store, disk = SimStore(site.store, process), SimDisk(process.host.disk, process)
        processes = SimProcesses(process)
        world = WorkerWorld(
            store=store,
            disk=disk,
            clock=SimClock(process),
            processes=processes,
            peer=SimPeer(site.api, site.network, process, self.name),
            offload=offload,
            rng=Random(site.names.getrandbits(32)),
            hand_in=partial(hand_in, disk, store, processes) if site.shape.hands_in else None,
        )
        plan = quota_plan(site.sweep.book.config)
        engine = Worker(
            WorkerIdentity(
                worker=name,
                incarnation=incarnation,
                node=process.host.name,
                fleet=self.name,
                sweep_id="dst",
            ),
            world,
            book=site.sweep.book,
            models=site.sweep.models,
            providers={m: SimProvider(site.api, process, m) for m in site.sweep.models},
            groups={m: use.group for m, use in plan.uses.items()},
            purses=plan.purses(site.sweep.models),
            engine=site.sweep.engine,
            retry=site.sweep.retry,
        )
        self.engines[name] = engine
        process.on_death.append(lambda: self._tell(incarnation))
        try:
            await engine.run()
        except StorageError as error:
            site.world.trace("worker-end", process.name, error)

    def _tell(self, incarnation: str) -> None:
        """The backend notices a dead worker, often, and after a while."""
        world = self.site.world

        def tell() -> None:
            if self.coordinator is None or self.coordinator.dead or self.engine is None:
                return
            engine = self.engine

            async def say() -> None:
                engine.worker_died(incarnation)

            self.coordinator.spawn(say())

        if world.chance(0.7):
            world.loop.in_world(world.rng.uniform(0.05, 5), tell)
