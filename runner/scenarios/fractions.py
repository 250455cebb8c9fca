"""Parts of a full factorial. Pure and deterministic: the same axes give the same conditions.

`one_at_a_time` keeps the first condition and those that differ from it in one axis. `pairwise` covers
every pair of levels of two axes that the full set holds, with few conditions (greedily; not proven
minimal). A number keeps so many, spread over the whole by a golden-ratio stride, which keeps the
levels of every axis close to balanced.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from itertools import combinations
from math import gcd

from runner.core.identity import draw_unit

_GOLDEN = 0.6180339887498949
_THRESHOLDS = (1.0, 0.75, 0.5, 0.35, 0.2, 0.1, 0.05, 0.0)


def fraction(kind: object, rows: Sequence[Sequence[Hashable]]) -> list[int]:
    """Return the indexes of the conditions that are kept, in order.

    Args:
        kind: `full`, `one_at_a_time`, `pairwise` or a number of conditions.
        rows: one level per axis for each condition.

    Raises:
        ValueError: `kind` is none of these.
    """
    if kind == "full":
        return list(range(len(rows)))
    if kind == "one_at_a_time":
        return [i for i, row in enumerate(rows) if _distance(rows[0], row) <= 1]
    if kind == "pairwise":
        return _pairwise(rows)
    if isinstance(kind, int) and not isinstance(kind, bool) and kind >= 1:
        return _spread(kind, len(rows))
    msg = f"{kind!r} is none of full, one_at_a_time, pairwise or a number of conditions"
    raise ValueError(msg)


def _distance(a: Sequence[Hashable], b: Sequence[Hashable]) -> int:
    return sum(x != y for x, y in zip(a, b, strict=True))


def _spread(wanted: int, there: int) -> list[int]:
    if wanted >= there:
        return list(range(there))
    step = max(1, round(there * _GOLDEN))
    while gcd(step, there) != 1:
        step += 1
    return sorted((i * step) % there for i in range(wanted))


def _pairwise(rows: Sequence[Sequence[Hashable]]) -> list[int]:
    columns = list(combinations(range(len(rows[0]) if rows else 0), 2))
    if not columns:
        return list(range(len(rows)))

    def pairs(row: Sequence[Hashable]) -> set[tuple[int, int, Hashable, Hashable]]:
        return {(a, b, row[a], row[b]) for a, b in columns}

    order = sorted(range(len(rows)), key=lambda i: draw_unit(f"pairwise {i}", 0))
    covered: set[tuple[int, int, Hashable, Hashable]] = set()
    kept: list[int] = []
    for threshold in _THRESHOLDS:
        least = max(1, int(threshold * len(columns)))
        for i in order:
            new = pairs(rows[i]) - covered
            if len(new) >= least:
                covered |= new
                kept.append(i)
    return sorted(kept)
