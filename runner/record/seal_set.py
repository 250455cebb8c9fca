"""Which seals were published, for ever: a few numbers per worker, however many seals it wrote. Pure.

An incarnation counts its seals and nearly all of them are published, so that their numbers are one
range. Nothing is ever forgotten: a write of a marker and its parts that had timed out may arrive
days later, when only this tells it from a seal that nobody has published yet.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping

from runner.record.layout import split_seal

_Ranges = list[tuple[int, int]]
"""First and last numbers, inclusive, sorted, never adjacent."""


class SealSet:
    """A set of seals' names that only grows."""

    __slots__ = ("_ranges",)

    def __init__(self, seals: Iterable[str] = ()) -> None:
        """Begin with some names.

        Raises:
            ValueError: one is no seal's name.
        """
        self._ranges: dict[str, _Ranges] = {}
        """By incarnation, with a dot and the suffix where there is one."""
        self.update(seals)

    def update(self, seals: Iterable[str]) -> None:
        """Add names.

        Raises:
            ValueError: one is no seal's name.
        """
        for seal in seals:
            series, number = _split(seal)
            _insert(self._ranges.setdefault(series, []), number)

    def __contains__(self, seal: object) -> bool:
        """Return whether a seal of that name was added.

        Raises:
            ValueError: it is no seal's name.
        """
        if not isinstance(seal, str):
            return False
        series, number = _split(seal)
        ranges = self._ranges.get(series, [])
        at = bisect_right(ranges, number, key=_first) - 1
        return at >= 0 and number <= ranges[at][1]

    def __eq__(self, other: object) -> bool:
        """Return whether both hold the same names."""
        return isinstance(other, SealSet) and self._ranges == other._ranges

    __hash__ = None  # pyright: ignore[reportAssignmentType]  # it grows

    def to_json(self) -> dict[str, str]:
        """Return inclusive ranges by incarnation and suffix: `{"w1-4f": "1-57", "w1-4f.r": "3"}`."""
        return {
            series: ",".join(f"{a}-{b}" if b > a else str(a) for a, b in ranges)
            for series, ranges in sorted(self._ranges.items())
        }

    @classmethod
    def of_json(cls, found: Mapping[str, str]) -> SealSet:
        """Read what `to_json` wrote.

        Raises:
            ValueError: a range is none.
        """
        seals = cls()
        for series, text in found.items():
            ends = [item.partition("-") for item in text.split(",")]
            seals._ranges[series] = [(int(a), int(b or a)) for a, _, b in ends]
        return seals


def _split(seal: str) -> tuple[str, int]:
    incarnation, number, suffix = split_seal(seal)
    return f"{incarnation}.{suffix}" if suffix else incarnation, number


def _first(ends: tuple[int, int]) -> int:
    return ends[0]


def _insert(ranges: _Ranges, number: int) -> None:
    at = bisect_right(ranges, number, key=_first)
    first = last = number
    if at < len(ranges) and ranges[at][0] == number + 1:
        last = ranges.pop(at)[1]
    if at and ranges[at - 1][1] >= number - 1:
        first, before = ranges.pop(at - 1)
        last, at = max(last, before), at - 1
    ranges.insert(at, (first, last))
