"""The in-process backend: coordinator and one worker in the caller's event loop.

The default: starts in about a second, needs no Ray, and runs the same engine.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from runner.dispatch.coordinator import Coordinator
from runner.dispatch.guests import GuestBeat
from runner.dispatch.spec import SweepSpec, WorkerParts, make_coordinator, make_worker
from runner.dispatch.terms import Ended
from runner.execute.messages import Heartbeat, HeartbeatReply
from runner.execute.terms import Peer
from runner.observe.progress import Progress


class DirectPeer:
    """The coordinator, one call away."""

    def __init__(self, coordinator: Coordinator) -> None:
        """Take the coordinator."""
        self._coordinator = coordinator

    async def heartbeat(self, beat: Heartbeat) -> HeartbeatReply:
        """Deliver a heartbeat; see `Peer`."""
        return await self._coordinator.heartbeat(beat)


class InProcessBackend:
    """One worker beside its coordinator."""

    def __init__(
        self,
        spec: SweepSpec,
        report: Callable[[str], None],
        *,
        through: Callable[[Peer], Peer] = lambda peer: peer,
    ) -> None:
        """Make the backend; nothing is claimed yet.

        Args:
            spec: the sweep.
            report: told of what people should see, one line each.
            through: puts somebody between worker and coordinator (see `door.py`).

        Raises:
            ConfigError: a model cannot be called from here.
        """
        self._coordinator = make_coordinator(spec, report)
        peer = through(DirectPeer(self._coordinator))
        self._parts: WorkerParts = make_worker(spec, "w0", peer)
        self._tasks: list[asyncio.Task[None]] = []
        self._run: asyncio.Task[Ended] | None = None

    async def start(self) -> None:
        """Claim the sweep and start working; see `Backend`."""
        await self._coordinator.start()
        loop = asyncio.get_running_loop()
        self._run = loop.create_task(self._coordinator.run())
        self._tasks = [loop.create_task(self._parts.run())]

    async def progress(self) -> Progress | None:
        """Return the sweep at this moment; see `Backend`."""
        return self._coordinator.progress()

    async def guest(self, said: GuestBeat) -> HeartbeatReply:
        """Answer a judge of this sweep; see `Backend`."""
        return await self._coordinator.guest(said)

    async def drain(self, grace_s: float) -> None:
        """Stop in order; see `Backend`."""
        self._coordinator.drain(grace_s)
        self._parts.worker.wake()

    async def wait(self) -> Ended:
        """Wait for the end; see `Backend`."""
        if self._run is None:
            msg = "wait before start"
            raise RuntimeError(msg)
        worker = self._tasks[0]
        await asyncio.wait({self._run, worker}, return_when=asyncio.FIRST_COMPLETED)
        if not self._run.done() and worker.exception() is not None:
            self._run.cancel()
            worker.result()
        return await self._run

    async def close(self) -> None:
        """End what is left; see `Backend`."""
        tasks: list[asyncio.Task[None] | asyncio.Task[Ended]] = [*self._tasks]
        if self._run is not None:
            tasks.append(self._run)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
