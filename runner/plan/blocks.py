"""Seed blocks: the arithmetic of blocks inside a cell, and how many of them are complete."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate
from typing import Protocol

from runner.core.seeds import SeedSet
from runner.plan.cells import Plan


class Seeds(Protocol):
    """What is read of a `pyroaring.BitMap`."""

    def __contains__(self, seed: int, /) -> bool: ...
    def range_cardinality(self, range_start: int, range_end: int, /) -> int:
        """Return how many seeds lie in `range_start <= seed < range_end`."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class CompleteBlocks:
    """How far a model is, in whole seed blocks."""

    complete: int
    """Leading blocks in which every cell has all its jobs ended."""
    total: int
    """Blocks of the cell that has most."""


def block_count(seeds: SeedSet, block: int) -> int:
    """Return the number of blocks of a cell."""
    return -(-len(seeds) // block)


class BlockWindows:
    """The half-open seed ranges of each block of one seed set; shared by cells with equal seeds."""

    __slots__ = ("_offsets", "_ranges", "block", "count")

    def __init__(self, seeds: SeedSet, block: int) -> None:
        """Prepare the arithmetic."""
        self._ranges = seeds.ranges
        self._offsets = (0, *accumulate(stop - start for start, stop in seeds.ranges))
        self.block = block
        self.count = block_count(seeds, block)

    def __getitem__(self, index: int) -> tuple[tuple[int, int], ...]:
        """Return the ranges of block `index`, 0…count-1, ascending."""
        return tuple(self._between(index * self.block, (index + 1) * self.block))

    def _between(self, first: int, last: int) -> Iterator[tuple[int, int]]:
        i = bisect_right(self._offsets, first) - 1
        while i < len(self._ranges) and self._offsets[i] < last:
            base = self._ranges[i][0] - self._offsets[i]
            start = base + max(first, self._offsets[i])
            yield start, base + min(last, self._offsets[i + 1])
            i += 1


def first_blocks(seeds: SeedSet, blocks: int, block: int) -> SeedSet:
    """Return the seeds of the first blocks of a cell: what an INTERIM table counts."""
    windows = BlockWindows(seeds, block)
    return SeedSet.of(r for i in range(min(blocks, windows.count)) for r in windows[i])


def first_missing(seeds: SeedSet, ended: Seeds) -> int | None:
    """Return the position of the first seed that has not ended, None where all have.

    Logarithmic in the length of a range.
    """
    offset = 0
    for start, stop in seeds.ranges:
        if ended.range_cardinality(start, stop) < stop - start:
            low, high = start, stop  # the first seed missing lies in low…high-1
            while high - low > 1:
                middle = (low + high) // 2
                if ended.range_cardinality(low, middle) < middle - low:
                    high = middle
                else:
                    low = middle
            return offset + low - start
        offset += stop - start
    return None


def complete_blocks(plan: Plan, ended: Mapping[int, Seeds]) -> dict[str, CompleteBlocks]:
    """Return, per model, the leading seed blocks that tables of an unfinished sweep may use.

    Args:
        plan: the plan.
        ended: seeds that reached an end state (recorded or dead-lettered), by cell number;
            absent means none.
    """
    out: dict[str, CompleteBlocks] = {}
    for model in plan.models:
        total = complete = max(block_count(c.seeds, plan.seed_block) for c in plan.of_model(model))
        for cell in plan.of_model(model):
            taken = ended.get(cell.number)
            missing = 0 if taken is None else first_missing(cell.seeds, taken)
            if missing is not None and len(cell.seeds):
                complete = min(complete, missing // plan.seed_block)
        out[model] = CompleteBlocks(complete=complete, total=total)
    return out
