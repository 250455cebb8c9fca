"""The virtual loop keeps asyncio's promises, in virtual time, and can stop and kill processes."""

from __future__ import annotations

import asyncio
from random import Random

import pytest

from tests.dst.virtual_loop import DeadlockError, Gate, VirtualLoop, VirtualTimeLimitError

pytestmark = pytest.mark.dst


def run(main, **options):
    loop = VirtualLoop(Random(1), **options)
    try:
        return loop.run_until_complete(main(loop)), loop
    finally:
        loop.dispose()


def test_sleep_jumps_to_the_next_timer():
    async def main(loop):
        order = []

        async def nap(seconds):
            await asyncio.sleep(seconds)
            order.append((seconds, loop.time()))

        async with asyncio.TaskGroup() as group:
            for seconds in (30.0, 10.0, 20.0):
                group.create_task(nap(seconds))
        return order

    order, loop = run(main)
    assert order == [(10.0, 10.0), (20.0, 20.0), (30.0, 30.0)]
    assert loop.now == 30.0


def test_timeout_expires_in_virtual_time():
    async def main(loop):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(5):
                await asyncio.sleep(100)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(loop.create_future(), 7)
        return loop.time()

    assert run(main)[0] == 12.0


def test_waiting_for_nothing_is_a_deadlock():
    async def main(loop):
        await loop.create_future()

    with pytest.raises(DeadlockError):
        run(main)


def test_endless_sleeping_passes_the_limit():
    async def main(loop):
        while True:
            await asyncio.sleep(10)

    with pytest.raises(VirtualTimeLimitError):
        run(main, limit_s=100)


def test_to_thread_returns_values_and_errors_without_threads():
    async def main(loop):
        assert await asyncio.to_thread(sum, [1, 2]) == 3
        with pytest.raises(ZeroDivisionError):
            await asyncio.to_thread(lambda: 1 // 0)
        return loop.time()

    assert 0 < run(main)[0] < 1


def test_a_killed_process_runs_nothing_more_not_even_finally():
    async def main(loop):
        gate, seen = Gate("p"), []

        async def work():
            try:
                while True:
                    await asyncio.sleep(1)
                    seen.append(loop.time())
            finally:
                seen.append("finally")

        loop.create_task(work(), context=loop.context_of(gate))
        await asyncio.sleep(3.5)
        gate.dead = True
        await asyncio.sleep(10)
        return list(seen)

    assert run(main)[0] == [1.0, 2.0, 3.0]


def test_a_stopped_process_finds_its_timers_due_when_it_continues():
    async def main(loop):
        gate, seen = Gate("p"), []

        async def work():
            await asyncio.sleep(1)
            seen.append(loop.time())
            async with asyncio.TaskGroup() as group:  # children belong to the process too
                group.create_task(asyncio.sleep(1))
            seen.append(loop.time())

        loop.create_task(work(), context=loop.context_of(gate))
        await asyncio.sleep(1.5)
        loop.stop_process(gate)
        await asyncio.sleep(20)
        assert seen == [1.0]
        loop.continue_process(gate)
        await asyncio.sleep(1)
        return seen

    assert run(main)[0] == [1.0, 21.5]


def test_a_suspended_host_has_its_timers_shifted():
    async def main(loop):
        gate, seen = Gate("p"), []

        async def work(seconds):
            await asyncio.sleep(seconds)
            seen.append((seconds, loop.time()))

        for seconds in (2, 5, 40):
            loop.create_task(work(seconds), context=loop.context_of(gate))
        await asyncio.sleep(1)
        loop.stop_process(gate)
        await asyncio.sleep(30)
        loop.continue_process(gate, suspended=True)
        await asyncio.sleep(60)
        return seen

    assert run(main)[0] == [(2, 32.0), (5, 35.0), (40, 70.0)]


def test_a_result_for_a_stopped_process_waits_and_a_result_for_a_dead_one_is_dropped():
    async def main(loop):
        seen = []

        async def work(name, future):
            seen.append((name, await future, loop.time()))

        futures = {}
        for name in ("stopped", "dead"):
            gate = Gate(name)
            futures[name] = (gate, loop.create_future())
            loop.create_task(work(name, futures[name][1]), context=loop.context_of(gate))
        await asyncio.sleep(1)
        loop.stop_process(futures["stopped"][0])
        futures["dead"][0].dead = True
        for _, future in futures.values():
            future.set_result(7)
        await asyncio.sleep(5)
        loop.continue_process(futures["stopped"][0])
        await asyncio.sleep(1)
        return seen

    assert run(main)[0] == [("stopped", 7, 6.0)]


def test_sets_of_tasks_iterate_alike_in_every_run():
    async def main(loop):
        tasks = {loop.create_task(asyncio.sleep(1), name=str(i)) for i in range(50)}
        done, _ = await asyncio.wait(tasks)
        return [t.get_name() for t in done]

    first = run(main)[0]
    garbage = [object() for _ in range(1000)]
    assert run(main)[0] == first
    assert garbage
