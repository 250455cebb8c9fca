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

from runner.review.allocation import Stratum as LabelCell
from runner.review.allocation import allocate
from runner.statistics.agreement import Pair, agreement, kappa, precision, recall
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
PEOPLE = 0.05
"""How often a person says the other thing."""
OUTCOMES = 7
"""Verdicts of a cell that a sample is stratified by: the rule graders' outcomes."""
FEW = (1, 2, 5, 20)
"""Labels of each outcome."""
ITEMS = (100, 400)
"""Records that people label, over both models together: the default of `runner review`, and more."""


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


def few_labels(
    truth: float,
    labels: int,
    sweeps: int,
    seed: int,
    *,
    mixed: bool,
    interval: Callable[[list[LabelStratum]], Interval] = lambda s: calibrated_rate(s).interval,
) -> float:
    """Coverage of a calibrated rate over seven outcomes of which as many are labelled each.

    3,000 records a sweep. Either the outcomes are equally frequent and tell nothing of the truth, or
    each is half as frequent as the one before and its own rate drawn from a beta distribution with
    parameters a fifth of the truth and of its complement; then the truth is the mean of those rates.
    """
    rng = np.random.default_rng(seed)
    sizes = [0.5 ** (i + 1) if mixed else 1.0 for i in range(OUTCOMES)]
    shares = np.array(sizes) / sum(sizes)
    held = 0
    for _ in range(sweeps):
        rates = np.full(OUTCOMES, truth)
        if mixed and truth not in {0.0, 1.0}:
            rates = rng.beta(truth / 5, (1 - truth) / 5, OUTCOMES)
        records = rng.multinomial(3000, shares)
        events = rng.binomial(records, rates)
        strata = [
            LabelStratum(
                records=int(n),
                labelled=min(int(n), labels),
                positive=int(rng.hypergeometric(k, n - k, min(n, labels))),
            )
            for n, k in zip(records, events, strict=True)
        ]
        found = interval(strata)
        held += bool(found.low - 1e-12 <= float(shares @ rates) <= found.high + 1e-12)
    return held / sweeps


@dataclass(slots=True)
class Held:
    """Intervals of one kind: how many hold the truth, of how many that were given."""

    held: int = 0
    given: int = 0

    def count(self, interval: Interval | None, truth: float | None) -> None:
        if interval is None or truth is None or np.isnan(truth):
            return
        self.given += 1
        self.held += interval.low - 1e-12 <= truth <= interval.high + 1e-12

    def figure(self, truth: float, n: int, sweeps: int) -> Figure:
        share = self.held / self.given if self.given else None
        return Figure(truth=truth, n=n, held=share, given=self.given / sweeps)


def kappa_of(table: np.ndarray) -> float:
    """Return Cohen's kappa of shares, rows by one opinion and columns by the other."""
    chance = float(table.sum(axis=1) @ table.sum(axis=0))
    return float("nan") if chance >= 1 else (float(np.trace(table)) - chance) / (1 - chance)


def _judged(
    rng: np.random.Generator, truth: float, n: int
) -> tuple[dict[LabelCell, int], dict[LabelCell, int]]:
    """Return the records of each model and verdict, and how many of them are events."""
    sizes: dict[LabelCell, int] = {}
    events: dict[LabelCell, int] = {}
    for model, (sensitivity, specificity) in enumerate(JUDGES):
        harmful = int(rng.binomial(n, truth))
        found = int(rng.binomial(harmful, sensitivity))
        wrong = int(rng.binomial(n - harmful, 1 - specificity))
        yes = LabelCell(model=f"m{model}", scenario="s", verdict="yes")
        no = LabelCell(model=f"m{model}", scenario="s", verdict="no")
        sizes |= {yes: found + wrong, no: n - found - wrong}
        events |= {yes: found, no: harmful - found}
    return sizes, events


