from hypothesis import given, settings
from hypothesis import strategies as st
from pyroaring import BitMap

from runner.core.seeds import SeedSet
from runner.core.values import Job
from runner.plan.blocks import complete_blocks, first_missing
from runner.plan.owed import OwedCursor
from tests.support.cells import cell, plan

SEEDS = st.lists(st.integers(0, 40), min_size=1, unique=True)
CELLS = st.lists(SEEDS, min_size=1, max_size=5).map(
    lambda lists: [cell(n, SeedSet.of_seeds(s)) for n, s in enumerate(lists)]
)
BLOCK = st.integers(1, 9)


def in_order(cells, block):
    """The specification: all jobs, sorted by block, cell and seed."""
    jobs = [
        (seeds.index(seed) // block, at, seed, Job(c.number, seed))
        for at, c in enumerate(cells)
        for seeds in [c.seeds]
        for seed in seeds
    ]
    return [job for *_, job in sorted(jobs)]


@given(CELLS, BLOCK, st.data())
def test_owed_and_taken_together_are_the_plan_in_order(cells, block, data):
    planned = in_order(cells, block)
    done = data.draw(st.lists(st.sampled_from(planned), unique=True))
    taken: dict[int, BitMap] = {}
    for job in done:
        taken.setdefault(job.cell, BitMap()).add(job.seed)
    cursor = OwedCursor(cells, block, taken)
    owed: list[Job] = []
    while some := cursor.take(data.draw(st.integers(1, 7))):
        owed += some
    assert owed == [job for job in planned if job not in set(done)]


@given(CELLS, BLOCK, st.data())
@settings(max_examples=60)
def test_jobs_handed_back_come_out_exactly_once_more(cells, block, data):
    cursor = OwedCursor(cells, block, {})
    planned = in_order(cells, block)
    out: list[Job] = []
    held: list[Job] = []
    expected = len(planned)
    for _ in range(data.draw(st.integers(0, 20))):
        held += (some := cursor.take(data.draw(st.integers(1, 5))))
        out += some
        if held and data.draw(st.booleans()):
            back = data.draw(st.sampled_from(held))
            held.remove(back)
            cursor.give_back(back)
            expected += 1
    rest = cursor.take(10_000)
    assert set(out) | set(rest) == set(planned)
    assert len(out) + len(rest) == expected
    assert len(set(rest)) == len(rest)
    assert not set(rest) & set(held)


@given(CELLS, BLOCK, st.integers(0, 200))
def test_at_any_stop_cells_of_equal_seeds_differ_by_one_block_at_most(cells, block, stop):
    same = [cell(c.number, cells[0].seeds) for c in cells]
    counts = dict.fromkeys((c.number for c in same), 0)
    for job in OwedCursor(same, block, {}).take(stop):
        counts[job.cell] += 1
    assert max(counts.values()) - min(counts.values()) <= block


@given(CELLS, BLOCK, st.integers(0, 200))
def test_complete_blocks_when_dispatched_in_order_follow_the_walk(cells, block, stop):
    planned = plan(cells, block)
    ended: dict[int, BitMap] = {}
    order = in_order(cells, block)
    for job in order[:stop]:
        ended.setdefault(job.cell, BitMap()).add(job.seed)
    found = complete_blocks(planned, ended)["m"]
    left = [planned.cell(j.cell).seeds.index(j.seed) // block for j in order[stop:]]
    assert found.complete == (min(left) if left else found.total)


@given(SEEDS, st.lists(st.integers(0, 40)))
def test_first_missing_is_the_first_seed_without_an_end(seeds, ended):
    planned = SeedSet.of_seeds(seeds)
    missing = [i for i, seed in enumerate(planned) if seed not in set(ended)]
    assert first_missing(planned, BitMap(ended)) == (missing[0] if missing else None)
