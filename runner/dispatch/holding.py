"""Counts for other hosts that a coordinator is there, and leaves its progress for `runner status`."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from runner.core.errors import StorageError
from runner.core.seams import Store
from runner.dispatch.terms import CoordinatorWorld
from runner.observe.progress import Progress, to_json
from runner.record.entries import Claim
from runner.record.holder import BEAT_S, HolderBeat
from runner.record.status import status_key


async def hold(
    world: CoordinatorWorld, claim: Claim, number: int, progress: Callable[[], Progress]
) -> None:
    """Count and tell every `BEAT_S` seconds, until it is cancelled.

    Args:
        world: what the store refuses is tried again at the next count.
        claim: of the coordinator.
        number: of that claim.
        progress: returns the sweep at this moment.
    """
    beat = HolderBeat(world.store, claim=number, fleet=claim.fleet, process=claim.process)
    while True:
        with contextlib.suppress(StorageError):
            await beat.beat()
        await tell(world.store, number, progress())
        await world.clock.sleep(BEAT_S)


async def tell(store: Store, number: int, progress: Progress) -> None:
    """Leave the progress of a claim for `runner status`, if the store takes it."""
    with contextlib.suppress(StorageError):
        await store.put(status_key(number), to_json(progress))