def two_people(truth: float, n: int, items: int, sweeps: int, seed: int) -> Figure:
    """Kappa of two people, each wrong in 5 %, on the fifth of a sample that both have labelled."""
    rng = np.random.default_rng(seed)
    wrong = np.array([[1 - PEOPLE, PEOPLE], [PEOPLE, 1 - PEOPLE]])
    true = kappa_of(wrong @ np.diag([1 - truth, truth]) @ wrong)
    out = Held()
    for _ in range(sweeps):
        sizes, events = _judged(rng, truth, n)
        pairs: list[Pair] = []
        for cell, m in allocate(sizes, items // 5).items():
            harmful = int(rng.hypergeometric(events[cell], sizes[cell] - events[cell], m))
            for count, shares in ((m - harmful, wrong[0]), (harmful, wrong[1])):
                both = rng.multinomial(count, np.outer(shares, shares).ravel())
                pairs += [
                    Pair(first=a, second=b, weight=sizes[cell] / m, count=int(k))
                    for (a, b), k in zip(("nn", "ny", "yn", "yy"), both, strict=True)
                    if k
                ]
        out.count(agreement(pairs).interval, true)
    return out.figure(truth, n, sweeps)


def accuracies(truth: float, n: int, items: int, sweeps: int, seed: int) -> list[Figure]:
    """Return precision, recall and kappa (of judge and people) over two models whose judges err apart.

    n records a model; the sample is what `runner review --items` would draw: strata of model × verdict
    by its own allocation. Truths are those of endlessly many records.
    """
    rng = np.random.default_rng(seed)
    rates = np.array([[truth * a, truth * (1 - a)] for a, _ in JUDGES])  # harmful: said, missed
    others = np.array([[(1 - truth) * (1 - b), (1 - truth) * b] for _, b in JUDGES])
    hit, missed = rates.mean(axis=0)
    false, right = others.mean(axis=0)
    true_precision = hit / (hit + false) if hit + false else None
    true_recall = hit / (hit + missed) if hit + missed else None
    true_kappa = kappa_of(np.array([[hit, false], [missed, right]]))
    out = Held(), Held(), Held()
    for _ in range(sweeps):
        sizes, events = _judged(rng, truth, n)
        drawn = allocate(sizes, items)
        strata = {
            cell: LabelStratum(
                records=sizes[cell],
                labelled=m,
                positive=int(rng.hypergeometric(events[cell], sizes[cell] - events[cell], m)),
            )
            for cell, m in drawn.items()
        }
        called = [s for cell, s in strata.items() if cell.verdict == "yes"]
        rest = [s for cell, s in strata.items() if cell.verdict == "no"]
        out[0].count(precision(called).interval if called else None, true_precision)
        out[1].count(recall(called, rest).interval, true_recall)
        out[2].count(kappa(called, rest)[1], true_kappa)
    return [held.figure(truth, n, sweeps) for held in out]


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
    yield ""
    names = [f"{how}, {m} each" for how in ("alike", "unlike") for m in FEW]
    yield f"| truth, 7 outcomes | {' | '.join(names)} |"
    yield "| ---: |" + " ---: |" * len(names)
    for truth in TRUTHS:
        seed = round(truth * 1000) * 10_000 + 3
        shown = [few_labels(truth, m, sweeps, seed, mixed=x) for x in (False, True) for m in FEW]
        yield f"| {truth} | " + " | ".join(map(_share, shown)) + " |"
    yield ""
    names = [f"{what}, {i} labels" for what in ("precision", "recall", "κ") for i in ITEMS]
    names += [f"κ of two people, {i // 5} labels" for i in ITEMS]
    yield f"| truth | n | {' | '.join(names)} |"
    yield "| ---: | ---: |" + " ---: |" * len(names)
    for truth in TRUTHS:
        for n in SIZES:
            seed = round(truth * 1000) * 10_000 + n + 2
            few, many = (accuracies(truth, n, items, sweeps, seed) for items in ITEMS)
            shown = [f for pair in zip(few, many, strict=True) for f in pair]
            shown += [two_people(truth, n, items, sweeps, seed) for items in ITEMS]
            yield (
                f"| {truth} | {n} | "
                + " | ".join(f"{_share(f.held)} ({_share(f.given)})" for f in shown)
                + " |"
            )


if __name__ == "__main__":
    for line in lines(int(sys.argv[1]) if len(sys.argv) > 1 else SWEEPS):
        print(line, flush=True)
