"""The two kinds of actor: a coordinator and workers, each a shell around the engine.

Every method is short: work goes on in a background task of the actor's event loop, because a
long method call blocks every graceful exit of an actor (reference: Ray 2.60, measured). An actor
that Ray has started again is empty; its driver sees that and starts it anew.

Nothing per job passes through here but heartbeats, straight from worker to coordinator.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
from dataclasses import dataclass

import ray

from runner.core.clock import SystemClock
from runner.core.errors import RunnerError
from runner.dispatch.coordinator import Coordinator
from runner.dispatch.guests import GuestBeat
from runner.dispatch.patience import while_away
from runner.dispatch.ray_calls import CoordinatorHandle, RayPeer
from runner.dispatch.ray_metrics import EVERY_S, RayMetrics
from runner.dispatch.spec import (
    SweepSpec,
    WorkerParts,
    make_coordinator,
    make_worker,
    new_name,
    storage_patience_s,
)
from runner.dispatch.terms import Ended
from runner.execute.messages import Heartbeat, HeartbeatReply
from runner.execute.terms import PeerUnreachableError
from runner.observe.logs import log_as_asked
from runner.observe.metrics import samples
from runner.observe.progress import Progress

MOST_LINES = 200
AGAIN_S = 2.0
STOP_S = 4.0
EXIT_GRACE_S = 5.0
"""For calls in flight, in a worker that was told to exit."""
EXIT_S = 20.0
"""How long a worker that was told to exit may take to finish, hand back and seal."""


class Lines:
    """Lines for the driver's screen, until it has fetched them; the oldest give way."""

    def __init__(self) -> None:
        """Start empty."""
        self._lines: list[str] = []
        self._dropped = 0

    def add(self, line: str) -> None:
        """Keep a line."""
        self._lines.append(line)
        if len(self._lines) > MOST_LINES:
            self._dropped += 1
            del self._lines[0]

    def after(self, seen: int) -> tuple[int, tuple[str, ...]]:
        """Return how many there ever were, and those past the first `seen`."""
        return self._dropped + len(self._lines), tuple(self._lines[max(0, seen - self._dropped) :])


class _LogLines(logging.Handler):
    """Errors that the engine logs, as lines."""

    def __init__(self, lines: Lines, name: str) -> None:
        super().__init__(logging.ERROR)
        self._lines = lines
        self._name = name

    def emit(self, record: logging.LogRecord) -> None:
        """Keep message and error, not the traceback: that is in the worker's log file."""
        error = record.exc_info[1] if record.exc_info else None
        why = f": {type(error).__name__}: {error}"[:500] if error else ""
        self._lines.add(f"{self._name}: {record.getMessage()}{why}")


@dataclass(frozen=True, slots=True, kw_only=True)
class CoordinatorView:
    """What the driver learns from one look at the coordinator."""

    life: str
    """Differs for each process that played the coordinator."""
    begun: bool
    """It was given the sweep."""
    leads: bool
    """It holds the claim and has recovered what it found."""
    progress: Progress | None
    ended: Ended | None
    error: Exception | None
    """Why it cannot go on."""
    count: int
    """Of lines so far in this life."""
    lines: tuple[str, ...]


