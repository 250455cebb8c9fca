"""One schedule from start to verdict: builds the site, runs fleets until the sweep is done, judges.

The user of the simulation types `runner sweep` again whenever no fleet is left and the sweep is
not done. When it is done the command is typed once more: that sweep must send nothing new and
leave no reachable journal with anything unrecorded.
"""

from __future__ import annotations

import asyncio
import traceback
from collections import Counter
from contextlib import nullcontext
from dataclasses import dataclass, field
from random import Random
from typing import Any

from tests.dst.api import ApiHabits, SimApi
from tests.dst.codec import plain_parts
from tests.dst.disk import DiskState
from tests.dst.fleet import Fleet, Site
from tests.dst.inject import Injector
from tests.dst.network import SimNetwork
from tests.dst.oracle import Expectation, Oracle, ViolationError
from tests.dst.schedule import Schedule
from tests.dst.store import StoreState
from tests.dst.sweep import CALL_USD, JOB_FAILURES, TIMEOUT_S, first_budget_usd, sweep_of
from tests.dst.virtual_loop import DeadlockError, VirtualTimeLimitError
from tests.dst.world import SimHost, SimProcess, World

PATIENCE_S = 900.0
"""After the last fault is mended, so long may the sweep take to be done."""


@dataclass(slots=True, kw_only=True)
class Outcome:
    """What came of a schedule."""

    schedule: Schedule
    failure: str | None = None
    counts: Counter[str] = field(default_factory=Counter)
    trace: list[str] = field(default_factory=list)
    fingerprint: int = 0
    """Equal for two runs of one seed."""


def simulate_schedule(schedule: Schedule, *, keep_trace: bool = False) -> Outcome:
    """Run a schedule to its end, or to the first violation."""
    limit_s = schedule.calm_after + PATIENCE_S
    world = World(schedule.seed, limit_s=limit_s, keep_trace=keep_trace)
    outcome = Outcome(schedule=schedule)
    parts = nullcontext() if schedule.shape.real_parquet else plain_parts()
    cluster = Cluster(world, schedule)
    try:
        with parts:
            world.loop.run_until_complete(cluster.run())
    except (AssertionError, RuntimeError) as error:
        outcome.failure = f"{type(error).__name__}: {error}"
        if isinstance(error, VirtualTimeLimitError | DeadlockError):
            outcome.failure += "".join(f"\n    {line}" for line in cluster.standing())
    except BaseExceptionGroup as group:
        outcome.failure = "; ".join(f"{type(e).__name__}: {e}" for e in group.exceptions)
    finally:
        if outcome.failure is None:
            outcome.failure = lost_exception(world)
        outcome.trace = world.trace_lines
        outcome.fingerprint = world.trace_hash
        world.loop.dispose()
    outcome.counts = cluster.counts()
    return outcome


def lost_exception(world: World) -> str | None:
    """Return the error of a task of the engine that ended by it and that nobody looked at."""
    for task in world.loop.tasks:
        if task.done() and not task.cancelled() and task._log_traceback:  # type: ignore[attr-defined]
            error = task.exception()
            trail = "".join(traceback.format_exception(error)[-2:])
            return f"{task.get_name()} ended by {error!r}: {trail}"
    return None


