"""Runs a prepared sweep to its end on a backend: progress, signals, the way out.

First Ctrl-C or SIGTERM: drain within the grace period. Second: stop now; everything that was
answered is in the journal, and the next session recovers it.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import threading
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Protocol

from runner.core.errors import (
    EXIT_ABORTED,
    EXIT_BUDGET,
    EXIT_INCOMPLETE,
    EXIT_INTERRUPTED,
    EXIT_OK,
    EXIT_STATE,
    EXIT_STORAGE,
    ConfigError,
)
from runner.dispatch.backend import Backend
from runner.dispatch.door import Door
from runner.dispatch.terms import Ended
from runner.observe.progress import Progress

REFRESH_S = 0.5


class Screen(Protocol):
    """Where progress goes; see `observe/console.py`."""

    def update(self, progress: Progress) -> None:
        """Show the sweep at this moment."""
        ...

    def say(self, *lines: str) -> None:
        """Show lines that stay."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionEnd:
    """How a driver session ended."""

    ended: Ended
    progress: Progress | None
    """The last one seen."""

    @property
    def exit_code(self) -> int:
        """Return the documented exit code."""
        last = self.progress
        match self.ended.reason:
            case "done":
                return EXIT_INCOMPLETE if last is not None and last.failed else EXIT_OK
            case "stopped":
                alone = last is None or not last.recorded
                return EXIT_ABORTED if alone else EXIT_INCOMPLETE
            case "budget":
                return EXIT_BUDGET
            case "storage":
                return EXIT_STORAGE
            case "fenced":
                return EXIT_STATE
            case _:
                return EXIT_INTERRUPTED


async def run_session(
    backend: Backend,
    screen: Screen,
    *,
    grace_s: float,
    on_signal: Callable[[Callable[[], None]], Callable[[], None]] | None = None,
    door: str | None = None,
) -> SessionEnd:
    """Run a backend until its coordinator has ended.

    Args:
        backend: not started.
        screen: shows progress.
        grace_s: for the first signal.
        on_signal: installs a handler and returns how to remove it; None: SIGINT and SIGTERM.
        door: place of the sweep, where judges of it may come in.

    Raises:
        RunnerError: the sweep cannot be claimed, or no worker can run.
    """
    signals = _Signals(backend, screen, grace_s)
    last: Progress | None = None
    try:
        await backend.start()
        # After start: ray.init() replaces the handler of SIGTERM.
        remove = (on_signal or _install)(signals.hit)
        entrance = await _open_door(door, backend, screen)
        waiting = asyncio.ensure_future(backend.wait())
        now = asyncio.ensure_future(signals.now.wait())
        try:
            while not waiting.done() and not now.done():
                await asyncio.wait(
                    {waiting, now}, timeout=REFRESH_S, return_when=asyncio.FIRST_COMPLETED
                )
                last = await _show(backend, screen) or last
            if not waiting.done():
                return SessionEnd(
                    ended=Ended(
                        reason="interrupted", detail="at once; the journal keeps what was answered"
                    ),
                    progress=last,
                )
            return SessionEnd(ended=waiting.result(), progress=last)
        finally:
            remove()
            if entrance is not None:
                await entrance.close()
            for task in (waiting, now):
                task.cancel()
            await signals.settle()
    finally:
        await backend.close()


async def _open_door(place: str | None, backend: Backend, screen: Screen) -> Door | None:
    if place is None:
        return None
    door = Door(place, backend.guest)
    try:
        await door.open()
    except (OSError, ConfigError) as error:
        screen.say(f"judges cannot join this sweep while it runs: {error}")
        return None
    return door


async def _show(backend: Backend, screen: Screen) -> Progress | None:
    progress = await backend.progress()
    if progress is not None:
        screen.update(progress)
    return progress


class _Signals:
    """Counts signals: the first drains, the second ends the session."""

    def __init__(self, backend: Backend, screen: Screen, grace_s: float) -> None:
        self.now = asyncio.Event()
        self._backend = backend
        self._screen = screen
        self._grace_s = grace_s
        self._draining: asyncio.Task[None] | None = None

    def hit(self) -> None:
        if self._draining is None:
            self._draining = asyncio.ensure_future(self._drain())
        else:
            self.now.set()

    async def _drain(self) -> None:
        progress = await self._backend.progress()
        flying = progress.in_flight if progress is not None else 0
        self._screen.say(
            f"finishing {flying:,} calls in flight (up to {self._grace_s:.0f} s; press again to "
            "stop now, nothing recorded is lost)"
        )
        await self._backend.drain(self._grace_s)

    async def settle(self) -> None:
        if self._draining is not None:
            self._draining.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._draining


@contextlib.contextmanager
def sigterm_as_ctrl_c() -> Generator[None]:
    """Until a session installs its own handlers, let SIGTERM interrupt as Ctrl-C does.

    By default it would end the process at once, with nothing said.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # handlers can be set in the main thread only
        return

    def interrupt(_number: int, _frame: object) -> None:
        signal.raise_signal(signal.SIGINT)

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _install(hit: Callable[[], None]) -> Callable[[], None]:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, hit)

    def remove() -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)

    return remove
