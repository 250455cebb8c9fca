"""Hosts and processes of the simulated cluster, their clocks, and who can tell who is dead.

A process is a gate on the virtual loop plus handles of the seams. `kill` is kill -9: nothing of it
runs any more, and its handles raise `Killed` should anything still reach them. A host crash kills
its processes and loses what its disk had not synced; a lost host never comes back.
"""

from __future__ import annotations

import asyncio
import itertools
import zlib
from collections.abc import Callable, Coroutine
from random import Random
from typing import TYPE_CHECKING, Any

from runner.core.seams import ProcessIdentity
from tests.dst.virtual_loop import Gate, VirtualLoop

if TYPE_CHECKING:
    from tests.dst.disk import DiskState

WALL_START = 1_900_000_000.0


class Killed(BaseException):
    """Raised by the handles of a dead process; nothing of it may have an effect any more."""


class World:
    """The loop, the one source of randomness, the hosts, and the trace of what happened."""

    def __init__(self, seed: int, *, limit_s: float = 3600.0, keep_trace: bool = False) -> None:
        self.rng = Random(f"world {seed}")
        self.loop = VirtualLoop(Random(f"threads {seed}"), limit_s=limit_s)
        self.hosts: dict[str, SimHost] = {}
        self.processes: list[SimProcess] = []
        self.keep_trace = keep_trace
        self.trace_lines: list[str] = []
        self.trace_hash = 0
        self.on_error: Callable[[SimProcess, BaseException], None] = lambda process, error: None
        """Told of a process whose main coroutine ended by an error."""
        self._pids = itertools.count(100)

    @property
    def now(self) -> float:
        return self.loop.now

    def host(self, name: str) -> SimHost:
        """Return the host of that name, made on first use."""
        if name not in self.hosts:
            self.hosts[name] = SimHost(self, name)
        return self.hosts[name]

    def chance(self, probability: float) -> bool:
        """Draw once; a zero probability draws nothing."""
        return probability > 0 and self.rng.random() < probability

    def latency(self, typical: float, *, tail: float = 0.02) -> float:
        """Return a latency: around the typical one, sometimes fifty times that."""
        value = self.rng.expovariate(1 / typical) * 0.5 + typical * 0.5
        return value * 50 if self.rng.random() < tail else value

    def trace(self, kind: str, *facts: object) -> None:
        """Note an event: hashed always (two runs of a seed must agree), kept when asked to."""
        line = f"{self.loop.now:10.4f}  {kind:<10} " + " ".join(str(f) for f in facts)
        self.trace_hash = zlib.crc32(line.encode(), self.trace_hash)
        if self.keep_trace:
            self.trace_lines.append(line)

    def pid(self) -> int:
        return next(self._pids)


class SimHost:
    """A machine: boots, a clock of its own, a journal disk, and processes."""

    def __init__(self, world: World, name: str) -> None:
        self.world = world
        self.name = name
        self.boots = 1
        self.up = True
        self.lost = False
        self.store_reachable = True
        self.api_reachable = True
        self.clock_offset = world.rng.uniform(0, 1e6)
        self.clock_rate = 1 + world.rng.uniform(-1e-4, 1e-4)
        self.wall_offset = world.rng.uniform(-5, 5)
        self.disk: DiskState | None = None

    @property
    def processes(self) -> list[SimProcess]:
        return [p for p in self.world.processes if p.host is self and not p.dead]

    def crash(self, *, lost: bool = False) -> None:
        """Power off: kill every process and lose what was not synced (all, if the host is lost)."""
        self.world.trace("host-crash", self.name, "lost" if lost else "")
        for process in self.processes:
            process.kill("host crash")
        self.up = False
        self.lost = lost
        if self.disk is not None:
            self.disk.crash(self, lost=lost)

    def boot(self) -> None:
        """Come up again with a new boot id and a clock that starts anew."""
        if self.lost or self.up:
            return
        self.boots += 1
        self.up = True
        self.clock_offset = self.world.rng.uniform(0, 1e6) - self.world.now
        self.world.trace("host-boot", self.name)


