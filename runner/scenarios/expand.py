"""From a scenario to its conditions, each rendered; what cannot be rendered is noted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from runner.config.schema import ScenarioConfig
from runner.scenarios.axes import Axis, Level, condition_name, conditions, read_axes
from runner.scenarios.findings import Findings, RenderProblem
from runner.scenarios.prompts import Prompts
from runner.scenarios.python import PythonPrompts, with_axes
from runner.scenarios.script import Script

_MOST_PROBLEMS = 20
"""Faults of a scenario's rendering that are told one by one; the rest is counted."""


@dataclass(frozen=True, slots=True)
class RenderedCondition:
    """A condition and its texts, as `expand` yields it."""

    prompts: Prompts | PythonPrompts
    axes: Sequence[Axis]
    levels: Sequence[Level]
    script: Script
    whole: bool = True
    """False: something is wrong, and stand-ins take the place of what cannot be rendered."""

    @property
    def name(self) -> str:
        """Return the condition's readable name."""
        return condition_name(self.axes, self.levels)


def expand(
    scenario: ScenarioConfig, findings: Findings, *, probe: bool
) -> Iterator[RenderedCondition]:
    """Yield every condition of a scenario, rendered; faults are noted.

    Args:
        scenario: the scenario.
        findings: where faults go.
        probe: check that each text depends on the seed only where it shows.
    """
    key = f"scenarios.{scenario.name}"
    if scenario.python:
        scenario = with_axes(scenario, key, findings)
    axes = read_axes(scenario, key, findings)
    kind = PythonPrompts if scenario.python else Prompts
    prompts = kind(scenario, axes, key, findings)
    before = len(findings.errors)
    count = 0
    told = _Told(findings, prompts)
    for levels in conditions(scenario, axes, key, findings):
        count += 1
        if not prompts.legible:
            return
        faults: list[RenderProblem] = []
        script: Script | None = None
        try:
            script = prompts.script(levels, probe=probe, faults=faults)
        except RenderProblem as problem:
            faults.append(problem)
        told.note(faults, condition_name(axes, levels))
        if script is not None:
            whole = prompts.usable and not faults
            yield RenderedCondition(prompts, axes, levels, script, whole)
    told.summary()
    faultless = len(findings.errors) == before
    if not count and faultless and all(axis.levels for axis in axes):
        what, fix = "include and exclude leave no condition", "Take an entry out, or add levels"
        findings.error(f"{key}.include" if scenario.include else f"{key}.exclude", what, fix)


class _Told:
    """Notes what cannot be rendered: each fault once, the first ones with their texts, the rest counted."""

    def __init__(self, findings: Findings, prompts: Prompts | PythonPrompts) -> None:
        self._findings = findings
        self._prompts = prompts
        # What stands in for a fault of a text may not be what its place wants: an echo.
        self._echoes = {finding.key for finding in findings.errors}
        self._seen: set[tuple[str, str]] = set()

    def note(self, faults: Iterable[RenderProblem], condition: str) -> None:
        for problem in faults:
            said = (problem.key, problem.what)
            if said in self._seen or problem.key in self._echoes:
                continue
            self._seen.add(said)
            if len(self._seen) <= _MOST_PROBLEMS:
                met = f"First met in condition {condition}" if condition else "Correct it there"
                self._findings.error(problem.key, problem.what, met, line=problem.line)

    def summary(self) -> None:
        if len(self._seen) > _MOST_PROBLEMS:
            what = f"and {len(self._seen) - _MOST_PROBLEMS} more faults like these"
            self._findings.error(self._prompts.key, what, "Correct the others first")
