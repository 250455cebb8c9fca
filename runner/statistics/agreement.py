"""How well judges and people agree: precision, recall and Cohen's kappa from a weighted sample. Pure.

Precision is the calibrated rate of the records that a judge calls events. Recall is T / (T + F) with
T the judge's events that are events and F those it missed, both as estimated by double sampling; its
limits take each of the two at level (1 + level) / 2, so that both hold together with probability
level or more (Bonferroni): conservative. Kappa is J. Cohen's (Educational and Psychological
Measurement 20 (1960) 37-46) with the standard error of J. L. Fleiss, J. Cohen and B. S. Everitt (1969)
by statsmodels, over a table in which each pair counts by its weight; the table is scaled to L. Kish's
effective number of pairs, (Σ w)² / Σ w², so that unequal weights widen the interval.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

from runner.statistics.binomial import LEVEL, Interval, Rate, Sided, rate
from runner.statistics.calibrated import Calibrated, LabelStratum, calibrated_rate


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Two opinions on records, in one word each."""

    first: str
    second: str
    weight: float = 1.0
    """Of one record: how many it stands for."""
    count: int = 1
    """Records with these two opinions and this weight."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """How often two say the same, and how much more often than by chance."""

    agreed: Rate
    """Unweighted, with its exact interval."""
    kappa: float | None
    """None without pairs, and where both only ever use one and the same word."""
    interval: Interval | None
    """None where no pair differs: no error can be estimated then; look at `agreed`."""


def precision(called: Sequence[LabelStratum], level: float = LEVEL) -> Calibrated:
    """Return the share of events among the records that a judge calls events.

    Args:
        called: strata of the records that the judge calls events.
        level: coverage.

    Raises:
        ValueError: as `calibrated_rate`.
    """
    return calibrated_rate(called, level)


def recall(
    called: Sequence[LabelStratum], others: Sequence[LabelStratum], level: float = LEVEL
) -> Calibrated:
    """Return the share of the events that a judge calls events.

    Args:
        called: strata of the records that the judge calls events.
        others: strata of all other records; without labels there, nothing bounds what is missed.
        level: coverage.

    Returns:
        No value where a stratum has no label, or no event was found by anybody.

    Raises:
        ValueError: as `calibrated_rate`.
    """
    each = (1 + level) / 2
    hit, missed = calibrated_rate(called, each), calibrated_rate(others, each)
    hits, misses = sum(s.records for s in called), sum(s.records for s in others)
    low = _share(hits * hit.interval.low, misses * missed.interval.high, 0.0)
    high = _share(hits * hit.interval.high, misses * missed.interval.low, 1.0)
    value = None
    known = (not hits or hit.value is not None) and (not misses or missed.value is not None)
    found, lost = hits * (hit.value or 0.0), misses * (missed.value or 0.0)
    if known and found + lost > 0:
        value = found / (found + lost)
    return Calibrated(
        value=value,
        interval=Interval(low=low, high=high, sided=Sided.TWO, level=level),
        labelled=hit.labelled + missed.labelled,
    )


def _share(part: float, rest: float, otherwise: float) -> float:
    return part / (part + rest) if part + rest > 0 else otherwise


def agreement(pairs: Sequence[Pair], level: float = LEVEL) -> Agreement:
    """Return how well two agree."""
    count = sum(p.count for p in pairs)
    same = sum(p.count for p in pairs if p.first == p.second)
    agreed = rate(same, count, level)
    words = sorted({w for p in pairs for w in (p.first, p.second)})
    if len(words) < 2:
        return Agreement(agreed=agreed, kappa=None, interval=None)
    import numpy as np  # noqa: PLC0415  # 0.1 s, and only calibration needs it
    from statsmodels.stats import inter_rater  # noqa: PLC0415  # 1.5 s with pandas

    total = sum(p.weight * p.count for p in pairs)
    effective = total**2 / sum(p.weight**2 * p.count for p in pairs)
    table = np.zeros((len(words), len(words)))
    for p in pairs:
        table[words.index(p.first), words.index(p.second)] += p.weight * p.count
    with np.errstate(all="ignore"):  # its test of no agreement divides by 0 where a word is missing
        found = cast("Any", inter_rater).cohens_kappa(table * effective / total)
    value = float(found.kappa)
    if same == count:
        return Agreement(agreed=agreed, kappa=value, interval=None)
    half = _z(level) * float(found.std_kappa)
    return Agreement(
        agreed=agreed,
        kappa=value,
        interval=Interval(
            low=max(-1.0, value - half), high=min(1.0, value + half), sided=Sided.TWO, level=level
        ),
    )


def _z(level: float) -> float:
    from scipy.special import ndtri  # noqa: PLC0415  # as above

    return cast("float", ndtri((1 + level) / 2))
