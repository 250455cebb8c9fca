"""Reads `seeds:` of a configuration: a count, a list of seeds, or ranges."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from runner.core.seeds import MAX_SEED, SeedSet

_FORMS = "Write a count (100), a list ([0, 1, 7]) or ranges ('0-99,200-299')."


def parse_seeds(value: object) -> SeedSet:
    """Return the seeds that a configuration asks for.

    Args:
        value: a count n for 0…n-1, a list of seeds and inclusive ranges, or a string of ranges.

    Raises:
        ValueError: another form, no seed at all, a seed twice or outside 0…2**31 - 1; the
            message says what to write.
    """
    if isinstance(value, bool) or value is None or isinstance(value, float):
        msg = f"{value!r} is no set of seeds. {_FORMS}"
        raise ValueError(msg)
    if isinstance(value, int):
        return _count(value)
    if isinstance(value, str):
        return _disjoint(value.split(","))
    if isinstance(value, Sequence):
        return _disjoint(cast("Sequence[object]", value))
    msg = f"a {type(value).__name__} is no set of seeds. {_FORMS}"
    raise ValueError(msg)


def _count(value: int) -> SeedSet:
    if not 1 <= value <= MAX_SEED + 1:
        msg = f"{value} seeds: the count must be at least 1 and at most {MAX_SEED + 1}"
        raise ValueError(msg)
    return SeedSet(((0, value),))


def _disjoint(items: Sequence[object]) -> SeedSet:
    ranges = [_range(item) for item in items]
    if not ranges:
        msg = f"the list of seeds is empty. {_FORMS}"
        raise ValueError(msg)
    seeds = SeedSet.of(ranges)
    if len(seeds) != sum(stop - start for start, stop in ranges):
        msg = f"a seed occurs twice; all of them once are: {seeds}"
        raise ValueError(msg)
    return seeds


def _range(item: object) -> tuple[int, int]:
    if isinstance(item, int) and not isinstance(item, bool):
        first = last = item
    elif isinstance(item, str):
        head, dash, tail = item.strip().partition("-")
        if not (head.strip().isdecimal() and (tail.strip().isdecimal() or not dash)):
            msg = f"{item!r} is no seed and no range of seeds. {_FORMS}"
            raise ValueError(msg)
        first, last = int(head), int(tail if dash else head)
    else:
        msg = f"{item!r} is no seed. {_FORMS}"
        raise ValueError(msg)
    if not 0 <= first <= last <= MAX_SEED:
        msg = f"{item!r}: seeds lie in 0…{MAX_SEED}, and a range runs upwards"
        raise ValueError(msg)
    return first, last + 1
