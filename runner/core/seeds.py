"""Sets of seeds as sorted, disjoint half-open ranges: the only form in which seeds are stored.

Nothing here grows with the number of seeds, only with the number of ranges.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import accumulate

MAX_SEED = 2**31 - 1


@dataclass(frozen=True, slots=True)
class SeedSet:
    """Seeds as half-open ranges `(start, stop)`, sorted, disjoint, never adjacent."""

    ranges: tuple[tuple[int, int], ...] = ()
    _starts: tuple[int, ...] = field(init=False, repr=False, compare=False)
    _offsets: tuple[int, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Precompute the offsets that make `at` and `index` logarithmic in the number of ranges."""
        object.__setattr__(self, "_starts", tuple(a for a, _ in self.ranges))
        object.__setattr__(self, "_offsets", (0, *accumulate(b - a for a, b in self.ranges)))

    @classmethod
    def of(cls, ranges: Iterable[tuple[int, int]]) -> SeedSet:
        """Normalise half-open ranges: sort, merge what overlaps or touches, drop what is empty.

        Raises:
            ValueError: a seed below 0 or above 2**31 - 1.
        """
        merged: list[tuple[int, int]] = []
        for start, stop in sorted(r for r in ranges if r[1] > r[0]):
            if start < 0 or stop - 1 > MAX_SEED:
                msg = f"seeds lie in 0…{MAX_SEED}, got {start}…{stop - 1}"
                raise ValueError(msg)
            if merged and start <= merged[-1][1]:
                merged[-1] = (merged[-1][0], max(merged[-1][1], stop))
            else:
                merged.append((start, stop))
        return cls(tuple(merged))

    @classmethod
    def of_seeds(cls, seeds: Iterable[int]) -> SeedSet:
        """Build the set from single seeds."""
        return cls.of((s, s + 1) for s in seeds)

    @classmethod
    def parse(cls, text: str) -> SeedSet:
        """Read the form that `str()` writes: inclusive ranges, `0-24,30`.

        Raises:
            ValueError: text of another form.
        """
        ranges: list[tuple[int, int]] = []
        for item in text.split(",") if text else ():
            first, dash, last = item.strip().partition("-")
            ranges.append((int(first), int(last if dash else first) + 1))
        return cls.of(ranges)

    def __str__(self) -> str:
        """Write inclusive ranges: `0-24,30`."""
        return ",".join(f"{a}-{b - 1}" if b - a > 1 else str(a) for a, b in self.ranges)

    def __len__(self) -> int:
        return self._offsets[-1]

    def __iter__(self) -> Iterator[int]:
        for start, stop in self.ranges:
            yield from range(start, stop)

    def __contains__(self, seed: object) -> bool:
        return isinstance(seed, int) and self.index(seed) is not None

    def at(self, ordinal: int) -> int:
        """Return the seed at a position; raises IndexError outside 0…len-1."""
        if not 0 <= ordinal < len(self):
            raise IndexError(ordinal)
        i = bisect_right(self._offsets, ordinal) - 1
        return self.ranges[i][0] + ordinal - self._offsets[i]

    def index(self, seed: int) -> int | None:
        """Return the position of a seed, None where it is not in the set."""
        i = bisect_right(self._starts, seed) - 1
        if i < 0 or seed >= self.ranges[i][1]:
            return None
        return self._offsets[i] + seed - self.ranges[i][0]

    def union(self, other: SeedSet) -> SeedSet:
        """Return the seeds of either set."""
        return SeedSet.of((*self.ranges, *other.ranges))

    def minus(self, other: SeedSet) -> SeedSet:
        """Return the seeds of this set that the other lacks."""
        out: list[tuple[int, int]] = []
        for start, stop in self.ranges:
            at = start
            for a, b in other.ranges:
                if b <= at or a >= stop:
                    continue
                if a > at:
                    out.append((at, a))
                at = b
            if at < stop:
                out.append((at, stop))
        return SeedSet.of(out)


def by_cell(jobs: Iterable[tuple[int, int]]) -> dict[int, SeedSet]:
    """Group (cell, seed) pairs into the seeds of each cell."""
    seeds: dict[int, list[int]] = {}
    for cell, seed in jobs:
        seeds.setdefault(cell, []).append(seed)
    return {cell: SeedSet.of_seeds(of_cell) for cell, of_cell in seeds.items()}