class CoordinatorActor:
    """The coordinator of one sweep."""

    def __init__(self) -> None:
        """Hold nothing; Ray runs this again after a crash."""
        self._life = new_name("life")
        self._lines = Lines()
        logging.getLogger("runner").addHandler(_LogLines(self._lines, "coordinator"))
        self._coordinator: Coordinator | None = None
        self._leads = False
        self._drain_s: float | None = None
        self._task: asyncio.Task[Ended] | None = None
        self._error: Exception | None = None
        self._exporting: asyncio.Task[None] | None = None
        log_as_asked(os.environ)

    async def start(self, spec: SweepSpec, *, again: bool) -> None:
        """Begin to claim and run the sweep; a second call changes nothing.

        Args:
            spec: the sweep.
            again: a coordinator of this session led before and died.
        """
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run(spec, again))

    async def export(self) -> None:
        """Begin to hand numbers to Ray's exporter; a second call changes nothing."""
        if self._exporting is None:
            self._exporting = asyncio.get_running_loop().create_task(self._export())

    async def _export(self) -> None:
        exporter = RayMetrics()
        while True:
            await asyncio.sleep(EVERY_S)
            if self._coordinator is not None and self._leads:
                exporter.export(samples(self._coordinator.progress()))

    async def _run(self, spec: SweepSpec, again: bool) -> Ended:
        coordinator = self._coordinator = await self._lead(spec, again)
        self._leads = True
        if self._drain_s is not None:
            coordinator.drain(self._drain_s)
        return await coordinator.run()

    async def _lead(self, spec: SweepSpec, again: bool) -> Coordinator:
        """Claim the sweep. What the dead one would have waited for, its successor waits for, too."""

        async def claimed() -> Coordinator:
            coordinator = make_coordinator(spec, self._lines.add)
            await coordinator.start()
            return coordinator

        if not again:
            return await claimed()
        return await while_away(
            claimed,
            SystemClock(),
            patience_s=storage_patience_s(spec),
            every_s=AGAIN_S,
            told=lambda e: self._lines.add(f"the output is not reached, and tried again: {e}"),
        )

    async def heartbeat(self, beat: Heartbeat) -> HeartbeatReply | None:
        """Answer a worker; None where `Coordinator.heartbeat` would not answer."""
        if self._coordinator is None or not self._leads or self._error is not None:
            return None
        try:
            return await self._coordinator.heartbeat(beat)
        except PeerUnreachableError:
            return None
        except Exception as error:
            self._error = error  # a bug: the driver ends the sweep with it
            raise

    async def guest(self, said: GuestBeat) -> HeartbeatReply | None:
        """Answer a judge; None where `Coordinator.guest` would not answer."""
        if self._coordinator is None or not self._leads or self._error is not None:
            return None
        try:
            return await self._coordinator.guest(said)
        except PeerUnreachableError:
            return None

    async def look(self, seen: int) -> CoordinatorView:
        """Return how it stands, with the lines past the first `seen`."""
        count, lines = self._lines.after(seen)
        coordinator, task = self._coordinator, self._task
        ended: Ended | None = None
        if task is not None and task.done():
            error = None if task.cancelled() else task.exception()
            if isinstance(error, Exception):
                self._error = self._error or error
            else:
                ended = task.result()
        return CoordinatorView(
            life=self._life,
            begun=task is not None,
            leads=self._leads,
            progress=coordinator.progress() if coordinator is not None and self._leads else None,
            ended=ended,
            error=_sendable(self._error),
            count=count,
            lines=lines,
        )

    async def drain(self, grace_s: float) -> None:
        """Stop leasing, as soon as it leads; see `Coordinator.drain`."""
        self._drain_s = grace_s
        if self._coordinator is not None and self._leads:
            self._coordinator.drain(grace_s)

    async def worker_died(self, incarnation: str) -> None:
        """Take the driver's word that a worker's process ended."""
        if self._coordinator is not None and self._leads:
            self._coordinator.worker_died(incarnation)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerView:
    """What the driver learns from one look at a worker."""

    incarnation: str
    """Empty: this process has not been given the sweep."""
    host: str
    node_id: str
    """Of Ray."""
    pid: int
    runs: bool
    error: Exception | None
    count: int
    lines: tuple[str, ...]

    @property
    def place(self) -> str:
        """Say where it is, for people."""
        return f"pid {self.pid} on {self.host}"


class WorkerActor:
    """One worker process. Its keys come from its own environment."""

    def __init__(self) -> None:
        """Hold nothing; Ray runs this again after a crash, which makes a new incarnation."""
        self._node_id = str(ray.get_runtime_context().get_node_id())
        self._lines = Lines()
        self._parts: WorkerParts | None = None
        self._task: asyncio.Task[None] | None = None
        self._error: Exception | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        log_as_asked(os.environ)

    async def load(self, spec: SweepSpec, name: str, coordinator: CoordinatorHandle) -> WorkerView:
        """Get ready to run: imports, keys, connections. A second call changes nothing."""
        if self._parts is None:
            logging.getLogger("runner").addHandler(_LogLines(self._lines, name))
            self._loop = asyncio.get_running_loop()
            try:
                self._parts = make_worker(spec, name, RayPeer(coordinator))
            except RunnerError as error:
                self._error = error
        return self._view(0)

    async def run(self) -> None:
        """Begin to work; a second call changes nothing."""
        if self._parts is not None and self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._parts.run())

    async def look(self, seen: int) -> WorkerView:
        """Return how it stands, with the lines past the first `seen`."""
        task = self._task
        if task is not None and task.done() and not task.cancelled():
            error = task.exception()
            self._error = error if isinstance(error, Exception) else None
        return self._view(seen)

    async def drain(self, grace_s: float) -> None:
        """Finish or hand back within the grace period, seal, end."""
        if self._parts is not None:
            self._parts.worker.drain(grace_s)

    async def stop(self) -> None:
        """Cancel everything and close connections; the journal keeps what was answered."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task}, timeout=STOP_S)

    def _view(self, seen: int) -> WorkerView:
        count, lines = self._lines.after(seen)
        return WorkerView(
            incarnation=self._parts.worker.identity.incarnation if self._parts else "",
            host=socket.gethostname(),
            node_id=self._node_id,
            pid=os.getpid(),
            runs=self._task is not None and not self._task.done(),
            error=_sendable(self._error),
            count=count,
            lines=lines,
        )

    def __ray_shutdown__(self) -> None:
        """End in order on SIGTERM or a graceful kill; the journal has it all, parts are tidier.

        Ray calls this in the main thread, with the actor's event loop stopped but not closed.
        """
        loop, task = self._loop, self._task
        if loop is None or task is None or task.done() or loop.is_running() or loop.is_closed():
            return
        with contextlib.suppress(RuntimeError):
            loop.run_until_complete(self._end(task))

    async def _end(self, task: asyncio.Task[None]) -> None:
        await self.drain(EXIT_GRACE_S)
        await asyncio.wait({task}, timeout=EXIT_S)


def _sendable(error: Exception | None) -> Exception | None:
    """Return an error that unpickles everywhere; foreign ones become their text."""
    if error is None or isinstance(error, RunnerError):
        return error
    return RuntimeError(f"{type(error).__name__}: {error}")
