"""Many deadlines on one timer behave as `asyncio.timeout` does for each call; in virtual time."""

from __future__ import annotations

import asyncio
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.providers.deadline import Deadlines
from tests.dst.virtual_loop import VirtualLoop


def run(main):
    loop = VirtualLoop(Random(1))
    try:
        return loop.run_until_complete(main(loop))
    finally:
        loop.dispose()


async def call(deadlines: Deadlines, seconds: float, starts: float = 0.0) -> tuple[str, float]:
    """Return how a call ended and when."""
    loop = asyncio.get_running_loop()
    await asyncio.sleep(starts)
    try:
        with deadlines.one():
            await asyncio.sleep(seconds)
    except TimeoutError:
        return "timeout", loop.time()
    return "done", loop.time()


async def plain_call(limit: float, seconds: float, starts: float) -> tuple[str, float]:
    loop = asyncio.get_running_loop()
    await asyncio.sleep(starts)
    try:
        async with asyncio.timeout(limit):
            await asyncio.sleep(seconds)
    except TimeoutError:
        return "timeout", loop.time()
    return "done", loop.time()


def test_call_that_takes_too_long_is_broken_off_at_its_deadline():
    async def main(loop):
        return await call(Deadlines(5.0), 100.0)

    assert run(main) == ("timeout", 5.0)


def test_calls_that_begin_one_after_another_each_end_at_a_deadline_of_their_own():
    async def main(loop):
        deadlines = Deadlines(5.0)
        return await asyncio.gather(*(call(deadlines, 100.0, starts) for starts in (0.0, 1.0, 4.5)))

    assert run(main) == [("timeout", 5.0), ("timeout", 6.0), ("timeout", 9.5)]


def test_call_after_an_idle_time_when_the_old_timer_has_passed_has_its_whole_time():
    async def main(loop):
        deadlines = Deadlines(5.0)
        first = await call(deadlines, 1.0)
        return first, await call(deadlines, 100.0, starts=30.0)

    assert run(main) == (("done", 1.0), ("timeout", 36.0))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 80).map(lambda n: n / 8), st.integers(0, 80).map(lambda n: n / 7)),
        max_size=12,
    )
)
def test_any_mix_of_calls_ends_as_under_a_timeout_of_each_its_own(calls):
    async def ours(loop):
        deadlines = Deadlines(5.0)
        return await asyncio.gather(*(call(deadlines, s, starts) for starts, s in calls))

    async def plain(loop):
        return await asyncio.gather(*(plain_call(5.0, s, starts) for starts, s in calls))

    assert run(ours) == run(plain)


def test_call_cancelled_from_outside_before_its_deadline_is_cancelled_and_not_timed_out():
    async def main(loop):
        deadlines = Deadlines(5.0)
        task = loop.create_task(call(deadlines, 100.0))
        await asyncio.sleep(2.0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return await call(deadlines, 100.0)  # the others keep their deadlines

    assert run(main) == ("timeout", 7.0)


def test_call_cancelled_from_outside_in_the_moment_of_its_deadline_is_cancelled():
    async def main(loop):
        task = loop.create_task(call(Deadlines(5.0), 100.0))
        loop.call_at(5.0, task.cancel)
        await asyncio.sleep(0.0)
        with pytest.raises(asyncio.CancelledError):
            await task
        return task.cancelled()

    assert run(main)


def test_call_that_raises_while_it_is_broken_off_shows_its_own_error_and_can_be_cancelled_again():
    async def main(loop):
        task = asyncio.current_task()
        with pytest.raises(ConnectionResetError), Deadlines(5.0).one():
            try:
                await asyncio.sleep(100.0)
            except asyncio.CancelledError:
                raise ConnectionResetError from None
        return task.cancelling()

    assert run(main) == 0


def test_clear_when_calls_are_under_way_breaks_none_of_them_off():
    async def main(loop):
        deadlines = Deadlines(5.0)
        task = loop.create_task(call(deadlines, 9.0))
        await asyncio.sleep(1.0)
        deadlines.clear()
        return await task

    assert run(main) == ("done", 9.0)


def test_deadline_entered_outside_any_task_is_refused():
    async def main(loop):
        refused = loop.create_future()

        def enter() -> None:
            try:
                with Deadlines(5.0).one():
                    pass
            except RuntimeError as error:
                refused.set_result(str(error))

        loop.call_soon(enter)
        return await refused

    assert "needs a task" in run(main)


def test_a_thousand_calls_that_end_in_time_arm_one_timer():
    async def main(loop):
        deadlines, armed = Deadlines(5.0), []
        plain = loop.call_at

        def count(when, callback, *args, **options):
            armed.extend([when] if callback.__name__ == "_expire" else [])
            return plain(when, callback, *args, **options)

        loop.call_at = count
        await asyncio.gather(*(call(deadlines, 1.0) for _ in range(1000)))
        return armed

    assert run(main) == [5.0]
