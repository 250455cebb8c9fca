"""Who holds a sweep is judged by the process table here and by a moving counter elsewhere."""

from __future__ import annotations

import asyncio

import pytest

from runner.core.errors import RecordError
from runner.core.seams import ProcessIdentity
from runner.record.entries import Claim
from runner.record.holder import HolderBeat, Standing, decode_holder, judge, who_holds
from runner.record.layout import holder_key
from runner.record.state import ClaimWritten, SweepState
from tests.support.journals import PROCESS
from tests.support.manual_clock import ManualClock
from tests.support.memory_store import MemoryStore

TAKE_OVER_S = 15.0


class Table:
    """Implements `runner.core.seams.Processes` with one answer."""

    def __init__(self, gone: bool | None) -> None:
        self.gone = gone

    def current(self) -> ProcessIdentity:
        return PROCESS

    def is_dead(self, other: ProcessIdentity) -> bool | None:
        assert other == PROCESS
        return self.gone


def state(released: str | None = None) -> SweepState:
    claim = Claim(nonce="a", fleet="f", process=PROCESS, node="n1", started_at="x")
    return SweepState(head=4, last_claim=ClaimWritten(4, claim), released=released)


def beat(store: MemoryStore) -> HolderBeat:
    return HolderBeat(store, claim=4, fleet="f", process=PROCESS)


async def ask(store, clock, gone, *, of=None, watch=True):
    return await who_holds(
        store, Table(gone), clock, of or state(), take_over_s=TAKE_OVER_S, watch=watch
    )


@pytest.mark.parametrize(("gone", "standing"), [(True, Standing.DEAD), (False, Standing.LIVE)])
def test_holder_on_this_host_is_judged_at_once_by_the_process_table(gone, standing):
    async def main():
        store, clock = MemoryStore(), ManualClock()
        await beat(store).beat()
        began = clock.now
        found = await ask(store, clock, gone)
        assert (found.standing, found.claim, found.counter) == (standing, 4, 1)
        assert str(found) == "pid 7 on h1"
        assert clock.now == began

    asyncio.run(main())


@pytest.mark.parametrize("beats", [0, 3])
def test_holder_elsewhere_whose_counter_stands_still_is_dead_after_the_take_over_time(beats):
    async def main():
        store, clock = MemoryStore(), ManualClock()
        holder = beat(store)
        for _ in range(beats):
            await holder.beat()
        began = clock.now
        assert (await ask(store, clock, None)).standing is Standing.DEAD
        assert TAKE_OVER_S <= clock.now - began < TAKE_OVER_S + 2

    asyncio.run(main())


@pytest.mark.parametrize("beats", [0, 1])
def test_holder_elsewhere_whose_counter_moves_is_live(beats):
    async def main():
        store = MemoryStore()
        holder = beat(store)
        for _ in range(beats):
            await holder.beat()

        class Busy(ManualClock):
            async def sleep(self, seconds: float) -> None:
                await super().sleep(seconds)
                if self.now > 1005:
                    await holder.beat()

        assert (await ask(store, Busy(), None)).standing is Standing.LIVE

    asyncio.run(main())


def test_observer_that_was_suspended_does_not_take_its_sleep_for_the_holders():
    async def main():
        store = MemoryStore()
        holder = beat(store)
        await holder.beat()

        class Suspended(ManualClock):
            polls = 0

            async def sleep(self, seconds: float) -> None:
                self.polls += 1
                await super().sleep(3600 if self.polls == 1 else seconds)
                if self.polls == 3:
                    await holder.beat()

        assert (await ask(store, Suspended(), None)).standing is Standing.LIVE

    asyncio.run(main())


def test_holder_elsewhere_without_watching_is_unknown():
    async def main():
        found = await ask(MemoryStore(), ManualClock(), None, watch=False)
        assert (found.standing, found.counter) == (Standing.UNKNOWN, None)

    asyncio.run(main())


@pytest.mark.parametrize("gone", [True, False, None])
def test_released_or_unclaimed_sweep_is_free(gone):
    async def main():
        assert (await ask(MemoryStore(), ManualClock(), gone, of=state("done"))).standing == "free"
        found = await ask(MemoryStore(), ManualClock(), gone, of=SweepState())
        assert (found.standing, str(found)) == ("free", "nobody")

    asyncio.run(main())


@pytest.mark.parametrize(
    ("gone", "moved", "still_s", "standing"),
    [
        (True, True, 0.0, "dead"),
        (False, False, 99.0, "live"),
        (None, True, 99.0, "live"),
        (None, False, 14.9, "unknown"),
        (None, False, 15.0, "dead"),
    ],
)
def test_judge(gone, moved, still_s, standing):
    assert judge(gone=gone, moved=moved, still_s=still_s, take_over_s=TAKE_OVER_S) == standing


def test_decode_of_a_torn_record_names_the_file():
    with pytest.raises(RecordError, match="holder-00000004"):
        decode_holder(b'{"claim": 4', holder_key(4))
