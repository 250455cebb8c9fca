"""`lint`: renders every condition before anything is spent, and says what looks wrong.

Errors are what `build_book` refuses too, and parameters that the API refuses; warnings are texts
that were hardly meant. Whether a grader knows its facts is checked where graders live.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from runner.config.schema import ModelConfig, ProviderKind, ScenarioConfig, SweepConfig
from runner.config.source import Source
from runner.scenarios.build import (
    RenderedCondition,
    check_names,
    expand,
    read_seeds,
    read_targets,
)
from runner.scenarios.findings import Finding, Findings, Severity
from runner.scenarios.prompts import Prompts, RenderProblem
from runner.scenarios.symbolic import Pattern

SAMPLING = ("temperature", "top_k", "top_p")

STREAMING_FROM = 21_334
"""max_tokens from which the Anthropic SDK refuses a call that is not streamed."""

_STRAY = re.compile(r"\{\{|\}\}|\{%|%\}|\$\{[^}\n]{0,40}\}?|\{[A-Za-z_]\w{0,40}\}")
_MOST_TWINS = 10
_LOOK_AROUND = 20


def lint(config: SweepConfig, source: Source | None = None) -> list[Finding]:
    """Return everything that looks wrong with a configuration, in the order of its keys.

    Args:
        config: as loaded.
        source: where its keys were written, for `Finding.where`.
    """
    findings = Findings(source)
    check_names("scenarios", [s.name for s in config.scenarios], findings)
    check_names("models", [m.name for m in config.models], findings)
    read_seeds(config, findings)
    # Files stand for their hashes: lint tells models apart without reading weights.
    weights = {m.name: f"file {m.local.gguf}" for m in config.models}
    read_targets(config.models, weights, findings)
    twins = _Twins(findings)
    for scenario in config.scenarios:
        _lint_scenario(scenario, twins, findings)
    for model in config.models:
        _lint_model(model, config.scenarios, findings)
    return findings.all


def _lint_scenario(scenario: ScenarioConfig, twins: _Twins, findings: Findings) -> None:
    prompts: Prompts | None = None
    for one in expand(scenario, findings, probe=True):
        if prompts is None:
            prompts = one.prompts
            _unused(prompts, findings)
        _stray_braces(one, findings)
        twins.look(one)
        try:
            prompts.grading(one.levels, seed=0)
        except RenderProblem as problem:
            findings.error(problem.key, problem.what, one.name and f"First met in {one.name}")
    twins.summary(f"scenarios.{scenario.name}")
    if scenario.tools and scenario.turns:
        what = "nothing answers tool calls here: a rollout ends with the first answer that has one"
        findings.add(Severity.WARNING, f"scenarios.{scenario.name}.turns", what)


def _unused(prompts: Prompts, findings: Findings) -> None:
    used = prompts.names_used()
    scenario, key = prompts.scenario, prompts.key
    for axis in prompts.axes:
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


def _stray_braces(one: RenderedCondition, findings: Findings) -> None:
    names = ["user", *(f"turns[{i}]" for i in range(len(one.script.users) - 1))]
    texts: list[tuple[str, Pattern]] = list(zip(names, one.script.users, strict=True))
    if one.script.system is not None:
        texts.insert(0, ("system", one.script.system))
    for name, pattern in texts:
        found = _STRAY.search(pattern.fill(0))
        if found:
            start = max(found.start() - _LOOK_AROUND, 0)
            around = pattern.fill(0)[start : found.end() + _LOOK_AROUND].replace("\n", " ")
            what = f"the rendered text holds {found[0]!r}, as if something was not filled in"
            fix = f"It reads …{around}…" + (f" in condition {one.name}" if one.name else "")
            findings.add(Severity.WARNING, f"{one.prompts.key}.{name}", what, fix)


class _Twins:
    """Finds conditions with identical prompts; over all scenarios."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self._first: dict[str, str] = {}
        self._found = 0

    def look(self, one: RenderedCondition) -> None:
        said = one.script.prompt_digest(one.prompts.canonical_tools(one.script))
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
            self._findings.error(key, f"and {left_out} more pairs of identical prompts")
        self._found = 0


def _lint_model(
    model: ModelConfig, scenarios: Sequence[ScenarioConfig], findings: Findings
) -> None:
    key = f"models.{model.name}"
    if model.provider is ProviderKind.anthropic:
        for name in SAMPLING:
            if name in model.params:
                what = (
                    f"the Messages API has had no {name} since version 2026-10-21: it answers "
                    "400 even to the default value"
                )
                findings.error(f"{key}.params.{name}", what, "Remove it, for every model alike")
        if model.max_tokens >= STREAMING_FROM:
            what = f"answers of {STREAMING_FROM:,} tokens or more need a long timeout"
            findings.add(
                Severity.NOTE, f"{key}.max_tokens", what, f"timeout_s is {model.timeout_s:g}"
            )
    greedy = model.params.get("temperature") == 0
    if greedy and not model.send_seed and not any(map(_reads_seed, _all_texts(scenarios))):
        what = "temperature 0 and no seed in any text: all seeds of a condition will answer alike"
        fix = "Use one seed, or another temperature; n is not independent otherwise"
        findings.add(Severity.WARNING, f"{key}.params.temperature", what, fix)


def _all_texts(scenarios: Sequence[ScenarioConfig]) -> Iterable[str]:
    for s in scenarios:
        yield from (s.system or "", s.user or "", *s.turns, *s.fragments.values())


def _reads_seed(text: str) -> bool:
    return re.search(r"\{[{%][^}]*\b(seed|draw)\b", text) is not None
