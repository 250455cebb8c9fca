"""Tests of no difference: stratified, paired, and Holm's correction. Pure; statsmodels' home.

Stratified: Cochran-Mantel-Haenszel without continuity correction (statsmodels). Where its normal
approximation is too coarse (variance of the pooled count below 10, that is few events) the exact
conditional test of the same hypothesis: given the margins of every stratum, the number of events of
the first group is a sum of hypergeometric counts; two-sided, twice the smaller tail. It is
conservative, never liberal. Paired: McNemar, exact (statsmodels).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

from runner.statistics.strata import Stratum

_COARSE = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Test:
    """A two-sided test."""

    p: float
    method: str
    adjusted: float | None = None
    """By Holm, over all declared contrasts; None for what was not declared."""


def cochran_mantel_haenszel(strata: Sequence[Stratum]) -> Test | None:
    """Return the test of no difference within strata, None without a usable stratum.

    Without any event, or with nothing but events, in all strata p is 1: nothing could differ.
    """
    used = [s for s in strata if s.usable]
    if not used:
        return None
    informative = [s for s in used if 0 < s.events + s.other_events < s.n + s.other_n]
    if not informative:
        return Test(p=1.0, method="no stratum with both outcomes")
    if sum(_variance(s) for s in informative) < _COARSE:
        return Test(p=_exact(informative), method="exact conditional")
    from statsmodels.stats import contingency_tables  # noqa: PLC0415  # 1.5 s with pandas

    tables = [
        [[float(s.events), float(s.n - s.events)],
         [float(s.other_events), float(s.other_n - s.other_events)]]
        for s in informative
    ]  # fmt: skip
    found = (
        cast("Any", contingency_tables)
        .StratifiedTable([_matrix(t) for t in tables])
        .test_null_odds()
    )
    from scipy.stats import chi2  # noqa: PLC0415  # as above

    # The statistic's own tail: statsmodels' p-value is 1 - cdf, which is 0 below 1e-16.
    tail = cast("Callable[[float, int], float]", cast("Any", chi2).sf)
    return Test(p=float(tail(float(found.statistic), 1)), method="Cochran-Mantel-Haenszel")


def _matrix(rows: list[list[float]]) -> object:
    import numpy as np  # noqa: PLC0415  # 0.1 s, and only comparisons need it

    return np.asarray(rows, dtype=np.float64)


def _variance(s: Stratum) -> float:
    total, events = s.n + s.other_n, s.events + s.other_events
    return s.n * s.other_n * events * (total - events) / (total**2 * (total - 1))


def _exact(strata: Sequence[Stratum]) -> float:
    import numpy as np  # noqa: PLC0415  # as above
    from scipy.stats import hypergeom  # noqa: PLC0415  # as above

    pmf = cast("Callable[..., Any]", cast("Any", hypergeom).pmf)
    whole, lowest = np.ones(1), 0
    for s in strata:
        events = s.events + s.other_events
        first, last = max(0, events - s.other_n), min(events, s.n)
        whole = np.convolve(whole, pmf(np.arange(first, last + 1), s.n + s.other_n, s.n, events))
        lowest += first
    at = sum(s.events for s in strata) - lowest
    return min(1.0, 2 * min(float(whole[: at + 1].sum()), float(whole[at:].sum())))


def mcnemar_test(only_first: int, only_second: int) -> Test:
    """Return the exact paired test from the two counts of discordant pairs."""
    if not only_first + only_second:
        return Test(p=1.0, method="McNemar, no discordant pair")
    from statsmodels.stats import contingency_tables  # noqa: PLC0415  # as above

    found = cast("Any", contingency_tables).mcnemar([[0, only_first], [only_second, 0]], exact=True)
    return Test(p=float(found.pvalue), method="McNemar, exact")


def holm(p_values: Sequence[float]) -> list[float]:
    """Return the p-values adjusted by S. Holm's step-down method, in the order given."""
    if not p_values:
        return []
    from statsmodels.stats import multitest  # noqa: PLC0415  # as above

    adjusted = cast("Any", multitest).multipletests(list(p_values), method="holm")[1]
    return [float(p) for p in adjusted]
