import pytest
from pyroaring import BitMap

from runner.core.seeds import SeedSet
from runner.core.values import Job
from runner.plan.owed import OwedCursor
from tests.support.cells import cell


def pairs(jobs):
    return [tuple(job) for job in jobs]


def test_take_walks_block_by_block_over_all_cells():
    cursor = OwedCursor([cell(7, 3), cell(2, 5)], 2, {})
    assert pairs(cursor.take(100)) == [
        (7, 0), (7, 1), (2, 0), (2, 1), (7, 2), (2, 2), (2, 3), (2, 4)
    ]  # fmt: skip
    assert cursor.take(1) == []


def test_take_skips_what_is_taken_and_seeds_that_are_not_planned():
    seeds = SeedSet.parse("0-1,10-11,20")
    cursor = OwedCursor([cell(0, seeds)], 3, {0: BitMap([1, 10, 15])})
    assert pairs(cursor.take(100)) == [(0, 0), (0, 11), (0, 20)]


def test_take_sees_seeds_that_are_taken_while_it_walks():
    taken = {0: BitMap()}
    cursor = OwedCursor([cell(0, 6)], 6, taken)
    assert pairs(cursor.take(2)) == [(0, 0), (0, 1)]
    taken[0].add(3)
    assert pairs(cursor.take(9)) == [(0, 2), (0, 4), (0, 5)]


def test_give_back_comes_out_first_in_dispatch_order():
    cursor = OwedCursor([cell(5, 4), cell(1, 4)], 2, {})
    taken = cursor.take(6)
    for job in (taken[5], taken[2], taken[3]):
        cursor.give_back(job)
    assert pairs(cursor.take(4)) == [(1, 0), (1, 1), (5, 3), (1, 2)]


def test_give_back_when_done_twice_or_not_yet_taken_yields_the_job_once():
    cursor = OwedCursor([cell(0, 4)], 4, {})
    first = cursor.take(1)[0]
    cursor.give_back(first)
    cursor.give_back(first)
    cursor.give_back(Job(0, 3))
    assert pairs(cursor.take(9)) == [(0, 0), (0, 1), (0, 2), (0, 3)]


def test_give_back_when_recorded_meanwhile_does_not_come_out_again():
    taken = {0: BitMap()}
    cursor = OwedCursor([cell(0, 2)], 2, taken)
    job = cursor.take(1)[0]
    cursor.give_back(job)
    taken[0].add(job.seed)
    assert pairs(cursor.take(9)) == [(0, 1)]


def test_give_back_when_taken_before_the_walk_passed_it_comes_out_at_the_end():
    taken = {0: BitMap([2])}  # held by a worker from the start
    cursor = OwedCursor([cell(0, 3)], 3, taken)
    assert pairs(cursor.take(9)) == [(0, 0), (0, 1)]
    taken[0].discard(2)
    cursor.give_back(Job(0, 2))
    assert pairs(cursor.take(9)) == [(0, 2)]


def test_take_sees_the_first_seed_of_a_cell_that_is_taken_while_it_walks():
    taken = {}
    cursor = OwedCursor([cell(0, 3)], 3, taken)
    assert pairs(cursor.take(1)) == [(0, 0)]
    taken[0] = BitMap([1])
    assert pairs(cursor.take(9)) == [(0, 2)]


@pytest.mark.parametrize("job", [Job(1, 0), Job(0, 99)])
def test_give_back_when_job_is_not_planned_is_refused(job):
    cursor = OwedCursor([cell(0, 4)], 2, {})
    with pytest.raises(ValueError, match="not in the plan"):
        cursor.give_back(job)
