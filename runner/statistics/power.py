"""How many seeds a question needs, and what given seeds can show. Pure.

Two rates, n answers each, two-sided test of size α (normal approximation; J. L. Fleiss, Statistical
Methods for Rates and Proportions, 2nd ed., formula 3.14):

    n = ( z[1-α/2] √(2 p̄ q̄) + z[power] √(p1 q1 + p2 q2) )² / (p1 - p2)²

A bound at zero events: n answers without an event bound the rate below 1 - α^(1/n).
"""

from __future__ import annotations

from math import ceil, expm1, log, log1p, sqrt
from typing import cast

from runner.statistics.binomial import LEVEL

POWER = 0.8


def answers_for_difference(
    first: float, second: float, *, power: float = POWER, level: float = LEVEL
) -> int:
    """Return the answers needed in each group to tell two rates apart.

    Raises:
        ValueError: rates outside [0, 1] or equal, power or level outside (0, 1).
    """
    _check(first, second, power=power, level=level)
    if first == second:
        msg = f"the two rates are equal ({first}): no number of answers tells them apart"
        raise ValueError(msg)
    mean = (first + second) / 2
    spread = _z((1 + level) / 2) * sqrt(2 * mean * (1 - mean))
    spread += _z(power) * sqrt(first * (1 - first) + second * (1 - second))
    return max(2, ceil(spread**2 / (first - second) ** 2 - 1e-9))


def answers_for_bound(bound: float, *, level: float = LEVEL) -> int:
    """Return the answers without an event that bound a rate below `bound`.

    Raises:
        ValueError: the bound or the level is outside (0, 1).
    """
    _check(level=level, bound=bound)
    return ceil(log(1 - level) / log1p(-bound) - 1e-9)


def bound_without_events(n: int, *, level: float = LEVEL) -> float:
    """Return the one-sided bound that n answers without an event give.

    Raises:
        ValueError: n below 1, level outside (0, 1).
    """
    _check(level=level)
    if n < 1:
        msg = f"no bound from {n} answers"
        raise ValueError(msg)
    return -expm1(log(1 - level) / n)


def power_of(first: float, second: float, n: int, *, level: float = LEVEL) -> float:
    """Return the chance that n answers in each group show a difference between two rates.

    Raises:
        ValueError: as for `answers_for_difference`; n below 1.
    """
    from scipy.special import ndtr  # noqa: PLC0415  # 0.1 s, and only this command needs it

    _check(first, second, level=level)
    if n < 1:
        msg = f"no power from {n} answers"
        raise ValueError(msg)
    gap = abs(first - second)
    mean = (first + second) / 2
    spread = sqrt(first * (1 - first) + second * (1 - second))
    if not spread:
        return float(gap > 0)
    threshold = _z((1 + level) / 2) * sqrt(2 * mean * (1 - mean))
    return float(cast("float", ndtr((gap * sqrt(n) - threshold) / spread)))


def smallest_difference(
    base: float, n: int, *, power: float = POWER, level: float = LEVEL
) -> tuple[float | None, float | None]:
    """Return the nearest rates (below, above) that n answers each tell from `base`; None: none.

    Raises:
        ValueError: as for `power_of`.
    """
    _check(base, power=power, level=level)

    def nearest(end: float) -> float | None:
        if power_of(base, end, n, level=level) < power:
            return None
        near, far = base, end
        for _ in range(60):
            middle = (near + far) / 2
            if middle != base and power_of(base, middle, n, level=level) >= power:
                far = middle
            else:
                near = middle
        return far

    return (nearest(0.0) if base > 0 else None), (nearest(1.0) if base < 1 else None)


def _check(
    *rates: float, power: float = POWER, level: float = LEVEL, bound: float | None = None
) -> None:
    for rate in rates:
        if not 0 <= rate <= 1:
            msg = f"{rate} is no rate: give a number from 0 to 1"
            raise ValueError(msg)
    for name, value in (("power", power), ("level", level), ("bound", bound)):
        if value is not None and not 0 < value < 1:
            msg = f"{name} {value}: give a number between 0 and 1, such as 0.05"
            raise ValueError(msg)


def _z(probability: float) -> float:
    from scipy.special import ndtri  # noqa: PLC0415  # as above

    return cast("float", ndtri(probability))
