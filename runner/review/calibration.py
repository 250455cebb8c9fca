"""What the labels of a sample say: how good each judge is, and rates that no longer rest on it. Pure.

Strata are those of the draw, model × scenario × verdict of the reviewed grader; N_h is what they hold in
the draw's shards, m_h what is labelled of them so far. Records come in an order that does not look at
strata, so what is labelled half-way is a random sample too. Another judge's precision and recall come
from the same labels, each stratum parted by what that judge says (post-stratification).

The calibrated rate is over all answers, also those a judge had no verdict on, and over refusals, which
are no events by definition: the denominator of the headline rate plus what the judge could not read,
less what a safeguard blocked.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

from runner.record.labels import Draw, Drawn, Label
from runner.report.spread import NOWHERE, Spread, spread_beside
from runner.review.agenda import Opinions
from runner.statistics.agreement import Agreement, Pair, agreement, kappa, precision, recall
from runner.statistics.binomial import LEVEL, Interval, Rate, rate
from runner.statistics.calibrated import (
    Calibrated,
    LabelStratum,
    calibrated_difference,
    calibrated_rate,
)

Cell = tuple[str, str]
"""Scenario and model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Records of the population that are alike for one judge."""

    scenario: str
    model: str
    verdict: str
    """By the reviewed grader: the draw's stratum."""
    called: bool | None
    """What the judge says: an event, none, or no verdict."""
    records: int


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeView:
    """One judge over the population of a draw."""

    grader: str
    kind: str
    groups: tuple[Group, ...]
    called: Mapping[str, bool | None]
    """What it says of the records of the sample, by job key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Population:
    """Everything that is counted in the shards of a draw."""

    judges: tuple[JudgeView, ...]
    """The reviewed grader first."""
    refused: Mapping[Cell, int]
    """Refused by the provider: no events, by definition."""
    together: Mapping[tuple[str, str], Mapping[tuple[bool, bool], int]]
    """Two graders to how often each pair of verdicts came, over records on which both have one."""
    newer: int = 0
    """Records of shards that were published after the draw."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CellRate:
    """Judged and calibrated rate of one model on one scenario."""

    scenario: str
    model: str
    judged: Rate
    labelled: int
    positive: int
    """Of the labelled ones."""
    calibrated: Calibrated | None
    """None without a label: the judge is uncalibrated here."""
    missed_bounded: bool
    """Every stratum that the judge calls no event has labels: they bound what it missed."""
    judged_spread: Spread = NOWHERE
    """Of the judged rate, over the stories of the family."""
    calibrated_spread: Spread = NOWHERE


@dataclass(frozen=True, slots=True, kw_only=True)
class Accuracy:
    """One judge against people."""

    grader: str
    kind: str
    model: str
    """Empty: all models together."""
    labelled: int
    verdicts: int
    """Records of the population on which it has one; at none there is nothing to be precise about."""
    precision: Calibrated
    recall: Calibrated
    """Of the events, those it calls one: an event without a verdict is missed."""
    with_people: Agreement


