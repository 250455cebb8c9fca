"""One sweep on Ray, as its driver sees it: starts the coordinator again when it dies, too."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import cast

from runner.core.clock import SystemClock
from runner.core.errors import BackendError
from runner.dispatch.guests import GuestBeat
from runner.dispatch.ray_actors import CoordinatorView
from runner.dispatch.ray_calls import BEAT_DEADLINE_S, ActorGoneError, answer_of
from runner.dispatch.ray_cluster import RayCluster
from runner.dispatch.ray_fleet import Fleet
from runner.dispatch.spec import SweepSpec
from runner.dispatch.terms import Ended, Preamble
from runner.execute.messages import HeartbeatReply
from runner.execute.terms import PeerUnreachableError
from runner.observe.progress import Phase, Progress

LOOK_S = 0.4
DEADLINE_S = 5.0
START_DEADLINE_S = 60.0
SILENCE_S = 30.0
"""When to tell that the coordinator does not answer."""
GONE_S = 60.0
"""When to give it up, if Ray calls it dead."""
_ENDING = frozenset({Phase.DRAINING, Phase.DONE, Phase.STOPPED})


class RaySession:
    """Drives one coordinator actor and its fleet."""

    def __init__(
        self,
        spec: SweepSpec,
        report: Callable[[str], None],
        cluster: RayCluster,
        *,
        workers: int,
        start_s: float,
    ) -> None:
        """Make the session on a connected cluster; nothing is claimed yet."""
        self.progress: Progress | None = None
        """As last seen."""
        self._report = report
        self._cluster = cluster
        self._workers = workers
        self._start_s = start_s
        self._spec = spec
        self._clock = SystemClock()
        self._life = ""
        self._started_life = ""
        self._led = False
        self._seen = 0
        self._drain_until: float | None = None
        self._heard_at = self._clock.monotonic()
        self._told = False
        self._coordinator = cluster.coordinator()
        self._shared = cluster.share(spec)
        # Files of a new plan are for the coordinator alone.
        lean = cluster.share(replace(spec, preamble=Preamble(base=0)))
        self._lean = lean
        self._fleet: Fleet | None = None

    async def start(self) -> None:
        """Claim the sweep, and run workers; returns when one runs.

        Raises:
            RunnerError: the sweep cannot be claimed, a worker cannot run.
            BackendError: none started in time.
        """
        fleet = self._fleet = Fleet(
            self._cluster,
            self._coordinator,
            self._lean,
            workers=self._workers,
            report=self._report,
        )
        fleet.open()
        fleet.say_who_waits()
        while not self._led:
            view = await self._look()
            if view is not None and view.error is not None:
                raise view.error
            if not self._led:
                await asyncio.sleep(LOOK_S / 4)
        await fleet.run(self._start_s, self._spec.book.config.engine.grace_s)

    async def wait(self) -> Ended:
        """Watch until the coordinator has ended.

        Raises:
            RunnerError: the sweep cannot go on.
        """
        while True:
            view = await self._look()
            if view is not None and view.error is not None:
                raise view.error
            if view is not None and view.ended is not None:
                return view.ended
            if self._fleet is not None:
                self._fleet.check()
            await asyncio.sleep(LOOK_S)

    async def guest(self, said: GuestBeat) -> HeartbeatReply:
        """Pass a judge's heartbeat to the coordinator.

        Raises:
            PeerUnreachableError: no answer.
        """
        reply = await answer_of(self._coordinator.guest.remote(said), BEAT_DEADLINE_S)
        if not isinstance(reply, HeartbeatReply):
            msg = "the coordinator does not hold the sweep"
            raise PeerUnreachableError(msg)
        return reply

    async def drain(self, grace_s: float) -> None:
        """Make the coordinator drain; tries until it has heard."""
        self._drain_until = self._clock.monotonic() + grace_s
        if self._fleet is not None:
            self._fleet.ending = True
        while not await self._pass_drain():  # noqa: ASYNC110  # what is awaited is elsewhere
            await asyncio.sleep(LOOK_S)

    async def close(self) -> None:
        """Kill all actors, and leave the cluster."""
        if self._fleet is not None:
            await self._fleet.close()
        self._cluster.kill(self._coordinator)
        await asyncio.to_thread(self._cluster.close)

    async def _look(self) -> CoordinatorView | None:
        """Return how the coordinator stands, None while it does not answer; revive it."""
        call = cast("Awaitable[CoordinatorView]", self._coordinator.look.remote(self._seen))
        try:
            view = await answer_of(call, DEADLINE_S)
        except PeerUnreachableError as error:
            self._on_silence(error)
            return None
        self._heard_at, self._told = self._clock.monotonic(), False
        if view.life != self._life:
            self._life, self._seen = view.life, 0
        else:
            self._seen = view.count
            for line in view.lines:
                self._report(line)
        if not view.begun:
            await self._begin()
        elif view.leads:
            self._led = True
        if view.progress is not None:
            self._take(view.progress)
        return view

    def _take(self, progress: Progress) -> None:
        self.progress = progress
        if self._fleet is not None:
            self._fleet.progressed(progress.recorded + progress.failed)
            self._fleet.ending = self._fleet.ending or progress.phase in _ENDING

    async def _begin(self) -> None:
        """Give the sweep to a coordinator that has none: the first one, or one after a crash."""
        if self._started_life and not self._led:
            msg = (
                "the coordinator's process died while it claimed the sweep. Nothing is lost: run "
                "the same command again"
            )
            raise BackendError(msg)
        if self._led:
            self._report("the coordinator's process died; a new one goes on from the directory")
        self._started_life = self._life
        with contextlib.suppress(PeerUnreachableError):
            start = self._coordinator.start.remote(self._shared, again=self._led)
            await answer_of(start, START_DEADLINE_S)
            if not self._cluster.local:
                await answer_of(self._coordinator.export.remote(), DEADLINE_S)
            await self._pass_drain()

    async def _pass_drain(self) -> bool:
        if self._drain_until is None:
            return True
        left = max(0.0, self._drain_until - self._clock.monotonic())
        try:
            await answer_of(self._coordinator.drain.remote(left), DEADLINE_S)
        except PeerUnreachableError:
            return False
        return True

    def _on_silence(self, error: PeerUnreachableError) -> None:
        silent_s = self._clock.monotonic() - self._heard_at
        if silent_s > GONE_S and isinstance(error, ActorGoneError):
            msg = f"the coordinator is gone: {error}. Nothing is lost: run the same command again"
            raise BackendError(msg)
        if silent_s > SILENCE_S and not self._told:
            self._told = True
            self._report(f"the coordinator has not answered for {silent_s:.0f} s: {error}")
