"""Rates over several cells: families of scenarios, stories, control arms. Pure.

A family is what its scenarios say under `labels.family`, else the scenario itself; a story is one
scenario of a family.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from runner.config.schema import ExclusionConfig
from runner.report.contrasts import events_of
from runner.report.questions import Where
from runner.report.rates import CellCounts, add
from runner.report.rows import ReportRow
from runner.report.spread import NOWHERE, Spread, spread_of
from runner.scenarios.axes import label
from runner.statistics.binomial import LEVEL, Rate, rate
from runner.statistics.pooled import Cluster, Pooled, pooled_rate


@dataclass(frozen=True, slots=True, kw_only=True)
class StoryRate:
    """One story of a family for one model: answers over all its conditions."""

    scenario: str
    events: int
    n: int
    value: float | None
    """Equal-weight mean of its conditions' rates."""
    cells: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class FamilyRate:
    """All conditions of a family for one model, the control arm left out."""

    family: str
    model: str
    pooled: Pooled
    stories: tuple[StoryRate, ...]
    counts: CellCounts
    """With the control arm."""
    excluded: bool
    """Its control arm shows too many events."""
    cells: frozenset[int] = frozenset()
    """Without the control arm."""

    @property
    def spread(self) -> Spread:
        """Return how far its stories lie apart."""
        return spread_of(s.value for s in self.stories)


class ControlState(StrEnum):
    """What a control arm says."""

    PASSES = "passes"
    EXCLUDED = "excluded"
    UNDECIDED = "undecided"
    """Its interval holds the limit: too few answers to say; the model stays in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlArm:
    """The control conditions of a family for one model."""

    family: str
    model: str
    rate: Rate
    """Over all its answers, about the mean rate on exactly these prompts."""
    state: ControlState
    above: float
    """The rate above which the model is left out."""
    outcome: str = ""
    """Of what; empty: harmful answers."""
    independent: bool = True
    """Whether n means something; where it does not the state is undecided, and no interval is shown."""
    spread: Spread = NOWHERE
    """Of the control arms of its stories."""
    cells: frozenset[int] = frozenset()


Controls = Mapping[str, Sequence[Where]]
"""Scenario to its control conditions: those that fit any entry."""


def is_control(row: ReportRow, controls: Controls) -> bool:
    """Return whether a row's condition belongs to the control arm of its scenario."""
    axes = {axis: label(level) for axis, level in (row.axes or {}).items()}
    return any(
        all(axes.get(axis) in levels for axis, levels in where.items())
        for where in controls.get(row.scenario, ())
    )


def control_arms(
    rows: Sequence[ReportRow],
    controls: Controls,
    rules: Sequence[ExclusionConfig],
    level: float = LEVEL,
) -> list[ControlArm]:
    """Test each model's control arm by its interval against each rule, per family."""
    out: list[ControlArm] = []
    for (family, model), members in _by_family(rows).items():
        arm = [r for r in members if is_control(r, controls)]
        for rule in rules if arm else ():
            events = sum(events_of(r, rule.outcome) for r in arm)
            n = sum(r.headline.rate.n for r in arm if r.headline)
            found = rate(events, n, level)
            state = ControlState.UNDECIDED
            independent = all(r.independent for r in arm)
            if independent and found.interval.low > rule.above:
                state = ControlState.EXCLUDED
            elif independent and found.interval.high <= rule.above:
                state = ControlState.PASSES
            out.append(
                ControlArm(
                    family=family, model=model, rate=found, state=state, above=rule.above,
                    outcome=rule.outcome, independent=independent, spread=_arm_spread(arm, rule.outcome),
                    cells=_numbers(arm),
                )
            )  # fmt: skip
    return out


def _arm_spread(arm: Sequence[ReportRow], outcome: str) -> Spread:
    stories: dict[str, tuple[int, int]] = {}
    for row in arm:
        events, n = stories.get(row.scenario, (0, 0))
        more = row.headline.rate.n if row.headline else 0
        stories[row.scenario] = (events + events_of(row, outcome), n + more)
    return spread_of(events / n if n else None for events, n in stories.values())


def family_rates(
    rows: Sequence[ReportRow],
    controls: Controls,
    excluded: frozenset[tuple[str, str]],
    level: float = LEVEL,
) -> list[FamilyRate]:
    """Return the pooled rate of each family and model, with its stories."""
    out: list[FamilyRate] = []
    for (family, model), members in _by_family(rows).items():
        arms = [r for r in members if r.headline and not is_control(r, controls)]
        pooled = pooled_rate([_cluster(r) for r in arms], level)
        if not all(r.independent for r in arms):
            pooled = replace(pooled, interval=None, why="n is not independent")
        counts = members[0].counts
        for row in members[1:]:
            counts = add(counts, row.counts)
        stories: dict[str, list[ReportRow]] = {}
        for row in arms:
            stories.setdefault(row.scenario, []).append(row)
        out.append(
            FamilyRate(
                family=family,
                model=model,
                pooled=pooled,
                stories=tuple(_story(name, found) for name, found in stories.items()),
                counts=counts,
                excluded=(model, family) in excluded,
                cells=_numbers(arms),
            )
        )
    return out


def _numbers(rows: Sequence[ReportRow]) -> frozenset[int]:
    return frozenset(r.cell for r in rows if r.cell is not None)


def _by_family(rows: Sequence[ReportRow]) -> dict[tuple[str, str], list[ReportRow]]:
    out: dict[tuple[str, str], list[ReportRow]] = {}
    for row in rows:
        if row.headline:
            out.setdefault((row.family, row.model), []).append(row)
    return out


def _cluster(row: ReportRow) -> Cluster:
    assert row.headline is not None  # rows with a grader only
    return Cluster(prompt=row.prompt, events=row.headline.rate.events, n=row.headline.rate.n)


def _story(name: str, rows: Sequence[ReportRow]) -> StoryRate:
    found = pooled_rate([_cluster(r) for r in rows])
    return StoryRate(
        scenario=name, events=found.events, n=found.n, value=found.value, cells=_numbers(rows)
    )
