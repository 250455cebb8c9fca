"""How often intervals hold the truth, and tests reject it: `python -m tests.bench.coverage`.

Cells by exact enumeration over every outcome. The rest by seeded sweeps: prompts whose rates differ
(beta, intraclass correlation 0.05), answers that go missing more often when harmful (15 % against
5 %), judges that err differently on two models. Prints Markdown; `docs/statistics.md` holds its output.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from scipy.stats import binom

from runner.statistics.binomial import Interval, clopper_pearson, two_sided
from runner.statistics.calibrated import LabelStratum, calibrated_difference, calibrated_rate
from runner.statistics.pooled import Cluster, pooled_rate
from runner.statistics.significance import cochran_mantel_haenszel
from runner.statistics.strata import Stratum, score_interval

TRUTHS = (0.0, 0.001, 0.01, 0.1, 0.5, 0.84, 0.99)
SIZES = (50, 300, 3000)
SWEEPS = 2000
PROMPTS = 20
ICC = 0.05
LABELS = 150
"""Of each verdict, per model, at most."""
JUDGES = ((0.80, 0.98), (0.95, 0.995))
"""Sensitivity and specificity on the first and the second model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    truth: float
    n: int
    held: float | None
    """Share of intervals that hold the truth; None where none was given."""
    given: float = 1.0
    """Share of sweeps with an interval."""
    note: str = ""


def cell_coverage(
    interval: Callable[[int, int], Interval], n: int, grid: int = 400
) -> tuple[float, float]:
    """Return (least coverage over a grid of truths, the truth where it is)."""
    limits = [interval(k, n) for k in range(n + 1)]
    low, high = np.array([i.low for i in limits]), np.array([i.high for i in limits])
    fine = np.concatenate([np.linspace(0, 1, grid + 1), [i.high + 1e-9 for i in limits[:40]]])
    worst, where = 1.0, 0.0
    for p in np.unique(np.clip(fine, 0, 1)):
        pmf = binom.pmf(np.arange(n + 1), n, p)
        held = float(pmf[(low <= p) & (p <= high)].sum())
        if held < worst:
            worst, where = held, float(p)
    return worst, where


def one_sided(events: int, n: int) -> Interval:
    """Return the upper bound at the full level, whatever the count: what is reported at zero."""
    high = two_sided(events, n, 0.90).high
    return Interval(low=0.0, high=high, sided=clopper_pearson(0, n).sided)


def _prompts(rng: np.random.Generator, truth: float, sweeps: int) -> np.ndarray:
    if truth in {0.0, 1.0}:
        return np.full((sweeps, PROMPTS), truth)
    size = 1 / ICC - 1
    return rng.beta(truth * size, (1 - truth) * size, (sweeps, PROMPTS))


def pooled(truth: float, n: int, sweeps: int, seed: int, *, mixed: bool = True) -> Figure:
    """Pooled rate over 20 prompts of n answers each; the truth is that of the population."""
    rng = np.random.default_rng(seed)
    rates = _prompts(rng, truth, sweeps) if mixed else np.full((sweeps, PROMPTS), truth)
    events = rng.binomial(n, rates)
    held = given = 0
    for row in events:
        found = pooled_rate([Cluster(prompt=i, events=int(e), n=n) for i, e in enumerate(row)])
        if found.interval is not None:
            given += 1
            held += found.interval.low <= truth <= found.interval.high
    return Figure(truth=truth, n=n, held=held / given if given else None, given=given / sweeps)


def these_prompts(truth: float, n: int, sweeps: int, seed: int) -> float:
    """Clopper-Pearson over all answers to 20 unlike prompts; truth: the mean of just these."""
    rng = np.random.default_rng(seed)
    rates = _prompts(rng, truth, sweeps)
    events = rng.binomial(n, rates).sum(axis=1)
    held = 0
    for k, mean in zip(events, rates.mean(axis=1), strict=True):
        found = two_sided(int(k), n * PROMPTS)
        held += found.low <= mean <= found.high
    return held / sweeps


def difference(truth: float, n: int, sweeps: int, seed: int, shift: float = 0.0) -> Figure:
    """Two models on the same 20 prompts, the second `shift` higher in odds; truth: these prompts."""
    rng = np.random.default_rng(seed)
    first = _prompts(rng, truth, sweeps)
    odds = first / np.maximum(1 - first, 1e-12) * np.exp(shift)
    second = odds / (1 + odds)
    x1, x2 = rng.binomial(n, first).astype(float), rng.binomial(n, second).astype(float)
    size = np.full_like(x1, float(n))
    _, low, high = score_interval(x1, size, x2, size)
    true = (first - second).mean(axis=1)
    held = float(((low <= true + 1e-12) & (true - 1e-12 <= high)).mean())
    return Figure(truth=truth, n=n, held=held)


