from pyroaring import BitMap

from runner.core.seeds import SeedSet
from runner.plan.blocks import CompleteBlocks, complete_blocks, first_blocks, first_missing
from tests.support.cells import cell, plan


def test_first_blocks_counts_seeds_not_numbers():
    assert str(first_blocks(SeedSet.parse("3,10-12,40-50"), 2, 3)) == "3,10-12,40-41"
    assert first_blocks(SeedSet.parse("0-4"), 9, 3) == SeedSet.parse("0-4")


def test_first_missing_is_a_position():
    seeds = SeedSet.parse("0-9,100-199")
    assert first_missing(seeds, BitMap(range(500))) is None
    assert first_missing(seeds, BitMap([*range(10), *range(100, 150), 151])) == 60
    assert first_missing(seeds, BitMap()) == 0


def test_complete_blocks_are_those_that_every_cell_of_the_model_has_ended():
    planned = plan([cell(0, 10, model="a"), cell(1, 4, model="a"), cell(2, 10, model="b")], block=3)
    ended = {0: BitMap(range(7)), 1: BitMap(range(4))}
    assert complete_blocks(planned, ended) == {
        "a": CompleteBlocks(complete=2, total=4),
        "b": CompleteBlocks(complete=0, total=4),
    }
    everything = {n: BitMap(range(10)) for n in range(3)}
    assert complete_blocks(planned, everything)["a"] == CompleteBlocks(complete=4, total=4)
