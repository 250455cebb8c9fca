"""Axes to conditions: the full factorial of all levels, narrowed by include and exclude.

The first axis varies slowest. A condition's readable name is `axis=level,axis=level` in the order
in which the axes are written.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any, cast

from runner.config.schema import PROMPT_AXIS, ScenarioConfig
from runner.core.facts import Scalar
from runner.scenarios.findings import Findings
from runner.scenarios.fractions import fraction
from runner.scenarios.given import Given, read_prompts
from runner.scenarios.templates import RESERVED


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """One value of an axis."""

    value: Scalar
    """What the axis' own variable is."""
    label: str
    """How the level is called in condition names."""
    sets: Mapping[str, object] = field(default_factory=dict[str, object])
    """Further variables."""
    given: Given | None = None
    """What the level stands for, on the axis of `prompts`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """A named list of levels."""

    name: str
    levels: tuple[Level, ...]


def label(value: Scalar) -> str:
    """Return how a value is written in condition names and on the command line."""
    return ("false", "true")[value] if isinstance(value, bool) else str(value)


def read_axes(scenario: ScenarioConfig, key: str, findings: Findings) -> list[Axis]:
    """Return the axes of a scenario; faults are noted, and what is faulty left out.

    Args:
        scenario: the scenario.
        key: its readable path, `scenarios.tone`.
        findings: where faults go.
    """
    axes: list[Axis] = []
    if scenario.prompts is not None:
        axes.append(_prompt_axis(scenario, key, findings))
    for name, levels in scenario.axes.items():
        where = f"{key}.axes.{name}"
        if name == PROMPT_AXIS and scenario.prompts is not None:
            continue  # narrows, above
        if not name.isidentifier() or name in RESERVED:
            findings.error(where, f"{name!r} cannot be the name of a variable", "Rename the axis")
        read = _levels(levels, where, findings)
        if len({level.label for level in read}) < len(read):
            findings.error(where, "a level occurs twice", "Remove one")
        axes.append(Axis(name=name, levels=tuple(read)))
    _clashes(scenario, axes, key, findings)
    return axes


def _prompt_axis(scenario: ScenarioConfig, key: str, findings: Findings) -> Axis:
    """Return the axis `prompt`, narrowed to what `axes.prompt` lists."""
    levels = {
        given.id: Level(value=given.id, label=given.id, sets=given.variables, given=given)
        for given in read_prompts(scenario.prompts, f"{key}.prompts", findings)
    }
    wanted: object = scenario.axes.get(PROMPT_AXIS)
    if isinstance(wanted, list):
        names = [label(value) for value in cast("list[Scalar]", wanted)]
        for name in names:
            if name not in levels:
                fix = "Name prompts by their `id`"
                findings.error(f"{key}.axes.{PROMPT_AXIS}", f"there is no prompt {name!r}", fix)
        levels = {name: levels[name] for name in names if name in levels}
    return Axis(name=PROMPT_AXIS, levels=tuple(levels.values()))


def _levels(levels: object, where: str, findings: Findings) -> list[Level]:
    named: list[tuple[object, object]]
    if isinstance(levels, Mapping):
        named = list(cast("Mapping[object, object]", levels).items())
    elif isinstance(levels, Sequence) and not isinstance(levels, str):
        named = [(value, {}) for value in cast("Sequence[object]", levels)]
    else:
        fix = "Write a list of levels, or a mapping from each level to the variables it sets"
        findings.error(where, "an axis needs levels", fix)
        return []
    if not named:
        findings.error(where, "the axis has no level", "Add one, or remove the axis")
    read: list[Level] = []
    for value, sets in named:
        if not isinstance(value, str | int | float):
            what = f"{value!r} is no level; levels are texts, numbers or booleans"
            findings.error(where, what, 'Quote it, e.g. "none"' if value is None else None)
        elif sets is not None and not isinstance(sets, Mapping):
            what = f"{label(value)} must be a mapping of the variables it sets"
            findings.error(f"{where}.{label(value)}", what, "Write {} if it sets none")
        else:
            variables = cast("Mapping[str, object]", sets or {})
            read.append(Level(value=value, label=label(value), sets=dict(variables)))
    return read


def _clashes(scenario: ScenarioConfig, axes: list[Axis], key: str, findings: Findings) -> None:
    """Refuse two sources for one variable, since one would silently win."""
    owners: dict[str, str] = {}
    taken = [(name, f"{key}.variables.{name}") for name in scenario.variables]
    taken += [(name, f"{key}.fragments.{name}") for name in scenario.fragments]
    taken += [(axis.name, f"{key}.axes.{axis.name}") for axis in axes]
    for axis in axes:
        sets = dict.fromkeys(name for level in axis.levels for name in level.sets)
        taken += [(name, f"{key}.axes.{axis.name}.*.{name}") for name in sets]
    for name, owner in taken:
        place = owner.replace(".*", "")
        if name in RESERVED:
            findings.error(place, f"{name} is a name that every template has", "Rename it")
        elif name in owners:
            what = f"{name} is also defined by {owners[name]}"
            findings.error(place, what, "Rename one; an axis sets its own variable anyway")
        owners.setdefault(name, owner)


@dataclass(frozen=True, slots=True)
class _Filter:
    """One entry of include or exclude: axis to the labels that match."""

    wanted: Mapping[str, frozenset[str]]

    def matches(self, levels: Mapping[str, Level]) -> bool:
        return all(levels[axis].label in labels for axis, labels in self.wanted.items())


def conditions(
    scenario: ScenarioConfig, axes: Sequence[Axis], key: str, findings: Findings
) -> Iterator[tuple[Level, ...]]:
    """Yield every condition as one level per axis, in order; lazily.

    Faults of include and exclude are noted before the first one.
    """
    exclude = _filters(scenario.exclude, axes, f"{key}.exclude", findings)
    include = _filters(scenario.include, axes, f"{key}.include", findings)
    whole = _filtered(axes, exclude, include)
    if scenario.factorial == "full":
        yield from whole
        return
    rows = list(whole)
    try:
        kept = fraction(scenario.factorial, [[lv.label for lv in row] for row in rows])
    except ValueError as error:
        findings.error(f"{key}.factorial", str(error), "Write one of these")
        return
    yield from (rows[i] for i in kept)


def _filtered(
    axes: Sequence[Axis], exclude: Sequence[_Filter], include: Sequence[_Filter]
) -> Iterator[tuple[Level, ...]]:
    names = [axis.name for axis in axes]
    for levels in product(*(axis.levels for axis in axes)):
        if exclude or include:
            bound = dict(zip(names, levels, strict=True))
            if any(f.matches(bound) for f in exclude):
                continue
            if include and not any(f.matches(bound) for f in include):
                continue
        yield levels


def check_filters(
    entries: Sequence[Mapping[str, Any]], axes: Sequence[Axis], where: str, findings: Findings
) -> None:
    """Note axes and levels of `controls` and the like that do not exist."""
    _filters(entries, axes, where, findings)


def condition_name(axes: Sequence[Axis], levels: Sequence[Level]) -> str:
    """Return `axis=level,axis=level`; "" without axes."""
    return ",".join(f"{a.name}={level.label}" for a, level in zip(axes, levels, strict=True))


def _filters(
    entries: Sequence[Mapping[str, Any]], axes: Sequence[Axis], where: str, findings: Findings
) -> list[_Filter]:
    known = {axis.name: {level.label for level in axis.levels} for axis in axes}
    filters: list[_Filter] = []
    for i, entry in enumerate(entries):
        wanted: dict[str, frozenset[str]] = {}
        for axis, value in entry.items():
            values = cast("list[Scalar]", value if isinstance(value, list) else [value])
            labels = frozenset(label(v) for v in values)
            if axis not in known:
                fix = f"Axes here: {', '.join(known) or 'none'}"
                findings.error(f"{where}[{i}]", f"there is no axis {axis!r}", fix)
                continue
            for missing in sorted(labels - known[axis]):
                fix = f"Levels: {', '.join(sorted(known[axis]))}"
                findings.error(f"{where}[{i}]", f"{axis} has no level {missing!r}", fix)
            wanted[axis] = labels
        if not entry:
            findings.error(f"{where}[{i}]", "an empty entry matches every condition", "Remove it")
        filters.append(_Filter(wanted))
    return filters
