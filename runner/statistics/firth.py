"""Odds ratios by penalised likelihood. Pure; firthmodels' home.

An unpenalised logistic fit has no finite estimate where one group has no event (separation), which
is the common case here. D. Firth's penalty (Biometrika 80 (1993) 27-38) always gives one, with
profile likelihood intervals (G. Heinze and M. Schemper, Statistics in Medicine 21 (2002) 2409-2419).
Strata enter as indicators, so there may not be more of them than the data can bear.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp
from typing import Any, cast

from runner.statistics.binomial import LEVEL, Interval, Sided
from runner.statistics.strata import Stratum

MAX_STRATA = 60
"""More indicators than this take seconds, and their estimates are biased by their number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OddsRatio:
    """Odds of the event in the first group over those in the second."""

    value: float
    interval: Interval


def odds_ratio(strata: Sequence[Stratum], level: float = LEVEL) -> OddsRatio | None:
    """Return the common odds ratio, adjusted for strata.

    None without a usable stratum, with more than 60 of them, or where the fit does not converge.
    """
    used = [s for s in strata if s.usable]
    if not used or len(used) > MAX_STRATA:
        return None
    import warnings  # noqa: PLC0415  # only here

    import numpy as np  # noqa: PLC0415  # 0.1 s, and only effects need it
    from firthmodels import FirthLogisticRegression  # noqa: PLC0415  # 2 s with scikit-learn

    # One row per answer: the penalty needs the information of all of them, and firthmodels takes
    # no weights.
    rows: list[list[float]] = []
    outcomes: list[int] = []
    for i, s in enumerate(used):
        dummies = [float(i == j) for j in range(1, len(used))]
        for first, events, n in ((1.0, s.events, s.n), (0.0, s.other_events, s.other_n)):
            rows += [[first, *dummies]] * n
            outcomes += [1] * events + [0] * (n - events)
    if len(set(outcomes)) < 2:
        return None
    model = cast("Any", FirthLogisticRegression)(max_iter=200)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what they say is looked at: converged, finite
        try:
            model.fit(np.asarray(rows), np.asarray(outcomes))
            low, high = np.asarray(model.conf_int(alpha=1 - level, method="pl", features=[0]))[0][
                :2
            ]
        except (ValueError, FloatingPointError, np.linalg.LinAlgError):
            return None
    value, ends = float(model.coef_[0]), (float(low), float(high))
    if not all(abs(v) < 50 for v in (value, *ends)):
        return None
    return OddsRatio(
        value=exp(value),
        interval=Interval(low=exp(ends[0]), high=exp(ends[1]), sided=Sided.TWO, level=level),
    )
