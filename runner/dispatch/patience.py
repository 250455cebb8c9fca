"""Tries again what needs the output while that is out of reach."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from runner.core.errors import StorageError
from runner.core.seams import Clock

T = TypeVar("T")


async def while_away(
    work: Callable[[], Awaitable[T]],
    clock: Clock,
    *,
    patience_s: float,
    every_s: float,
    told: Callable[[StorageError], None],
    away: type[StorageError] = StorageError,
) -> T:
    """Do what needs the output, again and again until that is there.

    Args:
        work: may be done more than once.
        clock: to wait on.
        patience_s: for so long.
        every_s: between two tries.
        told: hears of the first failure.
        away: errors that may pass.

    Raises:
        StorageError: of the last try, when patience is at its end, or one that will not pass.
    """
    began = clock.monotonic()
    first = True
    while True:
        try:
            return await work()
        except away as error:
            if clock.monotonic() - began > patience_s:
                raise
            if first:
                told(error)
            first = False
        await clock.sleep(every_s)
