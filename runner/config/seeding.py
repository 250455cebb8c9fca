"""The key `seeds`: a count, a list, or ranges. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

from runner.core.seeds import MAX_SEED, SeedSet

_FORMS = "Write a count (100), a list ([0, 7]) or ranges (0-99,200-299)."


class SeedsError(ValueError):
    """The key has no meaning; the message says what to write."""


def parse_seeds(value: object) -> SeedSet:
    """Return the seeds that a configuration asks for; never none.

    Raises:
        SeedsError: anything but a positive count, a list of seeds or ranges, or ranges as text.
    """
    if isinstance(value, bool) or value is None:
        msg = f"is missing or no number. {_FORMS}"
        raise SeedsError(msg)
    if isinstance(value, int):
        if not 0 < value <= MAX_SEED + 1:
            msg = f"a count lies in 1…{MAX_SEED + 1}, not {value}. {_FORMS}"
            raise SeedsError(msg)
        return SeedSet.of([(0, value)])
    if isinstance(value, str):
        if value.strip().isdecimal():
            seed = value.strip()
            msg = f"write {seed} for the first {seed} seeds, [{seed}] for seed {seed}."
            raise SeedsError(msg)
        return _set([_range(item) for item in value.split(",")])
    if isinstance(value, list) and value:
        return _set([_item(item) for item in cast("list[object]", value)])
    msg = f"is empty or of another form. {_FORMS}"
    raise SeedsError(msg)


def _set(items: Iterable[tuple[int, int]]) -> SeedSet:
    ranges = list(items)
    try:
        seeds = SeedSet.of(ranges)
    except ValueError as error:
        msg = f"{error}. {_FORMS}"
        raise SeedsError(msg) from error
    if len(seeds) != sum(stop - start for start, stop in ranges):
        msg = f"a seed occurs twice. All of them once are: {seeds}"
        raise SeedsError(msg)
    return seeds


def _item(item: object) -> tuple[int, int]:
    if isinstance(item, int) and not isinstance(item, bool):
        return item, item + 1
    if isinstance(item, str):
        return _range(item)
    msg = f"{item!r} is no seed. {_FORMS}"
    raise SeedsError(msg)


def _range(text: str) -> tuple[int, int]:
    first, dash, last = (part.strip() for part in text.partition("-"))
    if not (first.isdecimal() and (last.isdecimal() or not dash)):
        msg = f"{text.strip()!r} is no seed and no range. {_FORMS}"
        raise SeedsError(msg)
    stop = int(last or first) + 1
    if stop <= int(first):
        msg = f"the range {text.strip()} ends before it begins. Turn it round."
        raise SeedsError(msg)
    return int(first), stop
