"""Rates and their exact intervals. Pure.

Formulas: C. J. Clopper and E. S. Pearson, Biometrika 26 (1934) 404–413, in the form with quantiles
of the beta distribution. With k events in n:

    lower = B⁻¹(α/2; k, n-k+1), 0 at k = 0
    upper = B⁻¹(1-α/2; k+1, n-k), 1 at k = n

The two-sided interval covers the true rate with at least probability 1 - α, whatever it is.

At k = 0 the question is only how large the rate may be, so the bound is one-sided at the full
level, upper = 1 - α^(1/n) (the "rule of three" is its approximation, 3/n), and labelled so. The
choice between the two forms is made by the data, and its price is known: over both together the
coverage is at least 1 - 3α/2 (92.5 % at 95 %), not 1 - α, for then α is spent above and α/2 below.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import cast

LEVEL = 0.95


class Sided(StrEnum):
    """How an interval spends its error."""

    TWO = "two-sided"
    UPPER = "one-sided upper"
    NONE = "no data"


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A confidence interval for a probability."""

    low: float
    high: float
    sided: Sided
    level: float = LEVEL


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """Events in trials, with their interval; no value where there were no trials."""

    events: int
    n: int
    interval: Interval

    @property
    def value(self) -> float | None:
        """The share of events, None at n = 0."""
        return self.events / self.n if self.n else None


def clopper_pearson(events: int, n: int, level: float = LEVEL) -> Interval:
    """Return the interval that is reported: two-sided, or one-sided where no event was seen.

    Args:
        events: 0…n.
        n: independent trials, 0 or more; at 0 the interval is [0, 1], labelled "no data".
        level: in (0, 1).

    Raises:
        ValueError: arguments outside these ranges.
    """
    interval = two_sided(events, n, level)
    if events or not n:
        return interval
    return Interval(low=0.0, high=1 - (1 - level) ** (1 / n), sided=Sided.UPPER, level=level)


def two_sided(events: int, n: int, level: float = LEVEL) -> Interval:
    """Return the two-sided interval, also where no event was seen.

    Args:
        events: as for `clopper_pearson`.
        n: as there.
        level: coverage; the true one is never below it.

    Raises:
        ValueError: as there.
    """
    if not 0 <= events <= n or not 0 < level < 1:
        msg = f"no interval for {events} events in {n} trials at level {level}"
        raise ValueError(msg)
    if n == 0:
        return Interval(low=0.0, high=1.0, sided=Sided.NONE, level=level)
    tail = (1 - level) / 2
    low = 0.0 if events == 0 else beta_quantile(tail, events, n - events + 1)
    high = 1.0 if events == n else beta_quantile(1 - tail, events + 1, n - events)
    return Interval(low=low, high=high, sided=Sided.TWO, level=level)


def rate(events: int, n: int, level: float = LEVEL) -> Rate:
    """Return a rate with its Clopper-Pearson interval."""
    return Rate(events=events, n=n, interval=clopper_pearson(events, n, level))


def beta_quantile(probability: float, a: float, b: float) -> float:
    """Return the quantile of the beta distribution with parameters a, b > 0."""
    # 0.7 s to import, and only a table with events needs it.
    from scipy.special import betaincinv  # noqa: PLC0415

    inverse = cast("Callable[[float, float, float], float]", betaincinv)
    return float(inverse(a, b, probability))
