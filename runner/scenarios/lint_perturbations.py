"""Lint of perturbations: each must change something that is sent, else its column in the rows says nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import cast

from runner.config.schema import ScenarioConfig
from runner.scenarios.findings import Findings
from runner.scenarios.perturbations import Perturbations

_CALL = r"\b{}\(\s*['\"]{}['\"]"
_TIMES = frozenset({"now", "date", "at"})


def lint_perturbations(
    scenario: ScenarioConfig,
    found: Perturbations,
    used: set[str],
    texts: Mapping[str, str],
    findings: Findings,
) -> None:
    """Note perturbations that reach no text and no entry of the environment.

    Args:
        scenario: whose they are.
        found: as read.
        used: variables that some text reads.
        texts: every text of the scenario, by readable path.
        findings: where faults go.
    """
    key = f"scenarios.{scenario.name}.perturbations"
    whole = "\n".join(texts.values())
    entries = list(_entries(scenario.environment))
    for name in found.labels:
        variables = [v for v, (by, _) in found.variables.items() if by == name]
        if not used & {*variables}:
            what = f"no text uses {' or '.join(sorted(variables))}: it changes nothing"
            findings.error(f"{key}.{name}", what, "Use its variables in a text, or remove it")
    for group, name in found.orders.items():
        if not _calls("item", group, whole) and not any(k == group for k, _ in entries):
            what = f"nothing is called {group}: it changes nothing"
            fix = f"Write {{{{ item('{group}') }}}} in a text, or name a list of the environment"
            findings.error(f"{key}.{name}", what, fix)
    for line, (name, _) in found.drops.items():
        named = any(k == "line" and v == line for k, v in entries)
        if not _calls("line", line, whole) and not named:
            what = f"no line is called {line}: dropping it changes nothing"
            fix = f"Write {{{{ line('{line}') }}}} before it, or `line: {line}` in the environment"
            findings.error(f"{key}.{name}", what, fix)
    if found.shifts is not None:
        timed = any(k in _TIMES for k, _ in entries)
        if not timed and not re.search(r"\bclock\(", whole):
            fix = "Write times as {{ clock('15:52') }}, or remove it"
            findings.error(f"{key}.{found.shifts[0]}", "no time moves: it changes nothing", fix)


def _calls(function: str, name: str, text: str) -> bool:
    return re.search(_CALL.format(function, re.escape(name)), text) is not None


def _entries(value: object) -> Iterator[tuple[str, object]]:
    """Yield every (key, value) below a value."""
    if isinstance(value, Mapping):
        for key, item in cast("Mapping[str, object]", value).items():
            yield key, item
            yield from _entries(item)
    elif isinstance(value, list):
        for item in cast("list[object]", value):
            yield from _entries(item)
