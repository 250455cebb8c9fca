"""How well judges and people agree: precision, recall and Cohen's kappa from a weighted sample. Pure.

Precision is the calibrated rate of the records that a judge calls events. With q the share of records
that it calls events, a the share of events among those and b among the others (both by double
sampling), recall and kappa (J. Cohen, Educational and Psychological Measurement 20 (1960) 37-46) are

    recall = q a / (q a + (1 - q) b)
    kappa = 2 q (1 - q) (a - b) / (q + P - 2 q P)      with P = q a + (1 - q) b

Their limits are recovered from the exact or calibrated ones of q, a and b, one moved at a time (G. Y. Zou
and A. Donner, Statistics in Medicine 27 (2008) 1693-1702); where a or b is 0, the others are moved beside
its limit instead, since beside 0 they would change nothing.

Kappa of two opinions on the same records (two people, two judges) is over a table in which each pair
counts by its weight. Its limits are those of the share of agreement, exact at L. Kish's effective number
of pairs, (Σ w)² / Σ w², with agreement by chance held at what was seen:

    (limit - chance) / (1 - chance)

The usual standard error (J. L. Fleiss, J. Cohen and B. S. Everitt 1969) is not used: its intervals do not
hold where pairs are few or words rare (docs/statistics.md, "Coverage").
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Any, cast

from runner.statistics.binomial import LEVEL, Interval, Rate, Sided, beta_quantile, rate, two_sided
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
    """None where there is no kappa."""


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
    parts = _Parts.of(called, others, level)
    known = parts.found or parts.missed
    low, high = parts.one_at_a_time(_recall) if known else (0.0, 1.0)
    value = _recall(*parts.shares) if parts.known and known else None
    return Calibrated(
        value=value,
        interval=_within(low, high, 0.0, level),
        labelled=sum(s.labelled for s in (*called, *others)),
    )


def kappa(
    called: Sequence[LabelStratum], others: Sequence[LabelStratum], level: float = LEVEL
) -> tuple[float | None, Interval]:
    """Return Cohen's kappa of a judge and people, with its interval.

    Args:
        called: strata of the records that the judge calls events.
        others: strata of those that it calls none.
        level: coverage.

    Returns:
        No value where there are no verdicts, a stratum has no label, or both only ever say one and
        the same word.

    Raises:
        ValueError: as `calibrated_rate`.
    """
    if not any(s.records for s in (*called, *others)):
        return None, Interval(low=-1.0, high=1.0, sided=Sided.NONE, level=level)
    parts = _Parts.of(called, others, level)
    low, high = parts.one_at_a_time(_kappa)
    q, a, b = parts.shares
    alike = q * a + (1 - q) * b in {0.0, 1.0} and q in {0.0, 1.0}
    value = _kappa(q, a, b) if parts.known and not alike else None
    return value, _within(low, high, -1.0, level)


_OfShares = Callable[[float, float, float], float]
_STEPS = 32
"""Over the limits of q: kappa need not rise or fall all the way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Parts:
    """Share called events, share of events among them, share among the others; with limits."""

    shares: tuple[float, float, float]
    limits: tuple[tuple[float, float], tuple[float, float], tuple[float, float]]
    known: bool
    """Every stratum with records has a label."""

    @classmethod
    def of(
        cls, called: Sequence[LabelStratum], others: Sequence[LabelStratum], level: float
    ) -> _Parts:
        hits, misses = sum(s.records for s in called), sum(s.records for s in others)
        said = two_sided(hits, hits + misses, level)
        share = hits / (hits + misses) if hits + misses else 0.5
        a, b = calibrated_rate(called, level), calibrated_rate(others, level)
        return cls(
            # What is not known stands in the middle; its limits reach 0 and 1 anyway.
            shares=(share, _or_half(a.value), _or_half(b.value)),
            limits=(
                (said.low, said.high),
                (a.interval.low, a.interval.high),
                (b.interval.low, b.interval.high),
            ),
            known=all(s.labelled for s in (*called, *others) if s.records),
        )

    @property
    def found(self) -> bool:
        """Return whether the judge found an event."""
        return self.shares[0] * self.shares[1] > 0

    @property
    def missed(self) -> bool:
        """Return whether it missed one."""
        return (1 - self.shares[0]) * self.shares[2] > 0

    def _steps(self) -> list[float]:
        low, high = self.limits[0]
        return [low + (high - low) * i / _STEPS for i in range(_STEPS + 1)]

    def one_at_a_time(self, of: _OfShares) -> tuple[float, float]:
        """Return limits of what rises with the second share and falls with the third."""
        (q, a, b), (_, at_a, at_b) = self.shares, self.limits
        value = of(q, a, b)
        less, more = (b if self.missed else at_b[1]), (a if self.found else at_a[1])
        low, high = of(q, a, less), of(q, more, b)
        below = (
            low - min(of(x, a, less) for x in self._steps()),
            low - of(q, at_a[0], less),
            value - of(q, a, at_b[1]),
        )
        above = (
            max(of(x, more, b) for x in self._steps()) - high,
            of(q, at_a[1], b) - value,
            of(q, more, at_b[0]) - high,
        )
        return value - sqrt(sum(d * d for d in below)), value + sqrt(sum(d * d for d in above))


def _or_half(value: float | None) -> float:
    return 0.5 if value is None else value


def _recall(q: float, a: float, b: float) -> float:
    found, missed = q * a, (1 - q) * b
    return found / (found + missed) if found + missed > 0 else 0.5


def _kappa(q: float, a: float, b: float) -> float:
    events = q * a + (1 - q) * b
    by_chance = q + events - 2 * q * events
    return 2 * q * (1 - q) * (a - b) / by_chance if by_chance > 0 else 1.0


def _within(low: float, high: float, least: float, level: float) -> Interval:
    return Interval(low=max(least, low), high=min(1.0, high), sided=Sided.TWO, level=level)


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
        found = cast("Any", inter_rater).cohens_kappa(table)
    value = float(found.kappa)
    share = sum(p.weight * p.count for p in pairs if p.first == p.second) / total
    chance = float(table.sum(axis=0) @ table.sum(axis=1)) / total**2
    low, high = (_above(limit, chance) for limit in _exact(share, effective, level))
    return Agreement(agreed=agreed, kappa=value, interval=_within(low, high, -1.0, level))


def _above(share: float, chance: float) -> float:
    return (share - chance) / (1 - chance)


def _exact(share: float, n: float, level: float) -> tuple[float, float]:
    """Return Clopper-Pearson limits of a share of n trials, which need be no whole number."""
    tail, x = (1 - level) / 2, share * n
    low = 0.0 if x < _NONE else beta_quantile(tail, x, n - x + 1)
    high = 1.0 if n - x < _NONE else beta_quantile(1 - tail, x + 1, n - x)
    return low, high


_NONE = 1e-9
"""Of a trial: rounding."""
