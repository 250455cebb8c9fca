"""`lint`: renders every condition before anything is spent, and says what looks wrong.

Errors are what `build_book` refuses too, and parameters that an API refuses; warnings are texts
that were hardly meant. Whether a grader knows its facts is checked where graders live.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from types import MappingProxyType
from typing import Any, cast

from runner.config.schema import (
    PROMPT_AXIS,
    ContrastConfig,
    ModelConfig,
    ScenarioConfig,
    SweepConfig,
    called,
)
from runner.config.source import Source
from runner.scenarios.axes import check_filters, label
from runner.scenarios.build import (
    check_cast,
    check_casts,
    check_names,
    read_actors,
    read_seeds,
    read_targets,
)
from runner.scenarios.expand import RenderedCondition, expand
from runner.scenarios.findings import Finding, Findings, RenderProblem, Severity
from runner.scenarios.given import read_prompts
from runner.scenarios.lint_models import (
    lint_judges,
    lint_model,
    lint_prefill,
    lint_series,
    lint_size,
)
from runner.scenarios.lint_perturbations import lint_perturbations
from runner.scenarios.lint_references import References
from runner.scenarios.lint_rendered import TextLint
from runner.scenarios.lint_types import lint_types
from runner.scenarios.prompts import Prompts
from runner.scenarios.python import PythonPrompts, with_axes

_MOST_TWINS = 10


def lint(
    config: SweepConfig,
    source: Source | None = None,
    *,
    today: date | None = None,
    retires: Mapping[str, date] = MappingProxyType({}),
    contexts: Mapping[str, int] = MappingProxyType({}),
) -> list[Finding]:
    """Return everything that looks wrong with a configuration, in the order of its keys.

    Args:
        config: as loaded.
        source: where its keys were written, for `Finding.where`.
        today: to tell which models retire; None: retirements are left out.
        retires: the day that models end, by id.
        contexts: tokens that models hold, by model name, where they are known.
    """
    findings = Findings(source)
    check_names("scenarios", [s.name for s in config.scenarios], findings)
    check_names("models", [m.name for m in config.models], findings)
    read_seeds(config, findings)
    # Files stand for their hashes: lint tells models apart without reading weights.
    weights = {m.name: f"file {m.local.gguf} {m.local.chat_template}" for m in called(config)}
    read_targets(config.models, weights, findings)
    read_actors(config, weights, findings)
    check_casts(config, findings)
    twins = _Twins(findings)
    for scenario in config.scenarios:
        _lint_scenario(scenario, config, twins, findings, contexts)
    for kind in ("models", "actors", "judges"):
        for model in cast("list[ModelConfig]", getattr(config, kind)):
            key = f"{kind}.{model.name}"
            lint_model(model, key, findings, today=today or date.min, retires=retires)
    lint_judges(config, findings)
    for model in config.models:
        _greedy(model, config.scenarios, findings)
    lint_series(config.models, findings)
    lint_analysis(config, findings)
    return findings.all


def _lint_scenario(
    scenario: ScenarioConfig,
    config: SweepConfig,
    twins: _Twins,
    findings: Findings,
    contexts: Mapping[str, int],
) -> None:
    models, known = config.models, {m.name for m in called(config)}
    prompts: Prompts | PythonPrompts | None = None
    key = f"scenarios.{scenario.name}"
    lint_types(scenario, key, findings)
    largest: tuple[int, str] = (0, "")
    prefilled: str | None = None
    texts = TextLint(findings)
    references = References(key, findings)
    for one in expand(scenario, findings, probe=True):
        if prompts is None:
            prompts = one.prompts
            if isinstance(prompts, Prompts) and prompts.usable:
                _unused(prompts, findings)
                lint_perturbations(
                    scenario,
                    prompts.perturbations,
                    prompts.names_used(),
                    prompts.sources,
                    findings,
                )
            check_filters(scenario.controls, prompts.axes, f"{key}.controls", findings)
            _tools(one, findings)
        check_cast(one, known, findings)
        texts.look(one)
        largest = max(largest, (one.script.longest, one.name))
        if one.script.prefilled and prefilled is None:
            prefilled = one.name
        if not one.whole:
            continue  # stand-ins make conditions alike that are not
        twins.look(one)
        try:
            references.look(one, prompts.grading(one.levels, seed=0))
        except RenderProblem as problem:
            findings.error(problem.key, problem.what, one.name and f"First met in {one.name}")
    twins.summary(key)
    texts.summary(key)
    references.summary(prompts.sources if prompts else {})
    lint_size(models, largest[0], key, largest[1], findings, contexts=contexts)
    if prefilled is not None:
        lint_prefill(
            models, f"{key}.{'history' if scenario.history else 'prompts'}", prefilled, findings
        )
    if len(set(scenario.outcomes)) < len(scenario.outcomes):
        what = "a label occurs twice: which one counts is unclear"
        findings.error(f"{key}.outcomes", what, "Remove one")
    if scenario.tools and scenario.turns and not scenario.environment:
        what = "nothing answers tool calls here: a rollout ends with the first answer that has one"
        findings.add(Severity.WARNING, f"{key}.turns", what, "Add an `environment:`")


def _unused(prompts: Prompts, findings: Findings) -> None:
    used = prompts.names_used()
    scenario, key = prompts.scenario, prompts.key
    for axis in prompts.axes:
        if any(level.given is not None for level in axis.levels):
            continue  # given prompts bring facts that nobody needs to use
        names = {axis.name, *(name for level in axis.levels for name in level.sets)}
        if not names & used and len(axis.levels) > 1:
            fix = "Use its variable in a text, or remove the axis"
            findings.error(f"{key}.axes.{axis.name}", "the axis changes nothing", fix)
        for name in sorted(names - used - {axis.name}):
            what = f"no text uses {name}"
            findings.add(Severity.WARNING, f"{key}.axes.{axis.name}", what, "Use or remove it")
    for kind, names in (("variables", scenario.variables), ("fragments", scenario.fragments)):
        for name in names:
            if name not in used:
                what = "no text uses it"
                findings.add(Severity.WARNING, f"{key}.{kind}.{name}", what, "Use or remove it")


def _tools(one: RenderedCondition, findings: Findings) -> None:
    """Note tools that graders are told of and the scenario does not offer."""
    told: object = one.prompts.scenario.grading.get("tools")
    staging = one.script.staging
    if not isinstance(told, list) or staging is None or staging.stage is None:
        return
    offered = {str(tool["name"]) for tool in one.script.tools}
    unknown = sorted({str(t) for t in cast("list[object]", told)} - offered)
    silent = sorted(offered - {str(t) for t in cast("list[object]", told)})
    key = f"{one.prompts.key}.grading.tools"
    for name in unknown:
        findings.add(Severity.WARNING, key, f"{name} is no tool of the scenario", "Remove it")
    for name in silent:
        what = f"the scenario offers {name}, which the graders are not told of"
        findings.add(Severity.WARNING, key, what, "Add it, or leave `grading.tools` out")


class _Twins:
    """Finds conditions with identical prompts; over all scenarios."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self._first: dict[str, str] = {}
        self._found = 0

    def look(self, one: RenderedCondition) -> None:
        script = one.script
        said = script.prompt_digest(one.prompts.canonical_tools(script))
        said += script.canonical_safeguards.hex()
        name = f"{one.prompts.scenario.name}[{one.name}]"
        other = self._first.setdefault(said, name)
        if other is not name:
            self._found += 1
            if self._found <= _MOST_TWINS:
                what = f"{other} and {name} render to identical prompts"
                fix = "Exclude one of them, or use the axis that tells them apart in a text"
                self._findings.error(one.prompts.key, what, fix)

    def summary(self, key: str) -> None:
        if self._found > _MOST_TWINS:
            left_out = self._found - _MOST_TWINS
            what = f"and {left_out} more pairs of identical prompts"
            self._findings.error(key, what, "Correct those above first")
        self._found = 0


