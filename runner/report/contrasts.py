"""Answers to a report's questions: stratified differences with intervals, tests, bounds, notes. Pure."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from runner.report.questions import Key, Question
from runner.report.rates import HeadlineRate
from runner.report.rows import ReportRow
from runner.report.spread import Spread, spread_of_clusters
from runner.statistics.binomial import LEVEL, Interval, clopper_pearson
from runner.statistics.firth import OddsRatio, odds_ratio
from runner.statistics.pooled import Cluster, Pooled, pooled_rate
from runner.statistics.significance import Test, cochran_mantel_haenszel, holm, mcnemar_test
from runner.statistics.strata import Difference, Stratum, paired_difference, risk_difference


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One of the two groups, over the strata that both have."""

    label: str
    pooled: Pooled
    fixed: Interval
    """Clopper-Pearson over all its answers: about the mean rate on exactly these prompts, each with the
    weight of its answers (a sum of draws with unlike rates spreads less than the binomial of their
    mean; W. Hoeffding 1956). `share` is its value, not the equal-weight mean."""
    even: bool
    """Whether no prompt has more than twice the answers of another, so that both means are alike."""
    cells: tuple[int, ...]
    """Numbers of its cells, for the way to its transcripts."""
    spread: Spread
    """Of the stories' means."""

    @property
    def share(self) -> float | None:
        """Return events over answers, whatever the prompt; None without answers."""
        return self.pooled.events / self.pooled.n if self.pooled.n else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Contrast:
    """An answer."""

    question: Question
    first: Side
    second: Side
    difference: Difference | None
    test: Test | None
    odds: OddsRatio | None
    paired: bool
    left_out: int
    """Cells of either group without a partner."""
    least: float | None
    """Lower limit with everything outside n counted against the first group's rate being higher."""
    most: float | None
    without_excluded: Contrast | None
    """The same without models that their control arm excludes; None where none is excluded."""
    notes: tuple[str, ...]
    parameters: tuple[str, ...] = ()
    """In which request parameters the compared models differ, one phrase for each pair."""
    topped_up: bool = False
    """Seeds were added to its cells after a look at the rates."""

    @property
    def significant(self) -> bool | None:
        """Whether the corrected test rejects at the report's level; None where nothing was tested."""
        if self.test is None or self.difference is None:
            return None
        p = self.test.p if self.test.adjusted is None else self.test.adjusted
        return p <= 1 - self.difference.interval.level + 1e-12


def answer(
    question: Question,
    rows: Iterable[ReportRow],
    *,
    level: float = LEVEL,
    excluded: frozenset[tuple[str, str]] = frozenset(),
    parameters: Mapping[str, Mapping[str, str]] | None = None,
    with_odds: bool = True,
) -> Contrast | None:
    """Return the answer from a grader's rows, None where neither group has a cell.

    Args:
        question: what to compare.
        rows: rows of cells; others than it picks are passed over.
        level: coverage of intervals.
        excluded: (model, family) whose control arm shows too many events.
        parameters: model to its request parameters as text, to note where they differ.
        with_odds: fit the odds ratio too, for axes.
    """
    grouped: dict[Key, tuple[list[ReportRow], list[ReportRow]]] = {}
    for row in rows:
        side = question.side(row) if row.headline else None
        if side is not None:
            grouped.setdefault(question.stratum(row), ([], []))[side].append(row)
    if not grouped:
        return None
    shared = {k: v for k, v in grouped.items() if v[0] and v[1]}
    out = _answer(question, shared, level, with_odds=with_odds and not question.of_models)
    left = sum(len(a) + len(b) for k, (a, b) in grouped.items() if k not in shared)
    notes = list(out.notes)
    if left:
        notes.append(f"{left} cells without a partner are left out")
    differing: list[str] = []
    if question.of_models and parameters:
        for first in sorted(question.a["model"]):
            for second in sorted(question.b["model"]):
                differing += differing_parameters(parameters, first, second)
    kept = {
        k: v
        for k, v in shared.items()
        if not any((r.model, r.family) in excluded for r in (*v[0], *v[1]))
    }
    without = None
    if len(kept) < len(shared):
        without = _answer(question, kept, level, with_odds=False)
    return replace(
        out,
        left_out=left,
        notes=tuple(notes),
        parameters=tuple(differing),
        without_excluded=without,
    )


def _answer(
    question: Question,
    strata: Mapping[Key, tuple[list[ReportRow], list[ReportRow]]],
    level: float,
    *,
    with_odds: bool,
) -> Contrast:
    tables = [_stratum(a, b, question.outcome) for a, b in strata.values()]
    usable = [t for t in tables if t.usable]
    dependent = sum(not r.independent for a, b in strata.values() for r in (*a, *b))
    paired = bool(usable) and question.of_models and all(t.n == t.other_n == 1 for t in usable)
    notes: list[str] = []
    difference = test = odds = None
    if usable and paired:
        b = sum(t.events > t.other_events for t in usable)
        c = sum(t.events < t.other_events for t in usable)
        difference, test = paired_difference(b, c, len(usable), level), mcnemar_test(b, c)
    elif usable:
        difference, test = risk_difference(tables, level), cochran_mantel_haenszel(tables)
        odds = odds_ratio(tables, level) if with_odds else None
    else:
        notes.append("no prompt in common has answers that count in both groups")
    if dependent:
        difference = test = odds = None
        notes.append(f"n is not independent in {dependent} cells: no interval, no test")
    least = most = None
    if dependent:  # bounds are ends of intervals, which such answers do not give
        pass
    elif difference and not any(h.outside for a, b in strata.values() for h in _heads((*a, *b))):
        least, most = difference.interval.low, difference.interval.high
    else:
        least, most = _bounds(strata.values(), question.outcome, level)
    return Contrast(
        question=question,
        first=_side(question, 0, strata, level),
        second=_side(question, 1, strata, level),
        difference=difference,
        test=test,
        odds=odds,
        paired=paired,
        left_out=0,
        least=least,
        most=most,
        without_excluded=None,
        notes=tuple(notes),
    )


