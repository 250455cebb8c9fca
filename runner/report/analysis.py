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
            declared.append(_dated(found, looks))
        else:
            unanswered.append(f"contrast {question.name}: no graded cell fits its `a` or `b`.")
    asked = {_same(c.question) for c in declared}
    others = [q for q in exploratory_questions(rows) if _same(q) not in asked]
    exploratory = [
        found
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


def texture_flags(rows: Sequence[ReportRow], textures: Mapping[int, Texture]) -> list[str]:
    """Return what the answers' texture says against n, arms and models, one sentence each."""
    names = {r.cell: f"{r.scenario}[{r.condition}] × {r.model}" for r in rows}
    out: list[str] = []
    for row in rows:
        found = textures.get(row.cell) if row.cell is not None else None
        if found is None:
            continue
        name = names[row.cell]
        if not found.independent:
            out.append(
                f"{name}: {found.distinct} distinct answers in {found.answers}: n is not "
                "independent, so no interval is given."
            )
        if found.copied and found.shared_with in names:
            out.append(
                f"{name}: {found.shared} of {found.answers} answers are byte for byte those of "
                f"{names[found.shared_with]} at the same seeds: did the change reach the model?"
            )
        if len(found.model_ids) > 1:
            ids = ", ".join(found.model_ids)
            out.append(f"{name}: {len(found.model_ids)} model ids answered: {ids}.")
    return out
