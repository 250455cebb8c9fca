"""Tools of a scenario's own that no rule it is graded by speaks of: what they do would count as nothing. Pure.

Tools of the shipped environments are what the shipped rules are about; a scenario's own (`canned`) may be named
anyhow. One that changes nothing (no answer has an `effect`) need not be known. Judges and functions read
everything, so a scenario with one of them is left alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import cast

from runner.config.schema import ScenarioConfig, SweepConfig
from runner.core.errors import ConfigError
from runner.grade.acts import read_acts
from runner.grade.registry import SHIPPED, Graders
from runner.grade.rule_grader import RuleGrader
from runner.grade.verdict import Submission, ToolCall
from runner.scenarios.findings import Findings, Severity


def note_unknown_tools(config: SweepConfig, graders: Graders, findings: Findings) -> None:
    """Note, for each scenario, its own tools with an effect that its rules do not name."""
    for scenario in config.scenarios:
        known = _known(scenario, graders)
        if not known:
            continue
        for i, name in _acting(scenario):
            if not {name.lower(), _kind(name)} & known:
                rules = ", ".join(scenario.graders)
                findings.add(
                    Severity.WARNING,
                    f"scenarios.{scenario.name}.environment.canned.tools[{i}].name",
                    f"no grader of the scenario ({rules}) knows the tool {name}: using it counts as nothing",
                    "Name it in a rule's gates (docs/graders.md), or call it as a rule does",
                )


def _known(scenario: ScenarioConfig, graders: Graders) -> set[str]:
    """Return the actions that its rules name; none where something reads all that was done."""
    found: set[str] = set()
    for name in scenario.graders:
        try:
            grader = graders.get(name)
        except ConfigError:  # said elsewhere
            return set()
        if isinstance(grader, RuleGrader):
            found |= set(_named([grader.config.gates, grader.config.outcomes]))
        elif name not in SHIPPED:
            return set()
    return found


def _named(value: object) -> Iterator[str]:
    """Yield the names of actions in predicates."""
    if isinstance(value, Mapping):
        for key, item in cast("Mapping[str, object]", value).items():
            if key == "act":
                acts = cast("list[object]", item) if isinstance(item, list) else [item]
                yield from (str(act).lower() for act in acts)
            else:
                yield from _named(item)
    elif isinstance(value, list):
        for item in cast("list[object]", value):
            yield from _named(item)


def _acting(scenario: ScenarioConfig) -> Iterator[tuple[int, str]]:
    """Yield place and name of its own tools of which an answer has an effect."""
    for i, tool in enumerate(_objects(_object(scenario.environment.get("canned")).get("tools"))):
        if any(one.get("effect") for one in _objects(tool.get("answers"))):
            yield i, str(tool.get("name"))


def _object(value: object) -> Mapping[str, object]:
    """Return a value if it is a mapping, else an empty one: its faults are said elsewhere."""
    return cast("Mapping[str, object]", value) if isinstance(value, Mapping) else {}


def _objects(value: object) -> list[Mapping[str, object]]:
    return [_object(one) for one in cast("list[object]", value)] if isinstance(value, list) else []


def _kind(tool: str) -> str:
    """Return what graders take a call of a tool for."""
    called = Submission(text="", calls=(ToolCall(name=tool, arguments={}),))
    return read_acts(called, ()).acts[0].kind
