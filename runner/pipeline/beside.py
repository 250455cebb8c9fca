"""Does something again and again beside a block, and never breaks off in the middle of it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable


@contextlib.asynccontextmanager
async def beside(every_s: float, do: Callable[[], Awaitable[object]]) -> AsyncGenerator[None]:
    """Await `do()` every so often while the block runs; the last one ends before the block does.

    Args:
        every_s: seconds between two.
        do: what it raises ends the repetition, and is raised when the block is over.
    """
    over = asyncio.Event()

    async def repeat() -> None:
        while not over.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(every_s):
                    await over.wait()
                    return
            await do()

    task = asyncio.ensure_future(repeat())
    try:
        yield
    finally:
        over.set()
        await task
