"""Typed variables: what `types:` says of them, checked on every value that they can take. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any, cast

from runner.config.schema import ScenarioConfig
from runner.scenarios.axes import label
from runner.scenarios.findings import Findings

_ADDRESS = re.compile(r"[^\s@<>,;]+@[^\s@<>,;]+\.[^\s@<>,;.]+")
_CLOCK = re.compile(r"([01]\d|2[0-3]):[0-5]\d")
KINDS = ("text", "number", "flag", "address", "time", "date")


def lint_types(scenario: ScenarioConfig, key: str, findings: Findings) -> None:
    """Note variables that are not what their type says, and types of what does not exist."""
    for name, kind in scenario.types.items():
        where = f"{key}.types.{name}"
        if kind not in KINDS and "|" not in kind:
            findings.error(where, f"{kind!r} is no type", f"Types: {', '.join(KINDS)}, or a|b|c")
            continue
        values = list(_values(scenario, name))
        if not values:
            findings.error(where, f"there is no variable {name!r}", "Remove the type, or define it")
        for place, value in values:
            if not _fits(kind, value):
                findings.error(f"{key}.{place}", f"{value!r} is no {kind}", f"As types.{name} says")


def _values(scenario: ScenarioConfig, name: str) -> Iterator[tuple[str, object]]:
    """Yield every value that a variable can take, with the place where it is set."""
    if name in scenario.variables:
        yield f"variables.{name}", scenario.variables[name]
    for axis, levels in scenario.axes.items():
        if axis == name:
            for level in cast("list[Any]", levels):
                yield f"axes.{axis}", level
        yield from _set_by(levels, f"axes.{axis}", name)
    for varied, given in scenario.perturbations.items():
        variants = cast("Any", given).get("variants") if isinstance(given, Mapping) else None
        yield from _set_by(variants, f"perturbations.{varied}.variants", name)


def _set_by(levels: object, place: str, name: str) -> Iterator[tuple[str, object]]:
    if isinstance(levels, Mapping):
        for level, sets in cast("Mapping[Any, Any]", levels).items():
            if isinstance(sets, Mapping) and name in sets:
                yield f"{place}.{label(level)}.{name}", cast("Any", sets)[name]


def _fits(kind: str, value: object) -> bool:  # noqa: PLR0911  # one case a type
    if kind == "flag":
        return isinstance(value, bool)
    if kind == "number":
        return isinstance(value, int | float) and not isinstance(value, bool)
    if not isinstance(value, str):
        return False
    match kind:
        case "text":
            return bool(value.strip())
        case "address":
            return _ADDRESS.fullmatch(value) is not None
        case "time":
            return _CLOCK.fullmatch(value) is not None
        case "date":
            try:
                return bool(date.fromisoformat(value))
            except ValueError:
                return False
        case _:
            return value in [word.strip() for word in kind.split("|")]
