"""One deadline for each of many calls, with one timer for all of them.

`asyncio.timeout` arms and disarms a timer of its own for every call, which costs more than all the
rest that this program does to an answer before it is journalled. All calls of a model have the
same time, so the one that began first also ends first: a single timer at the oldest call's
deadline is enough.
"""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Any


class Deadlines:
    """Equal deadlines for the calls of one model; belongs to one running loop until `clear`."""

    def __init__(self, seconds: float) -> None:
        """Set how long each call may take."""
        self.seconds = seconds
        self._open: dict[Deadline, None] = {}
        """Calls under way, the oldest first."""
        self._timer: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The running loop, asked for once: each time costs a system call (Python 3.11)."""
        loop = self._loop
        if loop is None:
            loop = self._loop = asyncio.get_running_loop()
        return loop

    def one(self) -> Deadline:
        """Return the deadline of one call: `with deadlines.one(): await ...`.

        On leaving, a call whose time had run out raises TimeoutError, as `asyncio.timeout` does.
        """
        return Deadline(self)

    def clear(self) -> None:
        """Disarm the timer: no call is under way any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._loop = None
        self._open.clear()

    def begin(self, deadline: Deadline, loop: asyncio.AbstractEventLoop) -> None:
        """Take a call whose `until` is set; not before any call taken earlier."""
        self._open[deadline] = None
        if self._timer is None:
            self._timer = loop.call_at(deadline.until, self._expire, loop)

    def end(self, deadline: Deadline) -> None:
        """Forget a call that has ended."""
        self._open.pop(deadline, None)

    def _expire(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        while self._open:
            oldest = next(iter(self._open))
            if oldest.until > loop.time():
                self._timer = loop.call_at(oldest.until, self._expire, loop)
                return
            del self._open[oldest]
            oldest.expire()


class Deadline:
    """The deadline of one call; see `Deadlines.one`."""

    __slots__ = ("_all", "_expired", "_task", "_wanted", "until")

    def __init__(self, owner: Deadlines) -> None:
        """Begin nothing yet."""
        self._all = owner
        self._expired = False
        self._task: asyncio.Task[Any] | None = None
        self._wanted = 0
        self.until = 0.0
        """Loop time of its end."""

    def expire(self) -> None:
        """Break the call off."""
        self._expired = True
        assert self._task is not None  # set before it was taken
        self._task.cancel()

    def __enter__(self) -> None:
        loop = self._all.loop
        task = asyncio.current_task(loop)
        if task is None:
            msg = "a deadline needs a task to break off"
            raise RuntimeError(msg)
        self._task = task
        self._wanted = task.cancelling()
        self.until = loop.time() + self._all.seconds
        self._all.begin(self, loop)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._all.end(self)
        task, self._task = self._task, None
        if self._expired and task is not None:
            # Somebody else may have cancelled the task as well: then that counts.
            ours = task.uncancel() <= self._wanted
            if ours and kind is not None and issubclass(kind, asyncio.CancelledError):
                raise TimeoutError from error
