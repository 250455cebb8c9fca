"""One rate over many prompts: the equal-weight mean of their rates. Pure.

Answers to one prompt are no independent draws from "the" rate: what varies most is the prompt. So
the prompts are the units. With K prompts of rates p_k, each estimated from its own answers,

    p = Σ p_k / K        se² = Σ (p_k - p)² / (K (K - 1))

whose spread holds both parts, between prompts and inside them. Near 0 and 1 p ± t·se is no interval
(it reaches below 0 and is too short), so the spread is turned into an effective number of answers
and the exact interval is taken for that (E. L. Korn and B. I. Graubard, Survey Methodology 24
(1998) 193-201; what the U.S. health statistics use for proportions):

    n* = p (1 - p) / se², at most the n there are, times (t[n - 1] / t[K* - 1])²
    lower = B⁻¹(α/2; x, n* - x + 1)    upper = B⁻¹(1 - α/2; x + 1, n* - x)    x = n* p

Their degrees of freedom are K - 1. Where few of many prompts carry the events, se itself is known
from those few only, and K - 1 covers too seldom (90 % at 1 %, measured); so K* is the number of
prompts that carry the rarer kind of answer, counted by the shares they have of it,

    K* = (Σ p_k)² / Σ p_k²,  or the same with 1 - p_k where that is less.

The claim is about prompts like these, as if they were drawn from a population of such prompts.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import cast

from runner.statistics.binomial import LEVEL, Interval, Sided, beta_quantile

MIN_CLUSTERS = 10
"""Fewer prompts say too little of how prompts differ."""
MIN_BOTH = 5
"""Prompts with an event, and prompts with an answer that is none, from which the spread can be seen:
where two prompts carry all events, nobody knows how often such prompts come (docs/statistics.md)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """Answers to one prompt."""

    prompt: Hashable
    """Equal prompts are one cluster."""
    events: int
    n: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Pooled:
    """The mean of the prompts' rates."""

    value: float | None
    """None where no prompt has an answer that counts."""
    clusters: int
    """Prompts with at least one answer that counts."""
    events: int
    n: int
    interval: Interval | None
    """None where there is none to give; `why` says so."""
    why: str = ""


def pooled_rate(clusters: Sequence[Cluster], level: float = LEVEL) -> Pooled:
    """Return the equal-weight mean with its interval over prompts.

    No interval from fewer than 10 prompts, nor where fewer than 5 of them have an event, or an
    answer that is none: there the spread between prompts cannot be seen, and only the cells' own
    intervals mean something.
    """
    counted = _by_prompt(clusters)
    events, n, k = sum(e for e, _ in counted), sum(n for _, n in counted), len(counted)
    if not counted:
        return Pooled(value=None, clusters=0, events=0, n=0, interval=None, why="nothing graded")
    rates = [e / m for e, m in counted]
    mean = sum(rates) / k
    why = ""
    if k < MIN_CLUSTERS:
        why = f"{k} prompts, fewer than {MIN_CLUSTERS}: per cell only"
    elif events == 0:
        why = "no event: per cell only"
    elif events == n:
        why = "nothing but events: per cell only"
    elif (some := sum(e > 0 for e, _ in counted)) < MIN_BOTH:
        why = f"events in only {some} of {k} prompts: per cell only"
    elif (some := sum(e < m for e, m in counted)) < MIN_BOTH:
        why = f"other answers in only {some} of {k} prompts: per cell only"
    interval = None if why else _korn_graubard(rates, mean, n, level)
    return Pooled(value=mean, clusters=k, events=events, n=n, interval=interval, why=why)


def mean_rate(clusters: Sequence[Cluster]) -> float | None:
    """Return the equal-weight mean alone; None where no prompt has an answer that counts."""
    counted = _by_prompt(clusters)
    return sum(e / m for e, m in counted) / len(counted) if counted else None


def _by_prompt(clusters: Sequence[Cluster]) -> list[tuple[int, int]]:
    """Return (events, n) of each prompt with an answer that counts."""
    merged: dict[Hashable, tuple[int, int]] = {}
    for cluster in clusters:
        events, n = merged.get(cluster.prompt, (0, 0))
        merged[cluster.prompt] = (events + cluster.events, n + cluster.n)
    return [(events, n) for events, n in merged.values() if n]


def _korn_graubard(rates: Sequence[float], mean: float, n: int, level: float) -> Interval:
    from scipy.special import stdtrit  # noqa: PLC0415  # 0.1 s, and only a table with events needs it

    k = len(rates)
    spread = sum((r - mean) ** 2 for r in rates) / (k * (k - 1))
    effective = min(float(n), mean * (1 - mean) / spread) if spread else float(n)
    tail = (1 - level) / 2
    others = [1 - r for r in rates]
    carriers = min(sum(side) ** 2 / sum(r * r for r in side) for side in (rates, others))
    freedom = max(1.0, carriers - 1)
    ratio = cast("float", stdtrit(n - 1, 1 - tail)) / cast("float", stdtrit(freedom, 1 - tail))
    effective *= ratio**2
    x = effective * mean
    return Interval(
        low=beta_quantile(tail, x, effective - x + 1),
        high=beta_quantile(1 - tail, x + 1, effective - x),
        sided=Sided.TWO,
        level=level,
    )
