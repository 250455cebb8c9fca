"""Run one coroutine per item, few at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sized
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


async def for_each(
    items: Iterable[T], action: Callable[[T], Awaitable[R]], *, limit: int
) -> list[R]:
    """Return the results in the order of the items.

    The first error stops what has not begun, waits for what has, and is raised as it is.

    Args:
        items: taken one by one, when there is room.
        action: run for each.
        limit: how many run side by side.
    """
    results: dict[int, R] = {}
    errors: list[Exception] = []
    numbered = enumerate(items)

    async def work() -> None:
        for number, item in numbered:
            try:
                results[number] = await action(item)
            except Exception as error:  # noqa: BLE001 - raised below, out of the task group
                errors.append(error)
            if errors:
                return

    workers = min(limit, len(items)) if isinstance(items, Sized) else limit
    async with asyncio.TaskGroup() as group:
        for _ in range(workers):
            group.create_task(work())
    if errors:
        raise errors[0]
    return [results[number] for number in sorted(results)]