class SimProcess:
    """One simulated process. Its tasks and every callback of theirs pass its gate."""

    def __init__(self, host: SimHost, name: str) -> None:
        self.world = host.world
        self.host = host
        self.name = name
        self.gate = Gate(name)
        self.identity = ProcessIdentity(
            host=host.name,
            boot_id=f"{host.name}-boot{host.boots}",
            pid_namespace="pid:[1]",
            pid=host.world.pid(),
            started=f"{host.world.now:.6f}",
        )
        self.main: asyncio.Task[Any] | None = None
        self.on_death: list[Callable[[], None]] = []
        self._on_continue: list[Callable[[], None]] = []
        self.suspending = False
        self.lease_until = 0.0
        """When the latest lease ends that a reply has given it, counted from its request."""
        self.lapses: list[float] = []
        """When leases ended before the next one came."""
        self.killed = False
        """It died of a kill or a crash, not by ending."""
        self.world.processes.append(self)

    def leased(self, until: float) -> None:
        """Take note of a lease; the oracle knows from it when the process was fenced."""
        if self.lease_until < self.world.now:
            self.lapses.append(self.lease_until)
        self.lease_until = max(self.lease_until, until)

    def fenced_between(self, since: float, until: float) -> float | None:
        """Return when its lease first ended inside a span of time, None if it never did."""
        ends = [*self.lapses, self.lease_until]
        return next((end for end in ends if since <= end <= until), None)

    @property
    def fleet(self) -> str:
        """Return the part of the name before the first dash."""
        return self.name.partition("-")[0]

    @property
    def dead(self) -> bool:
        return self.gate.dead

    @property
    def stopped(self) -> bool:
        return self.gate.held is not None

    def check(self) -> None:
        """Raise unless the process lives; the first line of every seam operation."""
        if self.gate.dead:
            raise Killed(self.name)

    def start(self, coro: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run the process's main coroutine; the process exits, for good, when it ends."""
        self.main = self.world.loop.create_task(
            coro, name=self.name, context=self.world.loop.context_of(self.gate)
        )
        self.main.add_done_callback(self._exited, context=self.world.loop.world)
        return self.main

    def spawn(self, coro: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run a further coroutine inside the process, such as the serving of a request."""
        return self.world.loop.create_task(coro, context=self.world.loop.context_of(self.gate))

    def _exited(self, task: asyncio.Task[Any]) -> None:
        if not self.dead:
            error = None if task.cancelled() else task.exception()
            if error is not None:
                self.world.on_error(self, error)
            self._die(f"exit {error!r}" if error else "exit")

    def kill(self, reason: str = "kill") -> None:
        """End it as kill -9 does."""
        if not self.dead:
            self.killed = True
            self._die(reason)

    def _die(self, reason: str) -> None:
        self.world.trace("death", self.name, reason)
        self.gate.dead = True
        self.gate.held = None
        for callback in self.on_death:
            callback()

    def stop(self, *, suspending: bool = False) -> None:
        """SIGSTOP, or the suspension of its machine (timers stand still as well)."""
        if not self.dead and not self.stopped:
            self.suspending = suspending
            self.world.trace("stop", self.name)
            self.world.loop.stop_process(self.gate)

    def cont(self) -> None:
        """SIGCONT."""
        if not self.dead and self.stopped:
            self.world.trace("continue", self.name)
            self.world.loop.continue_process(self.gate, suspended=self.suspending)
            waiting, self._on_continue = self._on_continue, []
            for callback in waiting:
                callback()

    def when_running(self, callback: Callable[[], None]) -> None:
        """Call now, or when the process continues; never if it dies before."""
        if self.dead:
            return
        if self.stopped:
            self._on_continue.append(callback)
        else:
            callback()


class SimClock:
    """`runner.core.seams.Clock` of one host: own zero, own rate, own idea of the date."""

    def __init__(self, process: SimProcess) -> None:
        self._process = process

    def monotonic(self) -> float:
        self._process.check()
        host = self._process.host
        return host.clock_offset + self._process.world.now * host.clock_rate

    def wall(self) -> float:
        self._process.check()
        return WALL_START + self._process.world.now + self._process.host.wall_offset

    async def sleep(self, seconds: float) -> None:
        self._process.check()
        await asyncio.sleep(seconds)


class SimProcesses:
    """`runner.core.seams.Processes`: sees the processes of its own host and boot."""

    def __init__(self, process: SimProcess) -> None:
        self._process = process

    def current(self) -> ProcessIdentity:
        self._process.check()
        return self._process.identity

    def is_dead(self, other: ProcessIdentity) -> bool | None:
        self._process.check()
        own = self._process.identity
        if other.host != own.host:
            return None
        if other.boot_id != own.boot_id:
            return True
        return all(p.dead for p in self._process.world.processes if p.identity == other)
