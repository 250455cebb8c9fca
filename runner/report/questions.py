"""What a report asks of its cells: the declared questions, and the exploratory ones beside them. Pure.

A question names two groups of cells by the axes in which they differ (`model` and `scenario` count
as axes) and by those that both share. A stratum is what two cells of both groups have in common:
where only the model differs, the rendered prompt; else the model and every axis that does not differ.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from runner.config.schema import AnalysisConfig, ContrastConfig
from runner.core.facts import Scalar
from runner.report.rows import ReportRow
from runner.scenarios.axes import label

Key = tuple[str, ...]
Where = Mapping[str, frozenset[str]]
"""Axis to the levels that fit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """The first group minus the second."""

    name: str
    a: Where
    b: Where
    """The same axes as `a`."""
    model: str | None = None
    """The one model that is asked, where it does not differ."""
    outcome: str = ""
    """Whose rate; empty: harmful answers."""
    grader: str | None = None
    declared: bool = True
    chain: bool = False
    """A step of `older_to_newer`."""

    @property
    def varying(self) -> frozenset[str]:
        """The axes in which the groups differ."""
        return frozenset(axis for axis in self.a if self.a[axis] != self.b.get(axis))

    @property
    def first(self) -> str:
        """The first group's levels, of the axes that differ."""
        return _said(self.a, self.varying)

    @property
    def second(self) -> str:
        """The second group's."""
        return _said(self.b, self.varying)

    @property
    def shared(self) -> dict[str, frozenset[str]]:
        """What both groups are held to."""
        return {axis: levels for axis, levels in self.a.items() if axis not in self.varying}

    @property
    def of_models(self) -> bool:
        """Whether models are compared, on equal prompts."""
        return self.varying == {"model"}

    @property
    def asks(self) -> tuple[object, ...]:
        """What is asked, whatever it is called and whichever group stands first."""
        groups = frozenset(frozenset(where.items()) for where in (self.a, self.b))
        return (groups, self.model, self.outcome, self.grader)

    def side(self, row: ReportRow) -> int | None:
        """Return 0 for a row of the first group, 1 for one of the second, None for others."""
        if self.model is not None and row.model != self.model:
            return None
        return 0 if _fits(row, self.a) else 1 if _fits(row, self.b) else None

    def stratum(self, row: ReportRow) -> Key:
        """Return what cells of both groups have in common."""
        if self.of_models:
            return (row.prompt,)
        named = {"model": row.model, "scenario": row.scenario, **_levels(row)}
        return tuple(f"{a}={v}" for a, v in sorted(named.items()) if a not in self.varying)


def _levels(row: ReportRow) -> dict[str, str]:
    return {axis: label(level) for axis, level in (row.axes or {}).items()}


def _fits(row: ReportRow, where: Where) -> bool:
    named = {**_levels(row), "model": row.model}
    for axis, levels in where.items():
        if axis == "scenario":
            if not {row.scenario, row.family} & levels:
                return False
        elif named.get(axis) not in levels:
            return False
    return True


def _said(where: Where, axes: Iterable[str]) -> str:
    wanted = sorted(axes)
    parts = ["|".join(sorted(where.get(a, ()))) for a in wanted]
    if wanted == ["model"]:
        return parts[0]
    return ", ".join(f"{a}={v}" for a, v in zip(wanted, parts, strict=True))


def declared_questions(
    analysis: AnalysisConfig, models: Sequence[str], grader_of: Mapping[str, str]
) -> list[Question]:
    """Return the questions that the configuration declares, in its order.

    A contrast that does not name a model is asked of each, as a question of its own.

    Args:
        analysis: checked.
        models: names of the sweep's models.
        grader_of: scenario and family to the first grader that it lists.
    """
    out = [q for c in analysis.contrasts for q in _of_contrast(c, models, grader_of)]
    graders = sorted(set(grader_of.values()))
    for older, newer in zip(analysis.older_to_newer, analysis.older_to_newer[1:], strict=False):
        out += [
            Question(
                name=f"{newer} after {older}" + (f", {g}" if len(graders) > 1 else ""),
                a={"model": frozenset((newer,))},
                b={"model": frozenset((older,))},
                grader=g,
                chain=True,
            )
            for g in graders
        ]
    return out


def _of_contrast(
    contrast: ContrastConfig, models: Sequence[str], grader_of: Mapping[str, str]
) -> Iterator[Question]:
    a, b = where_of(contrast.a), where_of(contrast.b)
    named = sorted(a.get("scenario", frozenset()))
    graders = [grader_of[s] for s in named if s in grader_of] or list(grader_of.values())
    grader = contrast.grader or (graders[0] if graders else None)
    asked: Sequence[str | None] = [None] if "model" in a or len(models) < 2 else models
    for model in asked:
        yield Question(
            name=f"{contrast.name}: {model}" if model else contrast.name,
            a=a, b=b, model=model, outcome=contrast.outcome, grader=grader,
        )  # fmt: skip


def where_of(plain: Mapping[str, object]) -> dict[str, frozenset[str]]:
    """Return axis to the levels that fit, from `axis: level` or `axis: [level, …]`."""
    return {
        axis: frozenset(label(cast("Scalar", v)) for v in _listed(levels))
        for axis, levels in plain.items()
    }


def _listed(value: object) -> Sequence[object]:
    return cast("Sequence[object]", value) if isinstance(value, list | tuple) else [value]


def exploratory_questions(rows: Sequence[ReportRow], *, most: int = 400) -> list[Question]:
    """Return every axis's levels against its first one per model, and each model against the first.

    Args:
        rows: of one grader.
        most: at most so many.
    """
    models = list(dict.fromkeys(r.model for r in rows))
    out = [
        Question(name=f"{m} against {models[0]}", a=_one("model", m), b=_one("model", models[0]),
                 declared=False)
        for m in models[1:]
    ]  # fmt: skip
    levels: dict[str, list[str]] = {}
    for row in rows:
        for axis, level in _levels(row).items():
            known = levels.setdefault(axis, [])
            if level not in known:
                known.append(level)
    out += [
        Question(
            name=f"{axis}: {level} against {known[0]}", a=_one(axis, level), b=_one(axis, known[0]),
            model=model, declared=False,
        )
        for axis, known in levels.items()
        for level in known[1:]
        for model in models
    ]  # fmt: skip
    return out[:most]


def _one(axis: str, level: str) -> dict[str, frozenset[str]]:
    return {axis: frozenset((level,))}
