"""Who goes ahead to write a cache entry, and who waits for it."""

from __future__ import annotations

import asyncio

from runner.execute.messages import AWAITS, WRITES
from runner.execute.warmth import MARGIN, Warmth


class Time:
    def __init__(self) -> None:
        self.at = 100.0

    def __call__(self) -> float:
        return self.at


async def entered(warmth: Warmth, cell: int, count: int) -> list[asyncio.Task[bool]]:
    tasks = [asyncio.create_task(warmth.enter(cell)) for _ in range(count)]
    await asyncio.sleep(0)
    return tasks


def test_one_goes_ahead_and_the_others_wait_until_its_answer_has_begun():
    async def main() -> None:
        waits: list[int] = []
        warmth = Warmth(Time(), on_wait=lambda: waits.append(1))
        tasks = await entered(warmth, 7, 5)
        assert [t.done() for t in tasks] == [True, False, False, False, False]
        assert tasks[0].result()
        assert len(waits) == 4
        (other,) = await entered(warmth, 8, 1)
        assert other.result(), "another prefix has one of its own"
        warmth.begun(7, 300)
        assert [await t for t in tasks[1:]] == [False] * 4
        assert not await warmth.enter(7)

    asyncio.run(main())


def test_next_goes_ahead_where_the_first_failed_or_was_cancelled():
    async def main() -> None:
        warmth = Warmth(Time())
        tasks = await entered(warmth, 7, 3)
        warmth.failed(7)
        await asyncio.sleep(0)
        assert [t.done() and t.result() for t in tasks] == [True, True, False]
        tasks[2].cancel()
        warmth.begun(7, 300)
        assert not await warmth.enter(7)

    asyncio.run(main())


def test_entry_is_written_anew_after_its_time_and_kept_by_use():
    async def main() -> None:
        time = Time()
        warmth = Warmth(time)
        assert await warmth.enter(7)
        warmth.begun(7, 300)
        time.at += 200
        assert not warmth.cold(7)
        warmth.begun(7, 300)  # used: lives from now on
        time.at += 300 * MARGIN - 1
        assert not warmth.cold(7)
        time.at += 1
        assert warmth.cold(7)
        assert await warmth.enter(7)

    asyncio.run(main())


def test_calls_wait_for_another_worker_and_read_what_it_has_written():
    async def main() -> None:
        time = Time()
        warmth = Warmth(time)
        warmth.told({}, frozenset({7, 8}))
        tasks = await entered(warmth, 7, 2)
        assert warmth.left_s(7) == AWAITS
        warmth.told({7: 100.0}, frozenset({8}))
        assert [await t for t in tasks] == [False, False]
        assert warmth.left_s(7) == 100.0
        tasks = await entered(warmth, 8, 2)
        warmth.told({}, frozenset())  # that worker is gone: one of these goes ahead
        await asyncio.sleep(0)
        assert [t.done() and t.result() for t in tasks] == [True, False]
        assert warmth.left_s(8) == 0.0
        warmth.sent(8)
        assert warmth.left_s(8) == WRITES
        warmth.begun(8, 300)
        assert not await tasks[1]
        assert warmth.left_s(8) > 0

    asyncio.run(main())
