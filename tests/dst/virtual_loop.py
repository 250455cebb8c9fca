"""An asyncio event loop in virtual time: no I/O, no threads, one order of events per seed.

When nothing is ready the clock jumps to the next timer. Every callback carries, in its context,
the `Gate` of the simulated process that it belongs to: the callbacks of a dead process never run
(kill -9: no `finally` block either), those of a stopped one wait until it continues. Tasks and
futures hash by creation order, not by address, so that sets of them iterate alike in every run.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context, ContextVar, copy_context
from random import Random
from typing import Any, TypeVar

T = TypeVar("T")


class DeadlockError(RuntimeError):
    """Nothing is ready, no timer is set, and the main coroutine has not ended."""


class VirtualTimeLimitError(RuntimeError):
    """The virtual clock, or the number of callbacks, passed its limit."""


class Gate:
    """Whether the callbacks of one simulated process run, wait or are dropped."""

    __slots__ = ("dead", "held", "name", "stopped_at")

    def __init__(self, name: str) -> None:
        self.name = name
        self.dead = False
        self.held: list[asyncio.Handle] | None = None
        """Callbacks that came due while the process was stopped; None while it runs."""
        self.stopped_at = 0.0


GATE: ContextVar[Gate | None] = ContextVar("GATE", default=None)
"""The process that the running code belongs to; None for the world itself."""


class _OrderedHash:
    _order: int

    def __hash__(self) -> int:
        return self._order


class VirtualTask(_OrderedHash, asyncio.Task):  # type: ignore[type-arg]
    """A task that hashes by creation order."""

    def __init__(self, order: int, coro: Coroutine[Any, Any, Any], **options: Any) -> None:
        self._order = order
        super().__init__(coro, **options)


class VirtualFuture(_OrderedHash, asyncio.Future):  # type: ignore[type-arg]
    """A future that hashes by creation order, which `VirtualLoop.create_future` tells it."""


class VirtualHandle(asyncio.Handle):
    """A callback, made without asking the loop whether it is being debugged."""

    __slots__ = ()

    def __init__(
        self,
        callback: Callable[..., object],
        args: tuple[Any, ...],
        loop: asyncio.AbstractEventLoop,
        context: Context | None,
    ) -> None:
        self._context = copy_context() if context is None else context
        self._loop = loop
        self._callback = callback
        self._args = args
        self._cancelled = False
        self._repr = None
        self._source_traceback = None


class VirtualTimer(asyncio.TimerHandle):
    """A callback that comes due at a moment, made as cheaply."""

    __slots__ = ()

    def __init__(
        self,
        when: float,
        callback: Callable[..., object],
        args: tuple[Any, ...],
        loop: asyncio.AbstractEventLoop,
        context: Context | None,
    ) -> None:
        self._context = copy_context() if context is None else context
        self._loop = loop
        self._callback = callback
        self._args = args
        self._cancelled = False
        self._repr = None
        self._source_traceback = None
        self._when = when


class VirtualLoop(asyncio.BaseEventLoop):
    """Runs everything in one thread; `time()` is virtual seconds since the start."""

    def __init__(
        self, rng: Random, *, limit_s: float = 3600.0, limit_callbacks: int = 2_000_000
    ) -> None:
        super().__init__()
        self.now = 0.0
        self.callbacks = 0
        self.world = copy_context()
        self.world.run(GATE.set, None)
        self._rng = rng
        self._limit_s = limit_s
        self._limit_callbacks = limit_callbacks
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._order = itertools.count(1)
        self.tasks: list[asyncio.Task[Any]] = []
        """Every task ever made, so that none is collected, and so closed, before the end."""

    # What asyncio asks of a loop.

    def time(self) -> float:
        return self.now

    def call_soon(
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        handle = VirtualHandle(callback, args, self, context)
        self._ready.append(handle)
        return handle

    call_soon_threadsafe = call_soon

    def call_later(
        self,
        delay: float,
        callback: Callable[..., object],
        *args: Any,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        when = self.now + delay
        timer = VirtualTimer(when, callback, args, self, context)
        heapq.heappush(self._timers, (when, next(self._order), timer))
        return timer

    def call_at(
        self,
        when: float,
        callback: Callable[..., object],
        *args: Any,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        timer = VirtualTimer(when, callback, args, self, context)
        heapq.heappush(self._timers, (when, next(self._order), timer))
        return timer

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        pass  # a cancelled timer is dropped when its time comes

    def create_future(self) -> asyncio.Future[Any]:
        future = VirtualFuture(loop=self)
        future._order = next(self._order)
        return future

    def create_task(
        self,
        coro: Generator[Any, None, T] | Coroutine[Any, Any, T],
        *,
        name: str | None = None,
        context: Context | None = None,
    ) -> asyncio.Task[T]:
        order = next(self._order)
        task = VirtualTask(order, coro, loop=self, name=name or f"task-{order}", context=context)
        self.tasks.append(task)
        return task

    def run_in_executor(
        self, executor: object, func: Callable[..., T], *args: Any
    ) -> asyncio.Future[T]:
        """Run the function in this thread, at its start or its end: both happen with threads."""
        done: asyncio.Future[T] = self.create_future()
        late = self._rng.random() < 0.5
        outcome = None if late else _outcome(func, args)
        delay = self._rng.uniform(0.0002, 0.02)
        # In the caller's context: a stopped process gets the result later, a dead one never.
        self.call_later(delay, _deliver, done, outcome, func, args)
        return done

    async def shutdown_default_executor(self) -> None:
        pass

    def _run_once(self) -> None:
        ready, timers = self._ready, self._timers
        if not ready:
            while timers and timers[0][2].cancelled():
                heapq.heappop(timers)
            if not timers:
                msg = f"deadlock at virtual second {self.now:.3f}: nothing ready and no timer"
                raise DeadlockError(msg)
            self.now = max(self.now, timers[0][0])
            if self.now > self._limit_s or self.callbacks > self._limit_callbacks:
                msg = (
                    f"passed the limit at virtual second {self.now:.1f}, {self.callbacks} callbacks"
                )
                raise VirtualTimeLimitError(msg)
        while timers and timers[0][0] <= self.now:
            timer = heapq.heappop(timers)[2]
            if not timer.cancelled():
                ready.append(timer)
        self.callbacks += len(ready)
        for _ in range(len(ready)):
            handle = ready.popleft()
            if handle._cancelled:
                continue
            context = handle._context
            gate = context.get(GATE)
            if gate is not None:
                if gate.dead:
                    continue
                if gate.held is not None:
                    gate.held.append(handle)
                    continue
            try:  # what `Handle._run` does, one frame less deep
                context.run(handle._callback, *handle._args)
            except (SystemExit, KeyboardInterrupt):
                raise
            except BaseException as error:  # noqa: BLE001  # as asyncio: one callback, not the loop
                self.call_exception_handler(
                    {
                        "message": f"Exception in callback {handle!r}",
                        "exception": error,
                        "handle": handle,
                    }
                )

    def _process_events(self, event_list: object) -> None:
        pass

    # What the world does to processes.

    def in_world(self, delay: float, callback: Callable[..., object], *args: Any) -> None:
        """Call back later outside every process: kernels, networks and servers never stop."""
        when = self.now + delay
        timer = VirtualTimer(when, callback, args, self, self.world)
        heapq.heappush(self._timers, (when, next(self._order), timer))

    def context_of(self, gate: Gate) -> Context:
        """Return a fresh context whose callbacks belong to a process."""
        context = self.world.copy()
        context.run(GATE.set, gate)
        return context

    def stop_process(self, gate: Gate) -> None:
        """Hold every callback of a process from now on (SIGSTOP, or a suspended host)."""
        if gate.held is None:
            gate.held, gate.stopped_at = [], self.now

    def continue_process(self, gate: Gate, *, suspended: bool = False) -> None:
        """Let a stopped process go on.

        Args:
            gate: of the process.
            suspended: its timers did not run meanwhile (a suspended machine: the loop's clock
                stood still, only a clock that counts suspended time went on).
        """
        held, gate.held = gate.held or [], None
        if suspended:
            self._shift_timers(gate, held)
            held = [h for h in held if not isinstance(h, asyncio.TimerHandle)]
        self._ready.extend(held)

    def _shift_timers(self, gate: Gate, held: list[asyncio.Handle]) -> None:
        slept = self.now - gate.stopped_at
        moved = [h for h in held if isinstance(h, asyncio.TimerHandle)]
        keep: list[tuple[float, int, asyncio.TimerHandle]] = []
        for entry in sorted(self._timers):
            if entry[2]._context.get(GATE) is gate:
                moved.append(entry[2])
            else:
                keep.append(entry)
        keep.extend((t._when + slept, next(self._order), t) for t in moved)
        heapq.heapify(keep)
        self._timers[:] = keep

    def dispose(self) -> None:
        """Close the loop and what never ended, quietly: processes that died end nowhere."""
        self._ready.clear()
        self._timers.clear()
        self.set_exception_handler(lambda loop, context: None)
        for task in self.tasks:
            if not task.done():
                task._log_destroy_pending = False  # type: ignore[attr-defined]
                try:
                    task.get_coro().close()  # type: ignore[union-attr]
                except BaseException:  # noqa: BLE001  # finally blocks of the dead meet dead handles
                    continue
        self.tasks.clear()
        self._ready.clear()
        self._timers.clear()
        self.close()


def _outcome(
    func: Callable[..., T], args: tuple[Any, ...]
) -> tuple[T | None, BaseException | None]:
    try:
        return func(*args), None
    except BaseException as error:  # noqa: BLE001  # handed to the waiting task, as threads do
        return None, error


def _deliver(
    done: asyncio.Future[Any],
    outcome: tuple[Any, BaseException | None] | None,
    func: Callable[..., Any],
    args: tuple[Any, ...],
) -> None:
    value, error = outcome if outcome is not None else _outcome(func, args)
    if done.cancelled():
        return
    if error is not None:
        done.set_exception(error)
    else:
        done.set_result(value)
