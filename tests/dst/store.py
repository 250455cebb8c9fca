"""The sweep directory of the whole simulated cluster: one durable, strongly consistent store.

Implements `runner.core.seams.Store`. Every effect happens at one instant, but that instant may lie
after the caller got an error (late), or never come (before), or the caller is dead by then: a
request already on the wire is not recalled by a kill. With `copy_moves` a move is a copy and then a
delete, as on an object store, so that a crash between leaves both.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from runner.core.errors import StorageError
from runner.core.seams import KeyExistsError, KeyMissingError
from tests.dst.world import SimProcess, World


@dataclass(slots=True)
class StoreFaults:
    """What goes wrong at present; the schedule turns these."""

    error_before: float = 0.0
    error_after: float = 0.0
    error_late: float = 0.0
    full: bool = False
    slow: float = 1.0


@dataclass(frozen=True, slots=True)
class Mutation:
    """One change of the store, as the oracle sees it."""

    kind: str
    """`create`, `put`, `delete`, or `move-in` (a target appears, from a source)."""
    key: str
    data: bytes
    process: SimProcess
    source: str | None = None


class StoreState:
    """What is durable. `on_mutation` is called after every single change."""

    def __init__(self, world: World, *, copy_moves: bool = False) -> None:
        self.world = world
        self.objects: dict[str, bytes] = {}
        self.faults = StoreFaults()
        self.copy_moves = copy_moves
        self.on_mutation: list[Callable[[Mutation], None]] = []
        self.mutations = 0

    def mutated(self, mutation: Mutation) -> None:
        self.mutations += 1
        self.world.trace(mutation.kind, mutation.process.name, mutation.key, mutation.source or "")
        for hook in self.on_mutation:
            hook(mutation)


class SimStore:
    """Handle of one process."""

    def __init__(self, state: StoreState, process: SimProcess) -> None:
        self._state = state
        self._process = process

    async def create(self, key: str, data: bytes) -> None:
        def effect() -> None:
            if key in self._state.objects:
                raise KeyExistsError(key)
            self._write("create", key, data)

        await self._carry_out(f"create {key}", effect, writes=True)

    async def put(self, key: str, data: bytes) -> None:
        await self._carry_out(f"put {key}", lambda: self._write("put", key, data), writes=True)

    async def get(self, key: str) -> bytes:
        def effect() -> bytes:
            if key not in self._state.objects:
                raise KeyMissingError(key)
            return self._state.objects[key]

        return await self._carry_out(f"get {key}", effect)  # type: ignore[return-value]

    async def list(self, prefix: str) -> list[str]:
        def effect() -> list[str]:
            return sorted(k for k in self._state.objects if k.startswith(prefix))

        return await self._carry_out(f"list {prefix}", effect)  # type: ignore[return-value]

    async def move(self, source: str, target: str) -> bool:
        if self._state.copy_moves:
            copied = await self._carry_out(
                f"copy {source} {target}", lambda: self._copy(source, target), writes=True
            )
            if copied:
                await self._carry_out(f"delete {source}", lambda: self._remove(source))
            return bool(copied)

        def effect() -> bool:
            found = self._copy(source, target)
            if found:
                self._remove(source)
            return found

        return bool(await self._carry_out(f"move {source} {target}", effect))

    async def delete(self, key: str) -> None:
        await self._carry_out(f"delete {key}", lambda: self._remove(key))

    def _write(self, kind: str, key: str, data: bytes) -> None:
        data = bytes(data)
        self._state.objects[key] = data
        self._state.mutated(Mutation(kind, key, data, self._process))

    def _copy(self, source: str, target: str) -> bool:
        data = self._state.objects.get(source)
        if data is None:
            return False
        self._state.objects[target] = data
        self._state.mutated(Mutation("move-in", target, data, self._process, source))
        return True

    def _remove(self, key: str) -> None:
        data = self._state.objects.pop(key, None)
        if data is not None:
            self._state.mutated(Mutation("delete", key, data, self._process))

    async def _carry_out(
        self, what: str, effect: Callable[[], object], *, writes: bool = False
    ) -> object:
        process, state, world = self._process, self._state, self._state.world
        process.check()
        faults, loop = state.faults, world.loop
        done: asyncio.Future[object] = loop.create_future()
        before = world.latency(0.004) * faults.slow
        after = world.latency(0.002) * faults.slow
        on_the_wire = world.rng.random() < 0.5

        def answer(value: object, error: Exception | None) -> None:
            if done.done():
                return
            if error is not None:
                done.set_exception(error)
            else:
                done.set_result(value)

        def act() -> None:
            failure: Exception | None = None
            if not process.host.store_reachable:
                failure = StorageError(f"{what}: simulated: no route to the store")
                loop.in_world(after + 2.0, answer, None, failure)
                return
            if faults.full and writes:
                failure = StorageError(f"{what}: simulated: no space")
            elif world.chance(faults.error_before):
                failure = StorageError(f"{what}: simulated: failed before the effect")
            if failure is not None:
                world.trace("store-fail", process.name, failure)
                loop.in_world(after, answer, None, failure)
                return
            if world.chance(faults.error_late):
                failure = StorageError(f"{what}: simulated: timed out, the effect comes later")
                world.trace("store-fail", process.name, failure)
                loop.in_world(after, answer, None, failure)
                loop.in_world(after + world.rng.uniform(0.1, 20), swallow, effect)
                return
            try:
                value = effect()
            except (KeyExistsError, KeyMissingError) as error:
                loop.in_world(after, answer, None, error)
                return
            if world.chance(faults.error_after):
                failure = StorageError(f"{what}: simulated: failed after the effect")
                world.trace("store-fail", process.name, failure)
            loop.in_world(after, answer, value, failure)

        def arrive() -> None:
            if on_the_wire:
                act()  # also for a dead or a stopped sender
            else:
                process.when_running(act)

        loop.in_world(before, arrive)
        return await done


def swallow(effect: Callable[[], object]) -> None:
    """Apply a late effect whose caller has gone on."""
    try:
        effect()
    except (KeyExistsError, KeyMissingError):
        return
