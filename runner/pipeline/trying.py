"""`runner try`: a few jobs in a scratch directory, to look at transcripts before spending."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

from runner.config.schema import PROMPT_AXIS, AnalysisConfig, ScenarioConfig, SweepConfig
from runner.core.errors import ConfigError
from runner.scenarios.findings import Findings
from runner.scenarios.given import read_prompts


def narrow(
    config: SweepConfig, only: Mapping[str, str], models: Sequence[str], jobs: int
) -> SweepConfig:
    """Cut a configuration down, in place, to what is to be tried.

    Args:
        config: resolved.
        only: axis to the level that is kept; scenarios without the axis are left out.
        models: names that are kept; empty: all.
        jobs: seeds per cell.

    Raises:
        ConfigError: an axis, level or model that the configuration does not have.
    """
    known = [m.name for m in config.models]
    problems = [
        f"--models {name}: no such model. There are: {', '.join(known)}"
        for name in models
        if name not in known
    ]
    for axis, level in only.items():
        problems += _narrow_axis(config, axis, level)
    if problems:
        raise ConfigError(*problems)
    if models:
        config.models = [m for m in config.models if m.name in models]
    config.analysis = AnalysisConfig()  # it speaks of what is cut away
    config.seeds = jobs
    config.seed_block = jobs
    return config


def _narrow_axis(config: SweepConfig, axis: str, level: str) -> list[str]:
    if axis == PROMPT_AXIS:
        _list_prompts(config)
    having = [s for s in config.scenarios if axis in s.axes]
    if not having:
        axes = sorted({a for s in config.scenarios for a in s.axes})
        return [f"--only {axis}={level}: no such axis. There are: {', '.join(axes) or 'none'}"]
    levels = sorted({str(v) for s in having for v in s.axes[axis]})
    config.scenarios = [s for s in having if _keep(s, axis, level)]
    if not config.scenarios:
        return [f"--only {axis}={level}: no such level. There are: {', '.join(levels)}"]
    return []


def _list_prompts(config: SweepConfig) -> None:
    """Write the prompts of scenarios that have some down as levels, to be narrowed like others."""
    for scenario in config.scenarios:
        if scenario.prompts is not None and PROMPT_AXIS not in scenario.axes:
            found = read_prompts(scenario.prompts, "prompts", Findings())
            scenario.axes[PROMPT_AXIS] = [prompt.id for prompt in found]


def _keep(scenario: ScenarioConfig, axis: str, level: str) -> bool:
    """Keep one level of an axis; False where the scenario does not have it."""
    values = scenario.axes[axis]
    if isinstance(values, Mapping):
        levels = cast("Mapping[object, object]", values)  # they come from YAML
        kept = {k: v for k, v in levels.items() if str(k) == level}
    else:
        kept = [v for v in values if str(v) == level]
    scenario.axes[axis] = kept
    return bool(kept)