def _greedy(model: ModelConfig, scenarios: Sequence[ScenarioConfig], findings: Findings) -> None:
    key = f"models.{model.name}"
    greedy = model.params.get("temperature") == 0
    varied = any(s.perturbations for s in scenarios)
    reads = varied or any(map(_reads_seed, _all_texts(scenarios)))
    if greedy and not model.send_seed and not reads:
        what = "temperature 0 and no seed in any text: all seeds of a condition will answer alike"
        fix = "Use one seed, or another temperature; n is not independent otherwise"
        findings.add(Severity.WARNING, f"{key}.params.temperature", what, fix)


def lint_analysis(
    config: SweepConfig, findings: Findings, axes: Iterable[tuple[str, str]] | None = None
) -> None:
    """Check that declared contrasts and exclusions speak of what the sweep has.

    Args:
        config: resolved.
        findings: where to note what does not exist.
        axes: (axis, level) of every condition that will be run; None: those that the scenarios list.
    """
    levels: dict[str, set[str]] = {
        "model": {m.name for m in config.models},
        "scenario": {s.name for s in config.scenarios},
    }
    levels["scenario"] |= {
        str(s.labels["family"]) for s in config.scenarios if s.labels.get("family")
    }
    for axis, level in _listed(config) if axes is None else axes:
        levels.setdefault(axis, set()).add(level)
    outcomes = {name for s in config.scenarios for name in s.outcomes}
    graders = {name for s in config.scenarios for name in s.graders}
    names = [c.name for c in config.analysis.contrasts]
    for i, contrast in enumerate(config.analysis.contrasts):
        key = f"analysis.contrasts[{i}]"
        if not contrast.name or names.count(contrast.name) > 1:
            what = "every contrast needs a name of its own"
            findings.error(f"{key}.name", what, "Name it by what it asks")
        _contrast(contrast, key, levels, findings)
        if contrast.grader and contrast.grader not in graders:
            fix = f"Graders: {', '.join(sorted(graders)) or 'none'}"
            what = f"no scenario uses the grader {contrast.grader!r}"
            findings.error(f"{key}.grader", what, fix)
        _outcome(contrast.outcome, f"{key}.outcome", outcomes, findings)
    for i, rule in enumerate(config.analysis.exclude):
        key = f"analysis.exclude[{i}]"
        if not 0 <= rule.above <= 1:
            findings.error(f"{key}.above", f"{rule.above:g} is no rate", "Use 0 to 1")
        if not any(s.controls for s in config.scenarios):
            findings.error(key, "no scenario names `controls`", "Name the control conditions")
        _outcome(rule.outcome, f"{key}.outcome", outcomes, findings)


