"""Everything that a report says of one grader's rates beyond the cells themselves. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from runner.config.schema import SweepConfig
from runner.report.conditional import GivenLabel
from runner.report.contrasts import Contrast, answer, corrected
from runner.report.groups import (
    ControlArm,
    ControlState,
    FamilyRate,
    control_arms,
    family_rates,
)
from runner.report.looks import Look, TopUp, declared_late
from runner.report.questions import (
    Question,
    declared_questions,
    exploratory_questions,
    where_of,
)
from runner.report.rows import ReportRow
from runner.report.texture import Texture
from runner.report.texture_flags import texture_flags
from runner.statistics.binomial import LEVEL


@dataclass(frozen=True, slots=True, kw_only=True)
class Analysis:
    """Beside the cells' own rates."""

    declared: tuple[Contrast, ...] = ()
    exploratory: tuple[Contrast, ...] = ()
    families: tuple[FamilyRate, ...] = ()
    controls: tuple[ControlArm, ...] = ()
    given: tuple[GivenLabel, ...] = ()
    top_ups: tuple[TopUp, ...] = ()
    flags: tuple[str, ...] = ()
    """What makes an n or an arm mean less than it says, one sentence each."""
    grown: frozenset[tuple[str, str]] = frozenset()
    """(scenario or family, model) with seeds added after a look."""


def families_of(config: SweepConfig) -> dict[str, str]:
    """Return the family of each scenario."""
    return {s.name: str(s.labels.get("family") or s.name) for s in config.scenarios}


def questions_of(config: SweepConfig) -> list[Question]:
    """Return what the configuration declares, each with the grader whose verdicts count."""
    grader_of: dict[str, str] = {}
    for scenario in config.scenarios:
        for name in (scenario.name, families_of(config)[scenario.name]):
            if scenario.graders:
                grader_of.setdefault(name, scenario.graders[0])
    return declared_questions(config.analysis, [m.name for m in config.models], grader_of)


def parameters_of(config: SweepConfig) -> dict[str, dict[str, str]]:
    """Return the request parameters of each model as text, to see where they differ."""
    out: dict[str, dict[str, str]] = {}
    for model in config.models:
        found = {"provider": str(model.provider), "max_tokens": str(model.max_tokens)}
        if model.send_seed:
            found["send_seed"] = "true"
        found |= {str(k): str(v) for k, v in model.params.items()}
        found |= {f"header {k}": v for k, v in model.headers.items()}
        out[model.name] = found
    return out


def analyse(
    config: SweepConfig,
    rows: Sequence[ReportRow],
    grader: str,
    *,
    level: float = LEVEL,
    textures: Mapping[int, Texture] | None = None,
    given: Sequence[GivenLabel] = (),
    looks: Sequence[Look] = (),
    top_ups: Sequence[TopUp] = (),
) -> Analysis:
    """Answer the questions from one grader's rows; p-values are corrected afterwards, over all graders.

    Args:
        config: the sweep's, with what it declares.
        rows: one per cell.
        grader: whose rows they are.
        level: coverage.
        textures: of the cells' answers.
        given: rates by label.
        looks: before this one.
        top_ups: seeds added after a look.
    """
    analysis = config.analysis
    conditions = {
        s.name: [where_of(entry) for entry in s.controls] for s in config.scenarios if s.controls
    }
    controls = control_arms(rows, conditions, analysis.exclude, level)
    excluded = frozenset((c.model, c.family) for c in controls if c.state is ControlState.EXCLUDED)
    parameters = parameters_of(config)
    declared: list[Contrast] = []
    unanswered: list[str] = []
    for question in questions_of(config):
        if question.grader not in {None, grader}:
            continue
        found = answer(question, rows, level=level, excluded=excluded, parameters=parameters)
        if found is not None:
            declared.append(_topped_up(_dated(found, looks), top_ups))
        else:
            unanswered.append(f"contrast {question.name}: no graded cell fits its `a` or `b`.")
    asked = {_same(c.question) for c in declared}
    others = [q for q in exploratory_questions(rows) if _same(q) not in asked]
    exploratory = [
        _topped_up(found, top_ups)
        for q in others
        if (
            found := answer(
                q, rows, level=level, excluded=excluded, parameters=parameters, with_odds=False
            )
        )
        and found.difference
    ]
    return Analysis(
        declared=tuple(declared),
        exploratory=tuple(exploratory),
        families=tuple(family_rates(rows, conditions, excluded, level)),
        controls=tuple(controls),
        given=tuple(given),
        top_ups=tuple(top_ups),
        flags=(*unanswered, *texture_flags(rows, textures or {})),
        grown=frozenset(
            (name, row.model)
            for row in rows
            if any(row.cell in t.cells for t in top_ups)
            for name in (row.scenario, row.family)
        ),
    )


def corrected_together(analyses: Sequence[Analysis]) -> list[Analysis]:
    """Return the analyses of all graders with Holm's correction over all that was declared."""
    every = corrected([c for a in analyses for c in a.declared])
    out: list[Analysis] = []
    for analysis in analyses:
        mine, every = every[: len(analysis.declared)], every[len(analysis.declared) :]
        out.append(replace(analysis, declared=tuple(mine)))
    return out


def without_grader(config: SweepConfig, graders: Sequence[str]) -> list[str]:
    """Return a warning for each declared question whose grader gave no outcome here."""
    return [
        f"contrast {q.name}: no verdicts by {q.grader}; graders here: {', '.join(graders)}."
        for q in questions_of(config)
        if q.grader is not None and q.grader not in graders
    ]


def _same(question: Question) -> tuple[object, ...]:
    groups = frozenset((question.first, question.second))
    return (groups, frozenset(question.shared), question.model, question.outcome)


def _dated(contrast: Contrast, looks: Sequence[Look]) -> Contrast:
    late = declared_late(looks, contrast.question)
    if late is None:
        return contrast
    note = f"declared after a look at the rates ({late[:16]}Z): exploratory"
    return replace(
        contrast,
        question=replace(contrast.question, declared=False),
        notes=(*contrast.notes, note),
    )


def _topped_up(contrast: Contrast, top_ups: Sequence[TopUp]) -> Contrast:
    """Mark a contrast with seeds added after a look: its test does not know of the first one."""
    cells = {*contrast.first.cells, *contrast.second.cells}
    since = [t for t in top_ups if not cells.isdisjoint(t.cells)]
    if not since:
        return contrast
    note = f"³ seeds were added after a look at the rates ({since[-1].at[:16]}Z)"
    return replace(contrast, topped_up=True, notes=(*contrast.notes, note))
