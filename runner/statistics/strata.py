"""Two groups compared inside strata: the common risk difference and its score interval. Pure.

A stratum is what both groups share: the same rendered prompt for two models, everything but one
axis for two levels of it. The difference is the weighted mean of the strata's differences,

    d = Σ w_s (p_1s - p_2s) / Σ w_s        w_s = n_1s n_2s / (n_1s + n_2s)

(Mantel and Haenszel's weights; with as many answers everywhere, the plain mean). Its interval holds
every δ that the score test does not reject (O. Miettinen and M. Nurminen, Statistics in Medicine 4
(1985) 213-226, section 4), with V_s(δ) from the stratum's maximum likelihood rates under p_1 - p_2 = δ:

    | Σ w_s (p_1s - p_2s - δ) | ≤ z √ Σ w_s² V_s(δ)
    V_s(δ) = (p̃_1 (1 - p̃_1) / n_1s + p̃_2 (1 - p̃_2) / n_2s) · N_s / (N_s - 1)

It needs no correction at zero events and stays inside [-1, 1]. All functions take arrays whose last
axis is the strata, so that a benchmark computes thousands of sweeps at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from runner.statistics.binomial import LEVEL, Interval, Sided

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

_HALVINGS = 32
"""Of [-1, 1]: to 5e-10."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stratum:
    """Events and trials of both groups where all else is equal."""

    events: int
    n: int
    other_events: int
    other_n: int

    @property
    def usable(self) -> bool:
        """Both groups have trials."""
        return self.n > 0 and self.other_n > 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A risk difference, first group minus second."""

    value: float
    interval: Interval
    strata: int
    """Strata in which both groups have trials; the others cannot be compared."""


def risk_difference(strata: Sequence[Stratum], level: float = LEVEL) -> Difference | None:
    """Return the stratified difference with its score interval, None without a usable stratum."""
    import numpy as np  # noqa: PLC0415  # 0.1 s, and only comparisons need it

    used = [s for s in strata if s.usable]
    if not used:
        return None
    rows = [(s.events, s.n, s.other_events, s.other_n) for s in used]
    x1, n1, x2, n2 = np.asarray(rows, dtype=np.float64).T
    value, low, high = score_interval(x1, n1, x2, n2, level)
    return Difference(
        value=float(value),
        interval=Interval(low=float(low), high=float(high), sided=Sided.TWO, level=level),
        strata=len(used),
    )


def score_interval(
    x1: Floats, n1: Floats, x2: Floats, n2: Floats, level: float = LEVEL
) -> tuple[Floats, Floats, Floats]:
    """Return (difference, lower, upper) for arrays of shape (…, strata), strata reduced.

    Args:
        x1: events of the first group.
        n1: its trials, at least 1 in every stratum.
        x2: events of the second group.
        n2: its trials, at least 1.
        level: coverage.
    """
    import numpy as np  # noqa: PLC0415  # as above
    from scipy.special import ndtri  # noqa: PLC0415  # as above

    z = cast("float", ndtri((1 + level) / 2))
    weight = n1 * n2 / (n1 + n2)
    total = weight.sum(axis=-1)
    value = (weight * (x1 / n1 - x2 / n2)).sum(axis=-1) / total

    def score(delta: Floats) -> Floats:
        spread = (weight**2 * _variance(delta[..., None], x1, n1, x2, n2)).sum(axis=-1)
        return (value - delta) * total / np.sqrt(np.maximum(spread, 1e-300))

    # The score falls as delta grows: above z left of the lower limit, below -z right of the upper.
    target = np.asarray([z, -z]).reshape(2, *([1] * value.ndim))
    left = np.stack([np.full_like(value, -1.0), value])
    right = np.stack([value, np.full_like(value, 1.0)])
    for _ in range(_HALVINGS):
        middle = (left + right) / 2
        above = score(middle) > target
        left, right = np.where(above, middle, left), np.where(above, right, middle)
    ends = (left + right) / 2
    return value, ends[0], ends[1]


def _variance(delta: Floats, x1: Floats, n1: Floats, x2: Floats, n2: Floats) -> Floats:
    """Return V_s(δ): the likelihood's cubic equation in closed form (Miettinen and Nurminen, app. I)."""
    import numpy as np  # noqa: PLC0415  # as above

    n = n1 + n2
    l2 = (n1 + 2 * n2) * delta - n - x1 - x2
    l1 = (n2 * delta - n - 2 * x2) * delta + x1 + x2
    l0 = x2 * delta * (1 - delta)
    third = l2 / (3 * n)
    q = third**3 - l1 * l2 / (6 * n**2) + l0 / (2 * n)
    root = np.sqrt(np.maximum(third**2 - l1 / (3 * n), 0.0))
    p = np.where(q >= 0, root, -root)
    with np.errstate(divide="ignore", invalid="ignore"):
        cosine = np.where(p != 0, q / p**3, 0.0)
    angle = (np.pi + np.arccos(np.clip(cosine, -1.0, 1.0))) / 3
    second = np.clip(2 * p * np.cos(angle) - third, np.maximum(0, -delta), np.minimum(1, 1 - delta))
    first = np.clip(second + delta, 0.0, 1.0)
    return (first * (1 - first) / n1 + second * (1 - second) / n2) * n / (n - 1)


def paired_difference(
    only_first: int, only_second: int, pairs: int, level: float = LEVEL
) -> Difference:
    """Return the difference of paired rates with T. Tango's score interval.

    Statistics in Medicine 17 (1998) 891-908.

    Args:
        only_first: pairs in which only the first has the event.
        only_second: pairs in which only the second has it.
        pairs: all pairs, at least 1.
        level: coverage.
    """
    from scipy.special import ndtri  # noqa: PLC0415  # as above

    z = cast("float", ndtri((1 + level) / 2))
    b, c, n = only_first, only_second, pairs
    value = (b - c) / n

    def score(delta: float) -> float:
        linear = (2 * n - b + c) * delta - b - c
        constant = -c * delta * (1 - delta)
        q = (max(linear * linear - 8 * n * constant, 0.0) ** 0.5 - linear) / (4 * n)
        spread = n * (2 * q + delta * (1 - delta))
        return (b - c - n * delta) / max(spread, 1e-300) ** 0.5

    def solve(target: float, left: float, right: float) -> float:
        for _ in range(_HALVINGS):
            middle = (left + right) / 2
            left, right = (middle, right) if score(middle) > target else (left, middle)
        return (left + right) / 2

    interval = Interval(
        low=solve(z, -1.0, value), high=solve(-z, value, 1.0), sided=Sided.TWO, level=level
    )
    return Difference(value=value, interval=interval, strata=n)