class Cluster:
    """A site, its fleets and its judge."""

    def __init__(self, world: World, schedule: Schedule) -> None:
        shape = schedule.shape
        self.world = world
        self.schedule = schedule
        self.raises = 0
        self.budget_usd = first_budget_usd(shape)
        self.sweep = sweep_of(shape, self.budget_usd)
        hosts = [world.host(f"h{i}") for i in range(shape.hosts)]
        if shape.shared_journal and shape.hosts > 1:
            DiskState(hosts, "shared")
        else:
            for host in hosts:
                DiskState([host], host.name)
        rng = Random(f"site {schedule.seed}")
        jobs = sorted(self.sweep.jobs)
        self.store = StoreState(world, copy_moves=shape.copy_moves)
        self.api = SimApi(
            world=world,
            seed=schedule.seed,
            habits=ApiHabits(
                latency_s=shape.latency_s,
                bad_request=shape.bad_requests,
                bills_the_gone=shape.budget > 0,
                cache_s=shape.cache_s or None,
                counts_input=shape.itpm > 0,
                deadly=frozenset(rng.sample(jobs, shape.deadly_jobs)),
            ),
            resolve=self.sweep.resolve,
            timeout_s=TIMEOUT_S,
        )
        self.site = Site(
            world=world,
            shape=shape,
            sweep=self.sweep,
            store=self.store,
            network=SimNetwork(world, pickled=shape.real_parquet),
            api=self.api,
            names=Random(f"names {schedule.seed}"),
        )
        self.broken: asyncio.Future[None] = world.loop.create_future()
        self.oracle = Oracle(
            world=world,
            store=self.store,
            api=self.api,
            expect=Expectation(
                jobs=self.sweep.jobs,
                max_in_flight={m: c.max_in_flight for m, c in self.sweep.models.items()},
                rollout_end=self.sweep.rollout_end,
                job_failures=JOB_FAILURES,
                suspect_deaths=self.sweep.engine.suspect_deaths,
                lease_ttl_s=self.sweep.engine.lease_ttl_s,
                rpm=shape.rpm,
                itpm=shape.itpm,
                otpm=shape.otpm,
                shared_quota=shape.shared_quota,
                budget_usd=self.budget_usd,
                call_usd=CALL_USD,
            ),
            broken=self._on_violation,
        )
        self.oracle.attach()
        world.on_error = self._on_error
        world.loop.set_exception_handler(self._on_callback_error)
        self.fleets: list[Fleet] = []
        self.injector = Injector(self.site, self.oracle, self.fleets, self.start_fleet)

    def _on_violation(self, error: ViolationError) -> None:
        if not self.broken.done():
            self.broken.set_exception(error)

    def _on_error(self, process: SimProcess, error: BaseException) -> None:
        trail = "".join(traceback.format_exception(error)[-3:])
        self._on_violation(ViolationError(f"{process.name} ended by {error!r}: {trail}"))

    def _on_callback_error(self, loop: object, context: dict[str, Any]) -> None:
        error = context.get("exception")
        trail = "".join(traceback.format_exception(error)[-3:]) if error else ""
        self._on_violation(ViolationError(f"{context['message']}: {error!r}: {trail}"))

    async def run(self) -> None:
        """Run until the sweep is done twice, or broken."""
        main = asyncio.ensure_future(self._run())
        await asyncio.wait({main, self.broken}, return_when=asyncio.FIRST_COMPLETED)
        if self.broken.done():
            self.broken.result()
        main.result()

    async def _run(self) -> None:
        faults = asyncio.ensure_future(self.injector.carry_out(self.schedule.faults))
        self.start_fleet(self.world.hosts["h0"])
        await self._until_done(faults)
        if not faults.done():
            faults.cancel()
            await asyncio.wait({faults})
        await self._mend_all()
        self.oracle.at_the_end()
        await self._once_more()

    async def _until_done(self, faults: asyncio.Future[None]) -> None:
        idle_since: float | None = None
        while True:
            for fleet in self.fleets:
                fleet.keep_up()
                self._finish(fleet)
            if any(f.ended is not None and f.ended.reason == "done" for f in self.fleets):
                return
            if any(f.alive for f in self.fleets):
                idle_since = None
            elif idle_since is None:
                idle_since = self.world.now
            elif self.world.now - idle_since > 3 and self.world.now > self.injector.blackout_until:
                up = [h for h in self.world.hosts.values() if h.up]
                if up:
                    self.start_fleet(self.world.rng.choice(up))
            if faults.done():
                faults.result()
            await asyncio.sleep(0.5)

    def _finish(self, fleet: Fleet) -> None:
        """A driver whose coordinator has ended exits; the backend ends its workers, soon or late."""
        if fleet.ended is not None and fleet.alive:
            fleet.alive = False
            if fleet.ended.reason == "budget" and fleet.budget_usd == self.budget_usd:
                self._raise_budget(fleet)
            for process in fleet.workers.values():
                if self.world.chance(0.7):
                    self.world.loop.in_world(self.world.rng.uniform(0.5, 30), process.kill, "gone")

    def _raise_budget(self, fleet: Fleet) -> None:
        """Let the user see that the budget is used up, and type the command with a higher one."""
        assert self.budget_usd is not None
        shape = self.schedule.shape
        if self.schedule.profile == "calm":
            self.oracle.budget_used_up(0.0 if shape.shared_journal else _unproven(fleet))
        self.raises += 1
        self.budget_usd = round(self.budget_usd * (1.5 if self.raises < 4 else 100), 2)
        self.world.trace("budget", self.budget_usd)
        self.sweep = self.site.sweep = sweep_of(shape, self.budget_usd)
        self.oracle.expect.budget_usd = self.budget_usd

    def start_fleet(self, host: SimHost, *, forced: bool = False) -> Fleet:
        """Type `runner sweep` on a host."""
        fleet = Fleet(self.site, f"f{len(self.fleets)}", host, forced=forced)
        self.world.trace("sweep", fleet.name, host.name)
        self.fleets.append(fleet)
        return fleet

    async def _mend_all(self) -> None:
        for process in self.world.processes:
            process.cont()
        for host in self.world.hosts.values():
            host.boot()
            host.store_reachable = host.api_reachable = True
            disk = host.disk
            if disk is not None:
                disk.faults.full = False
                disk.faults.short_write = disk.faults.sync_error = 0.0
                disk.faults.slow = 1.0
        store, net = self.store.faults, self.site.network.faults
        store.error_before = store.error_after = store.error_late = 0.0
        store.full, store.slow = False, 1.0
        net.lose_request = net.lose_reply = net.double = net.late = 0.0
        net.cut.clear()
        self.api.faults.clear()
        await asyncio.sleep(30)  # late effects and messages arrive

    async def _once_more(self) -> None:
        for fleet in self.fleets:
            fleet.kill()
        calls = len(self.api.calls)
        up = [h for h in self.world.hosts.values() if not h.lost]
        fleet = Fleet(self.site, "again", up[0])
        self.fleets.append(fleet)
        while fleet.ended is None:
            fleet.keep_up()
            await asyncio.sleep(0.5)
        self.oracle.at_the_end()
        if fleet.ended.reason != "done":
            self.oracle.fail(f"a finished sweep ended as {fleet.ended}")
        if len(self.api.calls) > calls:
            self.oracle.fail(f"a finished sweep sent {len(self.api.calls) - calls} calls")
        self.oracle.nothing_left(up[0])

    def standing(self) -> list[str]:
        """Return where every fleet stands, for a sweep that does not end."""
        lines = [f"store.head {self.oracle.head}, recorded {len(self.oracle.shown)}"]
        for fleet in self.fleets:
            engine = fleet.engine
            lines.append(f"{fleet.name} on {fleet.host.name} alive={fleet.alive} {fleet.ended}")
            if not fleet.alive or engine is None:
                continue
            table = engine.table
            lines.append(
                f"  phase={engine.phase} text={engine.text!r} wait={engine.watch.wait_until}"
                f" awaited={engine.watch.awaited} silent={engine.watch.silent}"
                f" leavers={list(engine.watch.leavers)} unsure={engine._log.unsure is not None}"
                f" owed={ {m: table.owed(m) for m in table.plan.models} }"
            )
            for view in table.workers.values():
                lines.append(
                    f"  {view.incarnation} seen {view.seen_at:.1f} lost={view.lost}"
                    f" leases={len(view.leases)} sealed={view.beat.sealed} slots={view.beat.slots}"
                    f" wants={view.beat.wants} queued={view.beat.queued} held={view.beat.held[:3]}"
                )
            if engine.funds.budget.limited:
                lines.append(f"  {engine.funds.spent()} {engine.funds.ledger}")
                lines += [f"  {i} {a}" for i, a in engine.funds._treasury._accounts.items()]
            for authority in engine.desk.slots.values():
                lines.append(f"  slots {authority}")
            lines += [f"  {n} dead={p.dead} stopped={p.stopped}" for n, p in fleet.workers.items()]
        return lines

    def counts(self) -> Counter[str]:
        """Return what happened, for the summary of many schedules."""
        delivered = sum(1 for c in self.api.calls if c.delivered is not None)
        used = sum(len(row.calls) for row in self.oracle.rows.values())
        return Counter(
            {
                "schedules": 1,
                f"profile {self.schedule.profile}": 1,
                "jobs": len(self.oracle.expect.jobs),
                "calls": len(self.api.calls),
                "letters": sum(c.letter for c in self.api.calls),
                "tool turns": sum(c.tools and c.turn > 0 for c in self.api.calls),
                "delivered": delivered,
                "repeated": delivered - used,
                "fleets": len(self.fleets),
                "budgets used up": self.raises,
                "mutations": self.store.mutations,
                "virtual seconds": int(self.world.now),
                "callbacks": self.world.loop.callbacks,
                "deaths": sum(p.killed for p in self.world.processes),
            }
        )


def _unproven(fleet: Fleet) -> float:
    """Return the dollars that workers drew and that nothing proves unspent."""
    assert fleet.engine is not None
    ledger = fleet.engine.funds.ledger
    return ledger.unproven.usd + sum(ledger.outstanding(i).usd for i in ledger.drawn)
