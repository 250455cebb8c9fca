"""The texts of a scenario compiled, each fault of them noted with its place."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from typing import cast

from runner.config.schema import PROMPT_AXIS, ScenarioConfig
from runner.core.identity import canonical_json
from runner.scenarios.axes import Axis
from runner.scenarios.findings import Findings
from runner.scenarios.staging import staging_sources, texts_of
from runner.scenarios.symbolic import MARK_CLOSE, MARK_OPEN
from runner.scenarios.templates import RESERVED, Template, TemplateProblem, compiled

_FAULTY = "(a text with a fault)"


def sources_of(scenario: ScenarioConfig) -> dict[str, str]:
    """Return every text of a scenario, by readable path."""
    sources = {f"fragments.{name}": text for name, text in scenario.fragments.items()}
    if scenario.system is not None:
        sources["system"] = scenario.system
    sources["user"] = scenario.user or ""
    sources |= texts_of(scenario.history, "history")
    sources |= {f"turns[{i}]": text for i, text in enumerate(scenario.turns)}
    return {**sources, **texts_of(scenario.grading, "grading"), **staging_sources(scenario)}


def check_values(
    scenario: ScenarioConfig, axes: Sequence[Axis], key: str, findings: Findings
) -> bytes:
    """Note variables and tools that are no JSON, or hold what marks seeded text; return the tools as canonical JSON."""
    marked = repr((scenario.variables, [axis for axis in axes if axis.name != PROMPT_AXIS]))
    if "\\ufdd0" in marked or "\\ufdd1" in marked:
        what = "a variable holds U+FDD0 or U+FDD1, which mean nothing in text"
        findings.error(f"{key}.variables", what, "Take them out")
    try:
        canonical_json(scenario.variables, f"{key}.variables")
        return canonical_json(scenario.tools, f"{key}.tools")
    except ValueError as error:
        path, _, what = str(error).partition(": ")
        findings.error(path, what)
        return b""


def compile_texts(sources: Mapping[str, str], key: str, findings: Findings) -> dict[str, Template]:
    """Return the template of every text, by readable path; a stand-in for one with a fault."""
    templates: dict[str, Template] = {}
    for name, text in sources.items():
        where = f"{key}.{name}"
        if MARK_OPEN in text or MARK_CLOSE in text:
            findings.error(where, "the text holds U+FDD0 or U+FDD1, which mean nothing in text")
            templates[name] = compiled(_FAULTY)
            continue
        try:
            templates[name] = compiled(text)
        except TemplateProblem as problem:
            findings.error(where, problem.told(text), line=problem.line_in(text))
            templates[name] = compiled(_FAULTY)
    return templates


def fragment_order(
    fragments: Mapping[str, str], templates: Mapping[str, Template], key: str, findings: Findings
) -> list[str]:
    """Return the fragments so that each comes after those that it uses; none if that cannot be."""
    needs = {name: set(templates[f"fragments.{name}"].names) & set(fragments) for name in fragments}
    try:
        return list(TopologicalSorter(needs).static_order())
    except CycleError as error:
        circle = " → ".join(cast("list[str]", error.args[1]))
        what = f"fragments use each other in a circle: {circle}"
        findings.error(f"{key}.fragments", what, "Take one of them out")
        return []


def check_variables(
    templates: Mapping[str, Template], defined: Collection[str], *, key: str, findings: Findings
) -> set[str]:
    """Note, and return, variables that texts use and nothing defines."""
    undefined: set[str] = set()
    known = ", ".join(sorted({*defined, "seed"}))
    for name, template in templates.items():
        for variable, line in template.names.items():
            if variable not in defined and variable not in RESERVED:
                undefined.add(variable)
                place = f", line {line} of the text" if "\n" in template.source else ""
                what = f"variable {variable!r} is not defined (defined here: {known}){place}"
                fix = "Define it under `variables:`, or use one that is"
                findings.error(f"{key}.{name}", what, fix, line=line - 1)
    return undefined