def _heads(rows: Iterable[ReportRow]) -> list[HeadlineRate]:
    return [r.headline for r in rows if r.headline]


def events_of(row: ReportRow, outcome: str) -> int:
    """Return how many answers of a row had an outcome; `harmful` ones for the empty name."""
    if not outcome:
        return row.headline.rate.events if row.headline else 0
    return row.counts.graded.outcomes.get(outcome, 0) if row.counts.graded else 0


def _stratum(first: Sequence[ReportRow], second: Sequence[ReportRow], outcome: str) -> Stratum:
    a, b = _heads(first), _heads(second)
    return Stratum(
        events=sum(events_of(r, outcome) for r in first),
        n=sum(h.rate.n for h in a),
        other_events=sum(events_of(r, outcome) for r in second),
        other_n=sum(h.rate.n for h in b),
    )


def _side(
    question: Question,
    side: int,
    strata: Mapping[Key, tuple[list[ReportRow], list[ReportRow]]],
    level: float,
) -> Side:
    rows = [r for groups in strata.values() for r in groups[side]]
    stories: dict[str, list[Cluster]] = {}
    for row in rows:
        if row.headline:
            events = events_of(row, question.outcome)
            cluster = Cluster(prompt=row.prompt, events=events, n=row.headline.rate.n)
            stories.setdefault(row.scenario, []).append(cluster)
    pooled = pooled_rate([c for clusters in stories.values() for c in clusters], level)
    if not all(r.independent for r in rows):
        pooled = replace(pooled, interval=None, why="n is not independent")
    return Side(
        label=question.second if side else question.first,
        pooled=pooled,
        fixed=clopper_pearson(pooled.events, pooled.n, level),
        even=_even(c for clusters in stories.values() for c in clusters),
        cells=tuple(r.cell for r in rows if r.cell is not None),
        spread=spread_of_clusters(stories),
    )


def _even(clusters: Iterable[Cluster]) -> bool:
    answers: dict[Hashable, int] = {}
    for cluster in clusters:
        answers[cluster.prompt] = answers.get(cluster.prompt, 0) + cluster.n
    counted = [n for n in answers.values() if n]
    return not counted or max(counted) <= 2 * min(counted)


def _bounds(
    strata: Iterable[tuple[list[ReportRow], list[ReportRow]]], outcome: str, level: float
) -> tuple[float | None, float | None]:
    """Return the ends of the interval with everything missing counted one way and the other."""
    low: list[Stratum] = []
    high: list[Stratum] = []
    for first, second in strata:
        a, b = _heads(first), _heads(second)
        events = sum(events_of(r, outcome) for r in first)
        other = sum(events_of(r, outcome) for r in second)
        missing, other_missing = sum(h.outside for h in a), sum(h.outside for h in b)
        n = sum(r.counts.planned for r in first)
        m = sum(r.counts.planned for r in second)
        low.append(Stratum(events=events, n=n, other_events=other + other_missing, other_n=m))
        high.append(Stratum(events=events + missing, n=n, other_events=other, other_n=m))
    below, above = risk_difference(low, level), risk_difference(high, level)
    if below is None or above is None:
        return None, None
    return below.interval.low, above.interval.high


def differing_parameters(
    parameters: Mapping[str, Mapping[str, str]], first: str, second: str
) -> list[str]:
    """Return the request parameters in which two models differ as one phrase, nothing where in none."""
    one, other = parameters.get(first, {}), parameters.get(second, {})
    differing = [
        f"{key} {one.get(key, 'unset')} / {other.get(key, 'unset')}"
        for key in sorted({*one, *other})
        if one.get(key) != other.get(key)
    ]
    return (
        [f"request parameters of {first} / {second} differ: {', '.join(differing)}"]
        if differing
        else []
    )


ASKED_AGAIN = (
    "declared twice (analysis.contrasts, older_to_newer): counts once in Holm's correction"
)


def corrected(contrasts: Sequence[Contrast]) -> list[Contrast]:
    """Return the contrasts with Holm's correction over the declared ones that were tested.

    One that asks what another has asked (a step of `older_to_newer` that is a contrast too, say) is
    no further test: it counts once, and both have its p-value.
    """
    groups: dict[tuple[object, ...], list[int]] = {}
    for i, one in enumerate(contrasts):
        if one.question.declared and one.test:
            # Without a grader named, each of several answers the same words: these are tests of their own.
            asks = one.question.asks if one.question.grader else (i,)
            groups.setdefault(asks, []).append(i)
    tested = [contrasts[same[0]].test for same in groups.values()]
    adjusted = holm([test.p for test in tested if test])
    out = list(contrasts)
    for same, p in zip(groups.values(), adjusted, strict=True):
        for i in same:
            test = out[i].test
            assert test is not None  # picked above
            notes = (*out[i].notes, ASKED_AGAIN) if len(same) > 1 else out[i].notes
            out[i] = replace(out[i], test=replace(test, adjusted=p), notes=notes)
    return out
