"""Rates corrected by human labels: double sampling, with the error of both samples. Pure.

All n records have a judge's verdict and fall into strata by it (and by whatever else the selection
looked at); of each stratum m_h records were labelled by people, y_h of them positive. With
W_h = N_h / N and p_h = y_h / m_h the rate is

    p = Σ W_h p_h

(A. Tenenbein, JASA 65 (1970) 1350-1361; W. G. Cochran, Sampling Techniques, section 12.2). Its
variance has a part of the labels, Σ W_h² p_h (1 - p_h) / m_h, and one of the verdicts,
Σ W_h (p_h - p)² / N. Both are 0 where they are needed most, at few events, so limits are recovered
from exact ones (G. Y. Zou and A. Donner, Statistics in Medicine 27 (2008) 1693-1702): with the
Clopper-Pearson limits l_h, u_h of each p_h

    lower = p - √( Σ W_h² (p_h - l_h)² + z² V )      upper = p + √( Σ W_h² (u_h - p_h)² + z² V )

A stratum without a label may have any rate: l_h = 0, u_h = 1, and its value counts as unknown. The
interval is conservative by construction; by how much is in docs/statistics.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from typing import cast

from runner.statistics.binomial import LEVEL, Interval, Sided, two_sided


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelStratum:
    """Records that one selection rule treats alike."""

    records: int
    """N_h: all of them, labelled or not."""
    labelled: int
    """m_h."""
    positive: int
    """y_h: labelled as events."""
    certain: bool = False
    """Their share is y_h / m_h without error: a refusal is no event by definition."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibrated:
    """A rate that no longer depends on the judge being right."""

    value: float | None
    """None where a stratum with records has no label."""
    interval: Interval
    labelled: int


def calibrated_rate(strata: Sequence[LabelStratum], level: float = LEVEL) -> Calibrated:
    """Return the double-sampling estimate with its interval.

    Args:
        strata: every record belongs to exactly one.
        level: coverage.

    Raises:
        ValueError: more labels than records, or more positives than labels.
    """
    for s in strata:
        if not 0 <= s.positive <= s.labelled <= s.records:
            msg = (
                f"{s.positive} positive of {s.labelled} labelled of {s.records} records: impossible"
            )
            raise ValueError(msg)
    used = [s for s in strata if s.records]
    total = sum(s.records for s in used)
    labelled = sum(s.labelled for s in used)
    if not labelled:
        nothing = Interval(low=0.0, high=1.0, sided=Sided.NONE, level=level)
        return Calibrated(value=None, interval=nothing, labelled=0)
    shares = [s.records / total for s in used]
    # Without a label the middle stands in; its limits reach 0 and 1 anyway.
    rates = [s.positive / s.labelled if s.labelled else 0.5 for s in used]
    limits = [
        two_sided(s.positive, s.labelled, level)
        if not s.certain
        else Interval(low=p, high=p, sided=Sided.TWO, level=level)
        for s, p in zip(used, rates, strict=True)
    ]
    value = sum(w * p for w, p in zip(shares, rates, strict=True))
    verdicts = sum(w * (p - value) ** 2 for w, p in zip(shares, rates, strict=True)) / total
    z2v = _z(level) ** 2 * verdicts
    below = sum((w * (p - i.low)) ** 2 for w, p, i in zip(shares, rates, limits, strict=True))
    above = sum((w * (i.high - p)) ** 2 for w, p, i in zip(shares, rates, limits, strict=True))
    interval = Interval(
        low=max(0.0, value - sqrt(below + z2v)),
        high=min(1.0, value + sqrt(above + z2v)),
        sided=Sided.TWO,
        level=level,
    )
    known = all(s.labelled for s in used)
    return Calibrated(value=value if known else None, interval=interval, labelled=labelled)


def calibrated_difference(first: Calibrated, second: Calibrated) -> Interval | None:
    """Return the interval of first - second, for independent samples; None where either is unknown.

    Limits recovered as above, from those of the two rates.
    """
    if first.value is None or second.value is None:
        return None
    a, b, d = first.interval, second.interval, first.value - second.value
    return Interval(
        low=max(-1.0, d - sqrt((first.value - a.low) ** 2 + (b.high - second.value) ** 2)),
        high=min(1.0, d + sqrt((a.high - first.value) ** 2 + (second.value - b.low) ** 2)),
        sided=Sided.TWO,
        level=a.level,
    )


def _z(level: float) -> float:
    from scipy.special import ndtri  # noqa: PLC0415  # 0.1 s, and only calibrated rates need it

    return cast("float", ndtri((1 + level) / 2))