@dataclass(frozen=True, slots=True, kw_only=True)
class Between:
    """How two opinions on the same records agree."""

    who: str
    what: str
    """`harmful or not`, or `outcome`."""
    agreement: Agreement


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Two models on one scenario, by their calibrated rates."""

    scenario: str
    model: str
    other: str
    value: float
    interval: Interval


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """What the labels of one draw say."""

    draw: int
    grader: str
    labels: int
    records: int
    """Labelled, of the draw."""
    drawn: int
    cannot_tell: int
    """Records that nobody could tell anything of; left out."""
    disputed: int
    """Records on which labels differ in harmful or not; the majority counts, at a tie the first."""
    labellers: tuple[str, ...]
    rates: tuple[CellRate, ...]
    accuracy: tuple[Accuracy, ...]
    between: tuple[Between, ...]
    differences: tuple[Difference, ...]
    flags: tuple[str, ...]
    level: float
    simulated: bool = False
    """A simulator answered at least one row of the sweep."""


def calibration(
    draw: Draw,
    known: Opinions,
    population: Population,
    level: float = LEVEL,
    *,
    families: Mapping[str, str] | None = None,
) -> Calibration:
    """Return what the labels of a draw say.

    Args:
        draw: the sample.
        known: the labels that count.
        population: counts over the draw's shards.
        level: coverage of the intervals.
        families: scenario to its family, itself where absent.
    """
    truth = {i.job_key: t for i in draw.items if (t := known.truth(i.job_key)) is not None}
    said = [label for i in draw.items for label in known.of(i.job_key)]
    reviewed = population.judges[0]
    rates = _with_spread(
        list(_rates(draw.items, truth, reviewed, population.refused, level)), families or {}
    )
    return Calibration(
        draw=draw.number,
        grader=draw.grader,
        labels=len(said),
        records=sum(bool(known.of(i.job_key)) for i in draw.items),
        drawn=len(draw.items),
        cannot_tell=sum(bool(known.of(i.job_key)) and i.job_key not in truth for i in draw.items),
        disputed=sum(_disputed(known.of(i.job_key)) for i in draw.items),
        labellers=tuple(sorted({label.labeller for label in said})),
        rates=rates,
        accuracy=tuple(_accuracies(draw.items, truth, population.judges, level)),
        between=(*_people(draw, known, level), *_judges(population.together, level)),
        differences=tuple(_differences(rates)),
        flags=tuple(_flags(draw, population)),
        level=level,
    )


def _with_spread(rates: Sequence[CellRate], families: Mapping[str, str]) -> tuple[CellRate, ...]:
    keys = [(families.get(r.scenario, r.scenario), r.model) for r in rates]
    judged = spread_beside(keys, [r.judged.value for r in rates])
    calibrated = spread_beside(
        keys, [r.calibrated.value if r.calibrated and r.labelled else None for r in rates]
    )
    return tuple(
        replace(row, judged_spread=by_judge, calibrated_spread=by_labels)
        for row, by_judge, by_labels in zip(rates, judged, calibrated, strict=True)
    )


def _disputed(labels: Sequence[Label]) -> bool:
    return len({label.harmful for label in labels if label.harmful is not None}) > 1


def _strata(
    groups: Iterable[Group],
    items: Iterable[Drawn],
    truth: Mapping[str, Label],
    called: Mapping[str, bool | None],
    *,
    parted: bool,
) -> dict[tuple[object, ...], LabelStratum]:
    """Return the strata with their labels, where asked parted by what a judge says."""
    records: Counter[tuple[object, ...]] = Counter()
    for g in groups:
        records[g.scenario, g.model, g.verdict, g.called if parted else None] += g.records
    labelled: Counter[tuple[object, ...]] = Counter()
    positive: Counter[tuple[object, ...]] = Counter()
    for item in items:
        label = truth.get(item.job_key)
        if label is None:
            continue
        mark = called.get(item.job_key) if parted else None
        key = (item.scenario, item.model, item.verdict, mark)
        if labelled[key] < records[key]:  # a verdict that changed since has moved it elsewhere
            labelled[key] += 1
            positive[key] += bool(label.harmful)
    return {
        key: LabelStratum(records=n, labelled=labelled[key], positive=positive[key])
        for key, n in records.items()
    }


def _rates(
    items: Sequence[Drawn],
    truth: Mapping[str, Label],
    judge: JudgeView,
    refused: Mapping[Cell, int],
    level: float,
) -> Iterable[CellRate]:
    strata = _strata(judge.groups, items, truth, judge.called, parted=False)
    harmless = {
        (g.scenario, g.model, g.verdict, None) for g in judge.groups if g.called is not True
    }
    for scenario, model in sorted({(g.scenario, g.model) for g in judge.groups}):
        here = {key: s for key, s in strata.items() if key[:2] == (scenario, model)}
        certain = refused.get((scenario, model), 0)
        own = [g for g in judge.groups if (g.scenario, g.model) == (scenario, model)]
        events = sum(g.records for g in own if g.called)
        n = sum(g.records for g in own if g.called is not None) + certain
        labelled = sum(s.labelled for s in here.values())
        found = None
        if labelled:
            none = LabelStratum(records=certain, labelled=certain, positive=0, certain=True)
            found = calibrated_rate([*here.values(), none], level)
        yield CellRate(
            scenario=scenario,
            model=model,
            judged=rate(events, n, level),
            labelled=labelled,
            positive=sum(s.positive for s in here.values()),
            calibrated=found,
            missed_bounded=bool(labelled)
            and all(s.labelled for key, s in here.items() if key in harmless),
        )


def _accuracies(
    items: Sequence[Drawn], truth: Mapping[str, Label], judges: Sequence[JudgeView], level: float
) -> Iterable[Accuracy]:
    models = sorted({g.model for judge in judges for g in judge.groups})
    for judge in judges:
        for model in ("", *(models if len(models) > 1 else ())):
            groups = [g for g in judge.groups if model in {"", g.model}]
            here = [i for i in items if model in {"", i.model} and i.job_key in truth]
            if groups and here:
                yield _accuracy(judge, model, groups=groups, items=here, truth=truth, level=level)


def _accuracy(
    judge: JudgeView,
    model: str,
    *,
    groups: Sequence[Group],
    items: Sequence[Drawn],
    truth: Mapping[str, Label],
    level: float,
) -> Accuracy:
    strata = _strata(groups, items, truth, judge.called, parted=True)
    called = [s for key, s in strata.items() if key[3] is True]
    others = [s for key, s in strata.items() if key[3] is not True]
    same = [
        mark == bool(truth[i.job_key].harmful)
        for i in items
        if (mark := judge.called.get(i.job_key)) is not None
    ]
    value, interval = kappa(called, [s for key, s in strata.items() if key[3] is False], level)
    return Accuracy(
        grader=judge.grader,
        kind=judge.kind,
        model=model,
        labelled=len(items),
        verdicts=sum(g.records for g in groups if g.called is not None),
        precision=precision(called, level),
        recall=recall(called, others, level),
        with_people=Agreement(
            agreed=rate(sum(same), len(same), level), kappa=value, interval=interval
        ),
    )


def _word(harmful: bool | None) -> str:  # one value, said as a word
    return "harmful" if harmful else "not"


def _people(draw: Draw, known: Opinions, level: float) -> Iterable[Between]:
    two: list[tuple[Drawn, Label, Label]] = []
    same: list[tuple[Drawn, Label, Label]] = []
    for item in draw.items:
        said = [label for label in known.of(item.job_key) if label.harmful is not None]
        by_person: dict[str, list[Label]] = {}
        for label in said:
            by_person.setdefault(label.labeller, []).append(label)
        firsts = [labels[0] for labels in by_person.values()]
        two += [(item, a, b) for a, b in combinations(firsts, 2)]
        same += [(item, labels[0], labels[1]) for labels in by_person.values() if len(labels) > 1]
    for who, found in (("two people", two), ("one person, twice", same)):
        if not found:
            continue
        seen = Counter((i.scenario, i.model, i.verdict) for i, _, _ in found)
        for what in ("harmful or not", "outcome"):
            pairs = [
                Pair(
                    first=_word(a.harmful) if what != "outcome" else str(a.outcome),
                    second=_word(b.harmful) if what != "outcome" else str(b.outcome),
                    weight=i.records / seen[i.scenario, i.model, i.verdict],
                )
                for i, a, b in found
            ]
            yield Between(who=who, what=what, agreement=agreement(pairs, level))


def _judges(
    together: Mapping[tuple[str, str], Mapping[tuple[bool, bool], int]], level: float
) -> Iterable[Between]:
    for (first, second), counts in together.items():
        pairs = [
            Pair(first=_word(a), second=_word(b), count=n) for (a, b), n in sorted(counts.items())
        ]
        if pairs:
            who = f"{first} and {second}"
            yield Between(who=who, what="harmful or not", agreement=agreement(pairs, level))


def _differences(rates: Sequence[CellRate]) -> Iterable[Difference]:
    first: dict[str, CellRate] = {}
    for one in rates:
        if one.calibrated is None or one.calibrated.value is None:
            continue
        base = first.setdefault(one.scenario, one)
        if base is one or base.calibrated is None or base.calibrated.value is None:
            continue
        interval = calibrated_difference(one.calibrated, base.calibrated)
        if interval is not None:
            yield Difference(
                scenario=one.scenario,
                model=one.model,
                other=base.model,
                value=one.calibrated.value - base.calibrated.value,
                interval=interval,
            )


def _flags(draw: Draw, population: Population) -> Iterable[str]:
    if population.judges[0].grader != draw.grader:
        yield (
            f"{draw.grader} has changed since draw {draw.number}: judged and calibrated rates are by the version "
            f"that it was drawn by, {population.judges[0].grader}. For the present one: runner review DIR --redraw."
        )
    if population.newer:
        yield (
            f"{population.newer:,} answers were recorded after draw {draw.number} and are not in these "
            "figures: runner review DIR --redraw takes them in and keeps the labels."
        )
    now: Counter[tuple[str, str, str]] = Counter()
    for g in population.judges[0].groups:
        now[g.scenario, g.model, g.verdict] += g.records
    drawn = {(i.scenario, i.model, i.verdict): i.records for i in draw.items}
    if any(now[key] != n for key, n in drawn.items()):
        yield (
            f"Verdicts of {draw.grader} changed after draw {draw.number}: draw again with runner review DIR --redraw."
        )
