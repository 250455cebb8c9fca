"""A configuration made fit to leave this machine: what its files hold is put inside, the rest is named.

A sweep keeps its resolved configuration, and readers render prompts from it long after the job's own folder
is gone. So prompts of a file become part of it, not a file beside it. Code and weights cannot; whoever
submits is told which files every node, and every later reader, needs in the same place.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import orjson

from runner.config.schema import ScenarioConfig, SweepConfig, called
from runner.core.errors import ConfigError

MOST_PROMPT_BYTES = 16_000_000
"""Of one file; the configuration is read by every command on the sweep."""


def travelling(config: SweepConfig) -> SweepConfig:
    """Return a configuration that holds the prompts that it named by file.

    Raises:
        ConfigError: a file is gone, is no JSON lines, or is too large.
    """
    return replace(config, scenarios=[_whole(scenario) for scenario in config.scenarios])


def _whole(scenario: ScenarioConfig) -> ScenarioConfig:
    if not isinstance(scenario.prompts, str):
        return scenario
    key, path = f"scenarios.{scenario.name}.prompts", Path(scenario.prompts)
    try:
        data = path.read_bytes()
        prompts = [orjson.loads(line) for line in data.splitlines() if line.strip()]
    except (OSError, orjson.JSONDecodeError) as error:
        msg = f"{key}: {path} cannot be read ({error}). It is sent inside the configuration."
        raise ConfigError(msg) from error
    if len(data) > MOST_PROMPT_BYTES:
        msg = (
            f"{key}: {path} has {len(data) / 1e6:.0f} MB; up to {MOST_PROMPT_BYTES / 1e6:.0f} are sent "
            "inside the configuration. Split it into several sweeps, or start this one on the cluster "
            "itself by runner sweep --address, with the file on a disk that all nodes share."
        )
        raise ConfigError(msg)
    return replace(scenario, prompts=prompts)


def left_behind(config: SweepConfig) -> Iterator[str]:
    """Yield a line for each file that the configuration only names, and that does not travel with it."""
    named = [(f"scenarios.{s.name}.python", s.python) for s in config.scenarios]
    named += [(f"graders.{g.name}.use", g.use) for g in config.graders]
    for m in called(config):
        named += [(f"models.{m.name}.local.gguf", m.local.gguf)]
        named += [(f"models.{m.name}.local.chat_template", m.local.chat_template)]
    for key, value in named:
        file = value.rpartition(":")[0] if value and ".py:" in value else value
        if file and Path(file).is_absolute():
            yield f"{key}: every node needs {file} at that place; only its name is sent"
