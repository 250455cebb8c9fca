"""What `analysis:` may say: models, axes and levels that the sweep has, questions that can be answered.

Pure. Axes are judged against the scenarios as they are configured, before conditions are built.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

from runner.config.schema import AnalysisConfig, ContrastConfig, ScenarioConfig, SweepConfig
from runner.config.source import Judge, nearest


def check_analysis(config: SweepConfig, judge: Judge) -> None:
    """Note everything under `analysis` that no report could answer."""
    analysis = config.analysis
    models = [m.name for m in config.models]
    names: set[str] = set()
    for i, contrast in enumerate(analysis.contrasts):
        key = f"analysis.contrasts[{i}]"
        if not contrast.name.strip():
            judge.note(f"{key}.name", "is missing. Give the question a name.")
        elif contrast.name in names:
            judge.note(f"{key}.name", f"{contrast.name!r} occurs twice. Give each its own.")
        names.add(contrast.name)
        _check_contrast(contrast, key, config, models, judge)
    _check_models(analysis.older_to_newer, "analysis.older_to_newer", models, judge)
    _check_control(analysis, config.scenarios, judge)


def _check_contrast(
    contrast: ContrastConfig, key: str, config: SweepConfig, models: Sequence[str], judge: Judge
) -> None:
    _check_models(contrast.models, f"{key}.models", models, judge)
    scenarios = _check_scenarios(contrast, key, config.scenarios, judge)
    if contrast.axis is None:
        if len(contrast.models) != 2:
            text = "needs two models to compare, or an `axis:` with two `levels:`."
            judge.note(f"{key}.models", text)
        if contrast.levels:
            judge.note(f"{key}.levels", "belong to an axis. Name it under `axis:`.")
    else:
        known = _levels(scenarios)
        if contrast.axis not in known:
            judge.note(f"{key}.axis", f"no such axis. {nearest(contrast.axis, list(known))}")
        elif len(contrast.levels) != 2 or contrast.levels[0] == contrast.levels[1]:
            judge.note(f"{key}.levels", "needs two levels, the first minus the second.")
        else:
            _check_levels(contrast.axis, contrast.levels, f"{key}.levels", known, judge)
        if contrast.axis in contrast.where:
            judge.note(f"{key}.where.{contrast.axis}", "is the axis of the contrast. Remove it.")
    _check_where(contrast.where, f"{key}.where", _levels(scenarios), judge)


def _check_scenarios(
    contrast: ContrastConfig, key: str, scenarios: Sequence[ScenarioConfig], judge: Judge
) -> list[ScenarioConfig]:
    if not contrast.scenarios:
        return list(scenarios)
    known = {n for s in scenarios for n in (s.name, str(s.labels.get("family", s.name)))}
    for name in contrast.scenarios:
        if name not in known:
            text = f"{name!r} is no scenario and no family. {nearest(name, sorted(known))}"
            judge.note(f"{key}.scenarios", text)
    wanted = set(contrast.scenarios)
    return [s for s in scenarios if {s.name, str(s.labels.get("family", s.name))} & wanted]


def _check_models(names: Sequence[str], key: str, models: Sequence[str], judge: Judge) -> None:
    for name in names:
        if name not in models:
            judge.note(key, f"{name!r} is no model of this sweep. {nearest(name, list(models))}")
    if len(set(names)) < len(names):
        judge.note(key, "names a model twice.")


def _check_control(
    analysis: AnalysisConfig, scenarios: Sequence[ScenarioConfig], judge: Judge
) -> None:
    _check_where(analysis.control, "analysis.control", _levels(scenarios), judge)
    if not 0 < analysis.control_max_rate < 1:
        judge.note("analysis.control_max_rate", "needs a rate between 0 and 1, such as 0.01.")


def _check_where(
    where: Mapping[str, object], key: str, known: Mapping[str, set[str]], judge: Judge
) -> None:
    for axis, levels in where.items():
        if axis not in known:
            judge.note(f"{key}.{axis}", f"no such axis. {nearest(axis, list(known))}")
        else:
            _check_levels(axis, levels_of(levels), f"{key}.{axis}", known, judge)


def _check_levels(
    axis: str, levels: Sequence[object], key: str, known: Mapping[str, set[str]], judge: Judge
) -> None:
    for level in levels:
        if str(level) not in known[axis]:
            there = ", ".join(sorted(known[axis]))
            judge.note(key, f"{level!r} is no level of {axis} here. There are: {there}.")


def _levels(scenarios: Sequence[ScenarioConfig]) -> dict[str, set[str]]:
    """Return the levels of each axis over the scenarios, as text."""
    out: dict[str, set[str]] = {}
    for scenario in scenarios:
        for axis, levels in scenario.axes.items():
            if isinstance(levels, dict | list | tuple):
                listed = cast("Sequence[object]", levels)  # a mapping is walked by its keys
                out.setdefault(axis, set()).update(str(level) for level in listed)
    return out


def levels_of(value: object) -> list[object]:
    """Return the levels that an entry of `where:` or `control:` names: one, or a list of them."""
    return list(cast("Sequence[object]", value)) if isinstance(value, list | tuple) else [value]
