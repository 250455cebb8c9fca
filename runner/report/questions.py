"""What a report asks of its cells: the declared questions, and the exploratory ones beside them. Pure.

A question picks two groups of cells and says what makes a stratum, that is, what both share: for
two models the rendered prompt, for two levels of an axis everything but the axis.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from runner.config.check_analysis import levels_of
from runner.config.schema import AnalysisConfig, ContrastConfig
from runner.report.rows import ReportRow

Key = tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """Two models, or two levels of an axis for one model; the first minus the second."""

    name: str
    first: str
    second: str
    axis: str | None = None
    """None: `first` and `second` are models."""
    model: str | None = None
    """With an axis: the model that is asked."""
    where: Mapping[str, frozenset[str]] = field(default_factory=dict[str, frozenset[str]])
    scenarios: frozenset[str] = frozenset()
    grader: str | None = None
    declared: bool = True

    def picks(self, row: ReportRow) -> bool:
        """Return whether a row's condition is asked about, whatever its group."""
        axes = row.axes or {}
        if self.scenarios and not {row.scenario, row.family} & self.scenarios:
            return False
        return all(
            axis in axes and str(axes[axis]) in levels for axis, levels in self.where.items()
        )

    def side(self, row: ReportRow) -> int | None:
        """Return 0 for a row of the first group, 1 for one of the second, None for others."""
        if self.axis is None:
            group = row.model
        elif row.model != self.model or self.axis not in (row.axes or {}):
            return None
        else:
            group = str((row.axes or {})[self.axis])
        return 0 if group == self.first else 1 if group == self.second else None

    def stratum(self, row: ReportRow) -> Key:
        """Return what both groups share in a row's condition."""
        if self.axis is None:
            return (row.prompt,)
        others = sorted((a, str(v)) for a, v in (row.axes or {}).items() if a != self.axis)
        return (row.scenario, *(f"{a}={v}" for a, v in others))


def declared_questions(
    analysis: AnalysisConfig, models: Sequence[str], grader_of: Mapping[str, str]
) -> list[Question]:
    """Return the questions that the configuration declares, in its order.

    Args:
        analysis: checked.
        models: names of the sweep's models.
        grader_of: scenario and family to the first grader that it lists.
    """
    out: list[Question] = []
    for contrast in analysis.contrasts:
        grader = contrast.grader or _first_grader(contrast.scenarios, grader_of)
        out += _of_contrast(contrast, contrast.models or models, grader)
    for older, newer in zip(analysis.older_to_newer, analysis.older_to_newer[1:], strict=False):
        graders = sorted(set(grader_of.values()))
        out += [
            Question(
                name=f"{newer} after {older}" + (f", {g}" if len(graders) > 1 else ""),
                first=newer,
                second=older,
                grader=g,
            )
            for g in graders
        ]
    return out


def _first_grader(scenarios: Sequence[str], grader_of: Mapping[str, str]) -> str | None:
    named = [grader_of[s] for s in scenarios if s in grader_of] or list(grader_of.values())
    return named[0] if named else None


def _of_contrast(
    contrast: ContrastConfig, models: Sequence[str], grader: str | None
) -> Iterator[Question]:
    where = {
        a: frozenset(str(v) for v in levels_of(levels)) for a, levels in contrast.where.items()
    }
    scenarios = frozenset(contrast.scenarios)
    if contrast.axis is None:
        yield Question(
            name=contrast.name, first=models[0], second=models[1], where=where,
            scenarios=scenarios, grader=grader,
        )  # fmt: skip
        return
    for model in models:
        yield Question(
            name=f"{contrast.name}: {model}" if len(models) > 1 else contrast.name,
            first=str(contrast.levels[0]), second=str(contrast.levels[1]), axis=contrast.axis,
            model=model, where=where, scenarios=scenarios, grader=grader,
        )  # fmt: skip


def exploratory_questions(rows: Sequence[ReportRow], *, most: int = 400) -> list[Question]:
    """Return every axis's levels against its first one per model, and each model against the first.

    Args:
        rows: of one grader.
        most: at most so many.
    """
    models = _distinct(r.model for r in rows)
    out = [
        Question(name=f"{m} against {models[0]}", first=m, second=models[0], declared=False)
        for m in models[1:]
    ]
    levels: dict[str, list[str]] = {}
    for row in rows:
        for axis, level in (row.axes or {}).items():
            known = levels.setdefault(axis, [])
            if str(level) not in known:
                known.append(str(level))
    out += [
        Question(
            name=f"{axis}: {level} against {known[0]}", first=level, second=known[0], axis=axis,
            model=model, declared=False,
        )
        for axis, known in levels.items()
        for level in known[1:]
        for model in models
    ]  # fmt: skip
    return out[:most]


def _distinct(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))
