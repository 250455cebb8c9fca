"""Which jobs are owed next, in dispatch order, without a list of jobs.

Order, per model: block 0 of every cell, then block 1 of every cell …, seeds ascending inside a
block; so that at any stop two cells of a model differ by at most one block. Memory grows with
cells and with jobs handed back, never with jobs planned.
"""

from __future__ import annotations

import heapq
import sys
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice

from runner.core.values import Job
from runner.plan.blocks import BlockWindows, Seeds
from runner.plan.cells import Cell

_Place = tuple[int, int, int]
"""Block, position of the cell in dispatch order, seed: sorts jobs as they are dispatched."""
_END: _Place = (sys.maxsize, 0, 0)


class OwedCursor:
    """Walks the owed jobs of ONE model.

    `taken` is read as the walk goes: a job whose seed is in it when its turn comes is skipped,
    jobs handed back included. Each job comes out once, and once more for each `give_back`.
    """

    __slots__ = (
        "_back",
        "_back_jobs",
        "_cells",
        "_position",
        "_reached",
        "_taken",
        "_walk",
        "_windows",
    )

    def __init__(self, cells: Sequence[Cell], block: int, taken: Mapping[int, Seeds]) -> None:
        """Start before the first job.

        Args:
            cells: the model's cells in dispatch order.
            block: seeds per block, at least 1.
            taken: seeds not owed (recorded, dead, leased elsewhere) by cell number, as
                `pyroaring.BitMap`; absent means none.
        """
        self._cells = tuple(cells)
        self._position = {cell.number: i for i, cell in enumerate(self._cells)}
        self._taken = taken
        shared = {seeds: BlockWindows(seeds, block) for seeds in {c.seeds for c in self._cells}}
        self._windows = [shared[c.seeds] for c in self._cells]
        self._back: list[_Place] = []
        self._back_jobs: set[Job] = set()
        self._reached: _Place = (0, 0, -1)
        self._walk = self._owed()

    def take(self, limit: int) -> list[Job]:
        """Return up to `limit` owed jobs and advance past them; fewer only at the end.

        Jobs handed back come first, in dispatch order. Finished blocks cost about a microsecond.
        """
        jobs: list[Job] = []
        while self._back and len(jobs) < limit:
            _, at, seed = heapq.heappop(self._back)
            job = Job(self._cells[at].number, seed)
            self._back_jobs.discard(job)
            taken = self._taken.get(job.cell)
            if taken is None or seed not in taken:
                jobs.append(job)
        if len(jobs) < limit:
            wanted = limit - len(jobs)
            walked = list(islice(self._walk, wanted))
            if len(walked) < wanted:
                self._reached = _END  # whatever was taken behind the last one was passed, too
            else:
                self._reached = self._place(walked[-1])
            jobs += walked
        return jobs

    def give_back(self, job: Job) -> None:
        """Make a job that the walk has passed owed again.

        A job the walk has not reached is owed anyway; handing it back changes nothing, nor does
        handing back twice.

        Raises:
            ValueError: the job is not planned for this model.
        """
        place = self._place(job)
        if place <= self._reached and job not in self._back_jobs:
            self._back_jobs.add(job)
            heapq.heappush(self._back, place)

    def _place(self, job: Job) -> _Place:
        at = self._position.get(job.cell)
        ordinal = None if at is None else self._cells[at].seeds.index(job.seed)
        if at is None or ordinal is None:
            msg = f"{job} is not in the plan of this model"
            raise ValueError(msg)
        return ordinal // self._windows[at].block, at, job.seed

    def _owed(self) -> Iterator[Job]:
        last = max((w.count for w in self._windows), default=0)
        for block in range(last):
            for cell, windows in zip(self._cells, self._windows, strict=True):
                if block < windows.count:
                    yield from _unended(cell.number, windows[block], self._taken)


def _unended(
    number: int, ranges: Sequence[tuple[int, int]], all_taken: Mapping[int, Seeds]
) -> Iterator[Job]:
    for start, stop in ranges:
        taken = all_taken.get(number)
        ended = 0 if taken is None else taken.range_cardinality(start, stop)
        if ended == stop - start:
            continue
        for seed in range(start, stop):
            # Asked anew for each: what is taken grows while we walk, a cell's first seed too.
            taken = taken or all_taken.get(number)
            if taken is None or seed not in taken:
                yield Job(number, seed)
