"""What calls that share a cached prefix are expected to cost, while they wait and before they begin."""

from __future__ import annotations

import asyncio
from functools import partial

import pytest

from runner.core.values import EndState, Reply, Usage
from runner.execute.gate import Gate
from runner.execute.purse import Purse
from runner.limits.quota import Charging
from runner.limits.wallet import Ticket

WHOLE, PREFIX = 1600, 1400
CHARACTERS = 4 * WHOLE


def purse(*, cache_reads_count: bool = False) -> Purse:
    return Purse(
        model="m",
        max_tokens=1000,
        charging=Charging.PRODUCED,
        cache_reads_count=cache_reads_count,
        sized=True,
    )


def ended(purse: Purse, *, cell: int = 1, reads: bool | None, written: int = 0, read: int = 0):
    usage = Usage(
        input_tokens=WHOLE - written - read,
        output_tokens=50,
        cache_read_tokens=read,
        cache_write_tokens=written,
    )
    reply = Reply(
        content=(), stop_reason="end_turn", end_state=EndState.ANSWERED, usage=usage, model=""
    )
    cost = purse.asks(cell, CHARACTERS, first=True, reads=reads)()
    purse.wallet.in_flight += 1
    purse.end(
        Ticket(expected=cost, at=0.0),
        reply,
        cell=cell,
        characters=CHARACTERS,
        latency_s=1.0,
        trouble=False,
        now=1.0,
        reads=reads,
    )


def test_call_that_waits_when_the_writer_is_answered_costs_what_the_cache_leaves():
    held = purse()
    waiting = held.asks(1, CHARACTERS, first=True, reads=True)
    assert waiting().input_tokens == pytest.approx(WHOLE), "nothing is known yet"
    ended(held, reads=False, written=PREFIX)
    assert waiting().input_tokens == pytest.approx(WHOLE - PREFIX)
    writes = held.asks(1, CHARACTERS, first=True, reads=False)
    assert writes().input_tokens == pytest.approx(WHOLE), "the entry may be gone again"


def test_calls_at_the_gate_when_an_answer_comes_are_told_at_their_new_cost():
    async def main() -> list[float]:
        held = purse()
        gate = Gate(lambda: True, lambda: 0.0, purse=held)
        gate.slots = 10
        cost = held.asks(1, CHARACTERS, first=True, reads=True)
        waits = asyncio.create_task(gate.acquire(cost))
        await asyncio.sleep(0)
        ended(held, reads=False, written=PREFIX)
        told = [c.input_tokens for c in gate.costs()]
        gate.close()
        await waits
        return told

    assert asyncio.run(main()) == [pytest.approx(WHOLE - PREFIX)]


def test_reading_calls_when_their_entry_is_missed_are_expected_to_pay_again():
    held = purse()
    ended(held, reads=False, written=PREFIX)
    for _ in range(60):
        ended(held, reads=True, written=PREFIX)
    cost = held.asks(1, CHARACTERS, first=True, reads=True)()
    assert cost.input_tokens == pytest.approx(WHOLE, rel=0.01)


def test_reading_calls_when_reads_count_cost_all_of_it():
    held = purse(cache_reads_count=True)
    ended(held, reads=False, written=PREFIX)
    ended(held, reads=True, read=PREFIX)
    cost = held.asks(1, CHARACTERS, first=True, reads=True)()
    assert cost.input_tokens == pytest.approx(WHOLE)


def test_jobs_that_have_not_begun_when_a_cell_is_cold_write_once_and_then_read():
    held = purse()
    ended(held, reads=False, written=PREFIX)
    word = partial(held.word, 0.0, wants=4)
    sizes = word(cells=[1, 2, 2, 1], readable=lambda cell: cell == 1).sizes
    left = WHOLE - PREFIX
    assert sizes == pytest.approx((left, WHOLE, left, left))


def test_jobs_that_have_not_begun_when_nothing_is_shared_cost_all_of_it():
    held = purse()
    ended(held, reads=None)
    assert held.word(0.0, wants=2, cells=[1, 1]).sizes == pytest.approx((WHOLE, WHOLE))


def test_calls_that_end_now_before_a_heartbeat_now_after_it_are_expected_at_their_larger_number():
    held = purse()
    told = []
    for calls in (40, 0, 40, 0, 0, 0):
        for _ in range(calls):
            ended(held, reads=None)
        told.append(held.word(1.0, wants=80).ends)
    assert told == [40, 28, 40, 28, 20, 14]
