"""Calls between processes: latency, lost requests and replies, doubled and late ones, partitions.

The transport is at-most-once from the caller's view and anything-goes from the callee's: a request
may arrive although the caller has given up, or twice. Messages travel pickled, as they would, or
as they are, which is faster: they are frozen.
"""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from tests.dst.world import SimProcess, World

Handler = Callable[[Any], Awaitable[Any]]


class PeerLostError(ConnectionError):
    """The callee's process is gone and its host said so."""


@dataclass(slots=True)
class NetworkFaults:
    """What goes wrong at present; the schedule turns these."""

    lose_request: float = 0.0
    lose_reply: float = 0.0
    double: float = 0.0
    late: float = 0.0
    cut: set[tuple[str, str]] = field(default_factory=set)
    """(from host, to host): messages of this direction vanish."""


class SimNetwork:
    """Carries calls. A name is served by at most one live process; the latest wins."""

    def __init__(self, world: World, *, pickled: bool = True) -> None:
        self.world = world
        self._pack = pickle.dumps if pickled else _as_it_is
        self._unpack = pickle.loads if pickled else _as_it_is
        self.faults = NetworkFaults()
        self._served: dict[str, tuple[SimProcess, Handler]] = {}

    def serve(self, name: str, process: SimProcess, handler: Handler) -> None:
        """Register the process that answers calls to a name."""
        self._served[name] = (process, handler)

    async def call(self, caller: SimProcess, name: str, message: object) -> Any:
        """Send a request and wait for the reply; waits for ever if either is lost.

        Raises:
            PeerLostError: nothing serves the name, or its process has died.
            Exception: what the handler raised.
        """
        caller.check()
        world, faults = self.world, self.faults
        reply: asyncio.Future[Any] = world.loop.create_future()
        packed = self._pack(message)
        served = self._served.get(name)
        if served is None or served[0].dead:
            if served is None or served[0].host.up:
                world.loop.in_world(world.latency(0.002), _fail, reply, PeerLostError(name))
            return await reply
        if not world.chance(faults.lose_request):
            delay = world.latency(0.002)
            if world.chance(faults.late):
                delay += world.rng.uniform(1, 40)
            world.loop.in_world(delay, self._arrive, caller, served, packed, reply)
            if world.chance(faults.double):
                again = delay + world.rng.uniform(0, 25) * world.rng.random()
                world.loop.in_world(again, self._arrive, caller, served, packed, reply)
        return await reply

    def _arrive(
        self,
        caller: SimProcess,
        served: tuple[SimProcess, Handler],
        packed: Any,
        reply: asyncio.Future[Any],
    ) -> None:
        callee, handler = served
        if (caller.host.name, callee.host.name) in self.faults.cut or callee.dead:
            if callee.dead and callee.host.up and not reply.done():
                reply.set_exception(PeerLostError(callee.name))
            return

        async def serve() -> None:
            try:
                answer: tuple[Any, Exception | None] = (await handler(self._unpack(packed)), None)
            except Exception as error:  # noqa: BLE001  # travels to the caller, as in Ray
                answer = (None, error)
            self._reply(caller, callee, self._pack(answer), reply)

        def broken() -> None:  # the callee's kernel closes the connection; a dead host says nothing
            if callee.host.up:
                self.world.loop.in_world(0.005, _fail, reply, PeerLostError(callee.name))

        callee.on_death.append(broken)
        callee.spawn(serve())

    def _reply(
        self, caller: SimProcess, callee: SimProcess, packed: Any, reply: asyncio.Future[Any]
    ) -> None:
        world, faults = self.world, self.faults
        if world.chance(faults.lose_reply):
            return
        delay = world.latency(0.002)
        if world.chance(faults.late):
            delay += world.rng.uniform(1, 40)

        def arrive() -> None:
            if (callee.host.name, caller.host.name) in faults.cut or reply.done():
                return
            value, error = self._unpack(packed)
            if error is not None:
                reply.set_exception(error)
            else:
                reply.set_result(value)

        world.loop.in_world(delay, arrive)


def _as_it_is(message: Any) -> Any:
    return message


def _fail(reply: asyncio.Future[Any], error: Exception) -> None:
    if not reply.done():
        reply.set_exception(error)