def _listed(config: SweepConfig) -> Iterable[tuple[str, str]]:
    for given in config.scenarios:
        # What is wrong with a scenario in Python, or with prompts, is said elsewhere.
        key = f"scenarios.{given.name}"
        scenario = with_axes(given, key, Findings()) if given.python else given
        for axis, found in scenario.axes.items():
            yield from ((axis, label(v)) for v in cast("Iterable[Any]", found))
        if scenario.prompts is not None:
            prompts = read_prompts(scenario.prompts, f"{key}.prompts", Findings())
            yield from ((PROMPT_AXIS, prompt.id) for prompt in prompts)


def _contrast(
    contrast: ContrastConfig, key: str, levels: Mapping[str, set[str]], findings: Findings
) -> None:
    if not contrast.a or sorted(contrast.a) != sorted(contrast.b):
        findings.error(key, "`a` and `b` must name the same axes", "Write both with equal keys")
        return
    if contrast.a == contrast.b:
        fix = "Give one of them another level"
        findings.error(key, "`a` and `b` are the same conditions", fix)
    for side in ("a", "b"):
        for axis, value in cast("dict[str, Any]", getattr(contrast, side)).items():
            values = cast("list[Any]", value if isinstance(value, list) else [value])
            for one in values:
                if axis not in levels:
                    fix = f"Axes: {', '.join(sorted(levels))}"
                    findings.error(f"{key}.{side}", f"no scenario has an axis {axis!r}", fix)
                elif label(one) not in levels[axis]:
                    fix = f"Levels: {', '.join(sorted(levels[axis]))}"
                    findings.error(f"{key}.{side}.{axis}", f"no level {label(one)!r}", fix)


def _outcome(outcome: str, key: str, known: set[str], findings: Findings) -> None:
    if outcome and known and outcome not in known:
        fix = f"Outcomes: {', '.join(sorted(known))}"
        findings.error(key, f"no scenario has the outcome {outcome!r}", fix)


def _all_texts(scenarios: Sequence[ScenarioConfig]) -> Iterable[str]:
    for s in scenarios:
        yield from (s.system or "", s.user or "", *s.turns, *s.fragments.values())


def _reads_seed(text: str) -> bool:
    return re.search(r"\{[{%][^}]*\b(seed|draw)\b", text) is not None
