from __future__ import annotations

import pytest

from runner.limits.slots import SlotAuthority


def wants(
    slots: SlotAuthority, worker: str, now: float, *, obeyed: int = 0, flying: int = 0
) -> int:
    slots.report(worker, obeyed=obeyed, in_flight=flying, demand=8)
    return slots.grant(worker, now)


def test_share_of_one_worker_is_the_whole_number():
    assert wants(SlotAuthority(8), "a", 0.0) == 8


def test_share_of_a_second_worker_waits_until_the_first_obeys_a_smaller_one():
    slots = SlotAuthority(8)
    wants(slots, "a", 0.0)
    assert wants(slots, "b", 0.0) == 0
    assert wants(slots, "a", 1.0, obeyed=8) == 4
    assert wants(slots, "b", 1.0) == 0  # the smaller share may not have arrived
    wants(slots, "a", 2.0, obeyed=4)
    assert wants(slots, "b", 2.0) == 4


@pytest.mark.parametrize("repeats", [1, 3])
def test_share_of_a_lost_worker_is_withheld_until_its_calls_have_ended(repeats: int):
    slots = SlotAuthority(8)
    wants(slots, "a", 0.0)
    for i in range(repeats):  # each cycle says it again
        slots.lost("a", 10.0 + i)
    assert wants(slots, "b", 9.0) == 0
    assert wants(slots, "b", 10.0) == 8


def test_share_of_a_lost_worker_that_comes_back_counts_again():
    slots = SlotAuthority(8)
    wants(slots, "a", 0.0)
    slots.lost("a", 10.0)
    wants(slots, "a", 5.0, obeyed=8)
    assert wants(slots, "b", 11.0) == 0


def test_share_of_a_worker_that_is_gone_is_free_at_once():
    slots = SlotAuthority(8)
    wants(slots, "a", 0.0)
    slots.gone("a")
    assert wants(slots, "b", 0.0) == 8


def test_calls_of_a_worker_that_never_reported_are_withheld_until_they_have_ended_or_it_has_reported():
    slots = SlotAuthority(8)
    slots.unheard("a", 3, 10.0)
    assert wants(slots, "b", 0.0) == 5
    assert wants(slots, "b", 10.0, obeyed=5) == 8
    slots = SlotAuthority(8)
    slots.unheard("a", 3, 10.0)
    assert wants(slots, "a", 1.0, obeyed=4) == 8
    slots.unheard("a", 3, 20.0)  # too late: it is known now
    assert wants(slots, "b", 30.0) == 0


def test_calls_of_a_worker_that_never_reported_when_some_have_ended_free_their_places():
    slots = SlotAuthority(8)
    slots.unheard("a", 6, 100.0)
    assert wants(slots, "b", 0.0) == 2
    slots.unheard("a", 1, 100.0)
    assert wants(slots, "b", 5.0, obeyed=2) == 7
    slots.unheard("a", 0, 100.0)
    assert wants(slots, "b", 10.0, obeyed=7) == 8
    assert slots.counted() == 8
