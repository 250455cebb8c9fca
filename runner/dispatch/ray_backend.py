"""The Ray backend: one coordinator actor, N worker actors, on this machine or on a cluster.

Owns what Ray reads from the environment when it is first imported; everything that imports Ray
comes after, in `ray_session.py`. Both actors kinds belong to the driver and end with it, however
it ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from runner.dispatch.guests import GuestBeat
from runner.dispatch.spec import SweepSpec
from runner.dispatch.terms import Ended
from runner.execute.messages import HeartbeatReply
from runner.execute.terms import PeerUnreachableError
from runner.observe.progress import Progress

if TYPE_CHECKING:
    from runner.dispatch.ray_session import RaySession

START_LOCAL_S = 120.0
START_CLUSTER_S = 600.0
"""A cluster may have to fetch machines first."""


class RayBackend:
    """Runs a sweep on Ray; see `Backend`."""

    def __init__(
        self,
        spec: SweepSpec,
        report: Callable[[str], None],
        *,
        workers: int,
        address: str | None,
        start_s: float | None = None,
        each: Mapping[str, float] | None = None,
    ) -> None:
        """Make the backend; nothing is started yet.

        Args:
            spec: the sweep.
            report: told of what people should see, one line each.
            workers: worker actors.
            address: of a cluster, `auto` or HOST:PORT; None: a local Ray of this process.
            start_s: until the first worker must run; None: two minutes here, ten on a cluster.
            each: what a worker asks for in Ray's accounting, by name; None: one CPU.
        """
        self._each = each
        self._spec = spec
        self._report = report
        self._workers = workers
        self._address = address
        self._start_s = start_s or (START_LOCAL_S if address is None else START_CLUSTER_S)
        self._opening: asyncio.Future[RaySession] | None = None
        self._session: RaySession | None = None

    async def start(self) -> None:
        """Start or join Ray, claim the sweep, start the workers; see `Backend`.

        Raises:
            BackendError: Ray cannot be started or reached, or no worker ran in time.
        """
        settle_environment(local=self._address is None)
        # In a thread: it takes seconds, and Ray leaves signal handlers alone outside the main one.
        self._opening = asyncio.ensure_future(asyncio.to_thread(self._open))
        session = await asyncio.shield(self._opening)
        self._session = session
        await session.start()

    def _open(self) -> RaySession:
        from runner.dispatch.ray_cluster import RayCluster  # noqa: PLC0415  # ray: a second
        from runner.dispatch.ray_session import RaySession  # noqa: PLC0415

        cluster = RayCluster.connect(self._address, self._workers, self._each)
        return RaySession(
            self._spec, self._report, cluster, workers=self._workers, start_s=self._start_s
        )

    async def progress(self) -> Progress | None:
        """Return the sweep as last seen; see `Backend`."""
        return self._session.progress if self._session is not None else None

    async def guest(self, said: GuestBeat) -> HeartbeatReply:
        """Answer a judge of this sweep; see `Backend`."""
        if self._session is None:
            msg = "the sweep has not started"
            raise PeerUnreachableError(msg)
        return await self._session.guest(said)

    async def drain(self, grace_s: float) -> None:
        """Stop in order; see `Backend`."""
        if self._session is not None:
            await self._session.drain(grace_s)

    async def wait(self) -> Ended:
        """Wait for the end; see `Backend`."""
        if self._session is None:
            msg = "wait before start"
            raise RuntimeError(msg)
        return await self._session.wait()

    async def close(self) -> None:
        """Kill the actors, and Ray where this process started it; see `Backend`."""
        if self._opening is not None and self._session is None:
            with contextlib.suppress(Exception):  # start has told of it already
                self._session = await self._opening
        if self._session is not None:
            await self._session.close()


def settle_environment(*, local: bool) -> None:
    """Set what Ray reads when it is imported, where the user has not set it."""
    defaults = {
        "RAY_USAGE_STATS_ENABLED": "0",
        # Raylets print deaths of workers to standard output, past every log setting.
        "RAY_DEDUP_LOGS": "1",
        "RAY_DEDUP_LOGS_SKIP_REGEX": ".",
    }
    if local:
        defaults |= {
            # Workers at nice 15, Ray's default, starve beside anything else on the machine.
            "RAY_worker_niceness": "0",
            "RAY_enable_metrics_collection": "0",
        }
        if "RAY_AUTH_MODE" not in os.environ:
            # Its ports listen on every interface, and by default it writes a token into HOME.
            defaults |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    for name, value in defaults.items():
        os.environ.setdefault(name, value)
