"""The worker actors of one sweep: started, watched, started again. No lease, no job passes here."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum
from typing import cast

from runner.core.errors import BackendError, ConfigError, RunnerError, StorageError
from runner.dispatch.ray_actors import WorkerView
from runner.dispatch.ray_calls import ActorGoneError, CallFailedError, answer_of
from runner.dispatch.ray_cluster import Actor, RayCluster
from runner.execute.terms import PeerUnreachableError

LOOK_DEADLINE_S = 10.0
CLOSE_S = 5.0
LOOKS_PER_S = 50
"""At most so many looks a second at all workers together."""
AGAIN_MOST_S = 30.0
NODES_EVERY_S = 2.0
FEWEST_DEATHS = 12
"""A sweep ends when its workers die so often, or five times each, and no job ends meanwhile."""


class _State(Enum):
    WAITS = 0
    """For a place in the cluster, or loading."""
    RUNS = 1
    LEFT = 2
    """It ended in order, at the end of the sweep."""


@dataclass(slots=True)
class _Seat:
    """One worker; its process may change."""

    name: str
    actor: Actor
    state: _State = _State.WAITS
    view: WorkerView | None = None
    seen: int = 0
    """Lines fetched of this process."""
    error: Exception | None = None
    drained: bool = False
    """It was told that its node is taken away."""


class Fleet:
    """Keeps N workers running."""

    def __init__(
        self,
        cluster: RayCluster,
        coordinator: Actor,
        spec: object,
        *,
        workers: int,
        report: Callable[[str], None],
    ) -> None:
        """Make the fleet; `open` starts it.

        Args:
            cluster: where.
            coordinator: whom the workers report to.
            spec: shared `SweepSpec`.
            workers: how many.
            report: told of deaths and of what workers say, one line each.
        """
        self.ending = False
        """The sweep ends: workers that leave are not replaced."""
        self._cluster = cluster
        self._coordinator = coordinator
        self._spec = spec
        self._report = report
        self._leads = asyncio.Event()
        self._changed = asyncio.Event()
        self._seats = [_Seat(f"w{i}", cluster.worker()) for i in range(workers)]
        self._tasks: list[asyncio.Task[None]] = []
        self._every_s = max(1.0, workers / LOOKS_PER_S)
        self._deaths = 0
        self._ended_jobs = 0
        self._grace_s = 0.0

    def open(self) -> None:
        """Let the workers load; they run once the coordinator leads."""
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(self._tend(seat)) for seat in self._seats]
        if not self._cluster.local:
            self._tasks.append(loop.create_task(self._watch_nodes()))
        for task in self._tasks:
            task.add_done_callback(lambda _: self._changed.set())

    async def run(self, within_s: float, grace_s: float) -> None:
        """Let the workers run; returns when the first does.

        Raises:
            RunnerError: one of them cannot (a key is missing where it runs, …).
            BackendError: none did in time.
        """
        self._grace_s = grace_s
        self._leads.set()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                while not any(s.state is _State.RUNS for s in self._seats):
                    self._check_keys()
                    self.check()
                    self._changed.clear()
                    await self._changed.wait()
        waiting = sum(s.state is not _State.RUNS for s in self._seats)
        if waiting < len(self._seats):
            return
        msg = (
            f"no worker started within {within_s:.0f} s: {waiting} ask for {self._cluster.asked()}, and "
            f"the cluster has {self._cluster.cpus()} CPU, perhaps all in use. See: ray status. "
            "Nothing was spent"
        )
        raise BackendError(msg)

    def say_who_waits(self) -> None:
        """Tell of workers for which the cluster has no room."""
        cpus = self._cluster.cpus()
        if cpus < len(self._seats) * self._cluster.worker_cpus:
            self._report(
                f"{len(self._seats)} workers ask for {self._cluster.asked()}, and the cluster has {cpus} CPU: "
                "the others start when there is room"
            )

    def check(self) -> None:
        """Look whether going on makes sense.

        Raises:
            RunnerError: what keeps every worker from running.
            BackendError: workers die and nothing gets done.
        """
        for task in self._tasks:
            if task.done() and not task.cancelled() and (bug := task.exception()) is not None:
                raise bug
        errors = [s.error for s in self._seats if s.error is not None]
        if len(errors) == len(self._seats):
            raise next((e for e in errors if isinstance(e, RunnerError)), errors[0])
        if self._deaths >= max(FEWEST_DEATHS, 5 * len(self._seats)):
            why = f": {errors[0]}" if errors else ""
            msg = (
                f"workers died {self._deaths} times and no job ended meanwhile{why}. Out of "
                "memory? See the files worker-*.err below /tmp/ray/session_latest/logs"
            )
            raise BackendError(msg)

    def _check_keys(self) -> None:
        """Refuse to start where a single worker says that the configuration is at fault."""
        for seat in self._seats:
            if isinstance(seat.error, ConfigError):
                raise seat.error

    def progressed(self, ended_jobs: int) -> None:
        """Take note of how many jobs have ended; deaths before are forgiven."""
        if ended_jobs > self._ended_jobs:
            self._ended_jobs = ended_jobs
            self._deaths = 0

    async def close(self) -> None:
        """Stop every worker at once; the journals keep what was answered."""
        for task in self._tasks:
            task.cancel()
        await asyncio.wait({*self._tasks}) if self._tasks else None
        async with asyncio.TaskGroup() as group:
            for seat in self._seats:
                group.create_task(self._stop(seat))

    async def _stop(self, seat: _Seat) -> None:
        if seat.state is _State.RUNS:
            with contextlib.suppress(PeerUnreachableError):
                await answer_of(seat.actor.stop.remote(), CLOSE_S)
        self._cluster.kill(seat.actor)

    # One worker

    async def _tend(self, seat: _Seat) -> None:
        again_s, gone_before = 0.5, False
        while not self.ending:
            try:
                ran = await self._serve(seat)
            except (ActorGoneError, CallFailedError) as error:
                # One that is gone may have been killed while it started: the next one tells.
                if isinstance(error, CallFailedError) or gone_before:
                    seat.error = BackendError(f"{seat.name} cannot run: {error}")
                gone_before = True
                ran = self._died(seat, f"cannot run: {error}")
                self._replace(seat)
            except PeerUnreachableError as error:
                ran = self._died(seat, f"died while it started: {error}")
            if ran:
                again_s, gone_before = 0.5, False
            if self.ending:
                break
            await asyncio.sleep(again_s)
            again_s = min(2 * again_s, AGAIN_MOST_S)
        seat.state = _State.LEFT

    async def _serve(self, seat: _Seat) -> bool:
        """Load a worker and follow it to the end of its process or of its work.

        Returns whether it ran, and ended without an error.
        """
        seat.state, seat.seen, seat.drained = _State.WAITS, 0, False
        call = seat.actor.load.remote(self._spec, seat.name, self._coordinator)
        view = cast("WorkerView", await answer_of(call, None))
        seat.view, seat.error = view, view.error
        self._changed.set()
        if view.error is not None:
            self._deaths += 1
            self._report(f"{seat.name} ({view.place}) cannot run: {view.error}")
            await self._renew(seat)
            return False
        await self._leads.wait()
        await answer_of(seat.actor.run.remote(), LOOK_DEADLINE_S)
        seat.state = _State.RUNS
        self._changed.set()
        await self._follow(seat, view)
        return seat.error is None

    async def _follow(self, seat: _Seat, first: WorkerView) -> None:
        while True:
            await asyncio.sleep(self._every_s)
            try:
                view = await self._look(seat)
            except ActorGoneError:
                await self._mourn(seat, first)
                self._replace(seat)
                return
            except PeerUnreachableError:
                continue  # busy, unreachable or being started again: the next look tells
            if view.incarnation != first.incarnation:
                await self._mourn(seat, first)
                return
            seat.view = view
            if not view.runs:
                await self._left(seat, view)
                return

    async def _look(self, seat: _Seat) -> WorkerView:
        call = cast("Awaitable[WorkerView]", seat.actor.look.remote(seat.seen))
        view = await answer_of(call, LOOK_DEADLINE_S)
        for line in view.lines:
            self._report(line)
        seat.seen = view.count
        return view

    async def _mourn(self, seat: _Seat, last: WorkerView) -> None:
        self._died(seat, f"({last.place}) died; it is started again, and its jobs are run again")
        with contextlib.suppress(PeerUnreachableError):
            told = self._coordinator.worker_died.remote(last.incarnation)
            await answer_of(told, LOOK_DEADLINE_S)

    def _died(self, seat: _Seat, how: str) -> bool:
        seat.state = _State.WAITS
        self._deaths += 1
        self._changed.set()
        if not self.ending:
            self._report(f"{seat.name} {how}")
        return False

    async def _left(self, seat: _Seat, view: WorkerView) -> None:
        """Replace a worker that ended its work, unless the sweep is ending."""
        seat.state, seat.error = _State.WAITS, view.error
        if view.error is not None:
            # A full disk of one node is no reason to end what the others do; see `check`.
            self._deaths += not isinstance(view.error, StorageError)
            self._report(f"{seat.name} ({view.place}) ended: {view.error}")
        await asyncio.sleep(2 * self._every_s)  # the driver may be about to hear of the end
        if not self.ending:
            await self._renew(seat)

    def _replace(self, seat: _Seat) -> None:
        self._cluster.kill(seat.actor)
        seat.actor = self._cluster.worker()

    async def _renew(self, seat: _Seat) -> None:
        await asyncio.sleep(1.0)
        self._cluster.renew(seat.actor)

    # Nodes that are taken away

    async def _watch_nodes(self) -> None:
        told = False
        while True:
            await asyncio.sleep(NODES_EVERY_S)
            try:
                draining = await asyncio.to_thread(self._cluster.draining)
            except Exception as error:  # noqa: BLE001  # Ray calls this no stable interface
                if not told:  # it goes on asking: the cluster's head may only be busy
                    self._report(f"nodes that are taken away go unnoticed for now: {error}")
                told = True
                continue
            told = False
            for seat in self._seats:
                view = seat.view
                known = view is not None and view.node_id in draining
                if known and seat.state is _State.RUNS and not seat.drained:
                    seat.drained = True
                    self._report(f"{seat.name}: its node is taken away; it hands over and moves")
                    with contextlib.suppress(PeerUnreachableError):
                        call = seat.actor.drain.remote(self._grace_s)
                        await answer_of(call, LOOK_DEADLINE_S)
