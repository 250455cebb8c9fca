"""Rates corrected by human labels: double sampling, with the error of both samples. Pure.

All n records have a judge's verdict and fall into strata by it (and by whatever else the selection
looked at); of each stratum m_h records were labelled by people, y_h of them positive. With
W_h = N_h / N and p_h = y_h / m_h the rate is

    p = Σ W_h p_h

(A. Tenenbein, JASA 65 (1970) 1350-1361; W. G. Cochran, Sampling Techniques, section 12.2). Its
variance has a part of the labels and one of the verdicts,

    V = Σ W_h² p_h (1 - l_h) / m_h + Σ W_h (p_h - p)² / N

with the Clopper-Pearson limit l_h in the place of the second p_h, which would be 1 where the few labels
of a stratum are all events. The lower limit is that of a gamma distribution with this mean and variance,
after M. P. Fay and E. J. Feuer (Statistics in Medicine 16 (1997) 791-801), whose weighted sums of rare
events these are: at one stratum it is the Clopper-Pearson limit but for rounding, at few events over
many strata it is as skew as their sum. The upper limit is 1 less the lower one of the non-events.

Limits recovered from those of the strata as a root of summed squares (G. Y. Zou and A. Donner, Statistics
in Medicine 27 (2008) 1693-1702) do not do here: over seven strata with an event or two each they miss
above 12 % on one side, since an exact lower limit lies within one event of one event and such distances
do not add as squares (docs/statistics.md, "Coverage").

A stratum without a label may have any rate: none for the lower limit, all for the upper, and the value
counts as unknown.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
    events = [_part(s, total, s.positive, level) for s in used]
    others = [_part(s, total, s.labelled - s.positive, level) for s in used]
    interval = Interval(
        low=_lower(events, total, level),
        high=1 - _lower(others, total, level),
        sided=Sided.TWO,
        level=level,
    )
    value = sum(part.share * part.rate for part in events)
    known = all(s.labelled for s in used)
    return Calibrated(value=value if known else None, interval=interval, labelled=labelled)


def calibrated_difference(first: Calibrated, second: Calibrated) -> Interval | None:
    """Return the interval of first - second, for independent samples; None where either is unknown.

    Limits recovered from those of the two rates, as a root of summed squares (Zou and Donner).
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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """What a stratum gives to a sum of shares."""

    share: float
    """W_h."""
    rate: float
    """p_h, 0 without a label."""
    variance: float
    """Of p_h; that of the mean of m_h labels."""


def _part(stratum: LabelStratum, total: int, counted: int, level: float) -> _Part:
    """Return the part of a stratum in a sum over what was counted of it, events or others."""
    share, n = stratum.records / total, stratum.labelled
    if not n or not counted:
        return _Part(share=share, rate=0.0, variance=0.0)
    low = two_sided(counted, n, level).low
    variance = 0.0 if stratum.certain else counted / n * (1 - low) / n
    return _Part(share=share, rate=counted / n, variance=variance)


def _lower(parts: Sequence[_Part], total: int, level: float) -> float:
    """Return the lower limit of Σ W_h p_h."""
    value = sum(part.share * part.rate for part in parts)
    labels = sum(part.share**2 * part.variance for part in parts)
    verdicts = sum(part.share * (part.rate - value) ** 2 for part in parts) / total
    variance = labels + verdicts
    if value <= 0 or variance <= 0:  # nothing seen; or nothing left open
        return value
    from scipy.special import gammaincinv  # noqa: PLC0415  # 0.1 s, and only calibrated rates need it

    quantile = cast("Callable[[float, float], float]", gammaincinv)
    return min(value, quantile(value**2 / variance, (1 - level) / 2) * variance / value)
