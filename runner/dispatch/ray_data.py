"""Work on many keys spread over a cluster with Ray Data: an actor per worker, a key at a time.

Nothing but keys and counts goes through the object store; what is worked on is read and written by the
actors themselves. Ray Data repeats a key whose actor was lost, so the work must be repeatable.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from typing import Any, cast

import ray.data
from ray.exceptions import RayError

from runner.core.errors import BackendError, RunnerError
from runner.dispatch.ray_cluster import RayCluster

Work = Callable[[str], int]
"""Does one key and returns how many rows that were; repeating it changes nothing."""


class _Actor:
    """One process of the cluster: makes its work once, then does keys."""

    def __init__(self, make: Callable[[], Work]) -> None:
        self._work = make()

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        return {"key": row["key"], "rows": self._work(row["key"])}


async def over_cluster(
    make: Callable[[], Work], keys: Sequence[str], *, workers: int, address: str | None
) -> AsyncGenerator[tuple[str, int]]:
    """Yield (key, rows) as keys are done, in no order.

    Args:
        make: picklable; called once in each actor.
        keys: what to work on.
        workers: actors at most, a CPU each.
        address: of a cluster; None: a Ray of this machine is started, and ended.

    Raises:
        BackendError: no cluster there, or the work failed in it.
    """
    if not keys:
        return
    cluster = await asyncio.to_thread(RayCluster.connect, address, workers)
    try:
        rows = await asyncio.to_thread(_started, make, keys, workers)
        while (row := await asyncio.to_thread(_next, rows)) is not None:
            yield row["key"], int(row["rows"])
    finally:
        await asyncio.to_thread(cluster.close)


def _started(
    make: Callable[[], Work], keys: Sequence[str], workers: int
) -> Iterator[dict[str, Any]]:
    data = cast("Any", ray.data)  # its stubs know functions of rows, not classes
    data.DataContext.get_current().enable_progress_bars = False
    items = data.from_items([{"key": k} for k in keys], override_num_blocks=len(keys))
    pool = data.ActorPoolStrategy(min_size=1, max_size=min(workers, len(keys)))
    done = items.map(_Actor, fn_constructor_args=(make,), compute=pool, num_cpus=1)
    return iter(done.iter_rows())


def _next(rows: Iterator[dict[str, Any]]) -> dict[str, Any] | None:
    try:
        return next(rows, None)
    except RayError as error:
        cause: BaseException | None = error
        while cause is not None and not isinstance(cause, RunnerError):
            cause = getattr(cause, "cause", None) or cause.__cause__
        said = cause if cause is not None else str(error).strip().splitlines()[-1]
        msg = f"on the cluster: {said}"
        raise BackendError(msg) from error