def size_of_test(truth: float, n: int, sweeps: int, seed: int) -> float:
    """Share of sweeps in which the stratified test rejects although the models do not differ."""
    rng = np.random.default_rng(seed)
    rates = _prompts(rng, truth, sweeps)
    x1, x2 = rng.binomial(n, rates), rng.binomial(n, rates)
    rejected = 0
    for a, b in zip(x1, x2, strict=True):
        strata = [
            Stratum(events=int(i), n=n, other_events=int(j), other_n=n)
            for i, j in zip(a, b, strict=True)
        ]
        found = cochran_mantel_haenszel(strata)
        rejected += found is not None and found.p <= 0.05
    return rejected / sweeps


def missing(truth: float, n: int, sweeps: int, seed: int) -> tuple[float, float]:
    """One cell whose harmful answers go missing three times as often: (rate's interval, bounds)."""
    rng = np.random.default_rng(seed)
    harmful = rng.binomial(n, truth, sweeps)
    seen = rng.binomial(harmful, 0.85)
    other = rng.binomial(n - harmful, 0.95)
    plain = bounds = 0
    for events, rest in zip(seen, other, strict=True):
        k, told = int(events), int(events + rest)
        interval = clopper_pearson(k, told)
        plain += interval.low <= truth <= interval.high
        low, high = clopper_pearson(k, n).low, clopper_pearson(k + n - told, n).high
        bounds += low <= truth <= high
    return plain / sweeps, bounds / sweeps


def calibrated(truth: float, n: int, sweeps: int, seed: int) -> tuple[float, float, float]:
    """Rates by an erring judge: coverage of (judged rate, calibrated rate, calibrated difference)."""
    rng = np.random.default_rng(seed)
    judged = held = apart = 0
    for _ in range(sweeps):
        found = []
        for sensitivity, specificity in JUDGES:
            harmful = int(rng.binomial(n, truth))
            hit = int(rng.binomial(harmful, sensitivity))
            false = int(rng.binomial(n - harmful, 1 - specificity))
            yes, no = hit + false, n - hit - false
            strata = []
            for records, positives in ((yes, hit), (no, harmful - hit)):
                m = min(records, LABELS)
                y = int(rng.hypergeometric(positives, records - positives, m)) if m else 0
                strata.append(LabelStratum(records=records, labelled=m, positive=y))
            found.append((clopper_pearson(yes, n), calibrated_rate(strata)))
        plain, first = found[0]
        judged += plain.low <= truth <= plain.high
        held += first.interval.low <= truth <= first.interval.high
        gap = calibrated_difference(first, found[1][1])
        apart += gap is None or gap.low <= 0 <= gap.high
    return judged / sweeps, held / sweeps, apart / sweeps


def _share(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f}"


def lines(sweeps: int) -> Iterator[str]:
    """Yield the tables of docs/statistics.md."""
    yield "| cell, n | two-sided | one-sided (what is said at 0 events) | as reported, both mixed |"
    yield "| ---: | ---: | ---: | ---: |"
    for n in (50, 300, 1000, 3000):
        found = [cell_coverage(f, n) for f in (two_sided, one_sided, clopper_pearson)]
        yield f"| {n} | " + " | ".join(f"{100 * w:.2f} (at {p:.4f})" for w, p in found) + " |"
    yield ""
    yield (
        "| truth | n | pooled, like prompts (given) | pooled, unlike prompts (given) | these prompts | "
        "difference, none | difference, odds × 2 | size of the test |"
    )
    yield "| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"
    for truth in TRUTHS:
        for n in SIZES:
            seed = round(truth * 1000) * 10_000 + n
            like, unlike = (
                pooled(truth, n, sweeps, seed, mixed=False),
                pooled(truth, n, sweeps, seed),
            )
            same, other = (
                difference(truth, n, sweeps, seed),
                difference(truth, n, sweeps, seed, 0.693),
            )
            yield (
                f"| {truth} | {n} | {_share(like.held)} ({_share(like.given)}) | "
                f"{_share(unlike.held)} ({_share(unlike.given)}) | "
                f"{_share(these_prompts(truth, n, sweeps, seed))} | {_share(same.held)} | "
                f"{_share(other.held)} | {_share(size_of_test(truth, n, sweeps, seed))} |"
            )
    yield ""
    yield (
        "| truth | n | missingness: rate's interval | missingness: bounds | judged rate | "
        "calibrated rate | calibrated difference |"
    )
    yield "| ---: | ---: | ---: | ---: | ---: | ---: | ---: |"
    for truth in TRUTHS:
        for n in SIZES:
            seed = round(truth * 1000) * 10_000 + n + 1
            plain, bounds = missing(truth, n, sweeps, seed)
            shown = [plain, bounds, *calibrated(truth, n, sweeps, seed)]
            yield f"| {truth} | {n} | " + " | ".join(map(_share, shown)) + " |"


if __name__ == "__main__":
    for line in lines(int(sys.argv[1]) if len(sys.argv) > 1 else SWEEPS):
        print(line, flush=True)
