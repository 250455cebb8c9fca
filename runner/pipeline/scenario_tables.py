"""Tables of the shipped scenarios for docs/scenarios/*.md, made from the scenario files themselves.

`python -m runner.pipeline.scenario_tables configs docs/scenarios` rewrites what stands between a page's
lines `<!-- table: NAME … -->` and `<!-- end of table -->`; a test compares. `NAME` is a folder of
configs/scenarios, or `sweeps`, of configs/*.yaml.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from runner.config.compose import read_scenario
from runner.config.load import Loaded, load_config
from runner.config.schema import ScenarioConfig
from runner.config.source import Problems
from runner.core.errors import ConfigError
from runner.scenarios.axes import conditions, read_axes
from runner.scenarios.findings import Findings

Load = Callable[[Path], Loaded]
_TABLE = re.compile(r"(<!-- table: ([\w-]+)[^\n]*-->\n).*?(<!-- end of table -->)", re.DOTALL)


def page_with_tables(text: str, configs: Path, load: Load | None = None) -> str:
    """Return a page with its tables made anew.

    Args:
        text: the page.
        configs: the folder of configurations.
        load: what reads a sweep; None: from its file, each time.

    Raises:
        ConfigError: a scenario cannot be read.
    """

    def made(found: re.Match[str]) -> str:
        name = found[2]
        lines = sweep_lines(configs, load) if name == "sweeps" else story_lines(configs, name)
        table = "\n".join(lines)
        return f"{found[1]}\n{table}\n\n{found[3]}"

    return _TABLE.sub(made, text)


def story_lines(configs: Path, folder: str) -> Iterator[str]:
    """Yield the axes, the stories and the rest that all stories of a folder share."""
    stories = [_read(path) for path in sorted((configs / "scenarios" / folder).glob("*.yaml"))]
    first = stories[0]
    yield "| axis | levels |"
    yield "|---|---|"
    for axis, levels in first.axes.items():
        yield f"| `{axis}` | {_code([str(level) for level in cast('Sequence[object]', levels)])} |"
    yield ""
    yield "| story | what | conditions | turns | varied with the seed |"
    yield "|---|---|---:|---:|---|"
    for story in stories:
        turns = f"up to {story.end.turns}" if story.environment else str(1 + len(story.turns))
        what = re.sub(r"^[^(]*\(|\)$", "", story.title or "")
        varied = ", ".join(story.perturbations)
        name = story.name.removeprefix(f"{folder}-")
        yield f"| `{name}` | {what} | {_count(story):,} | {turns} | {varied} |"
    yield ""
    yield f"Graders: {_code(first.graders)}. Outcomes, the worst first: {_code(first.outcomes)}."
    controls = "; ".join(_filter(entry) for entry in first.controls)
    yield f"Controls: {controls}."
    if first.exclude:
        left_out = "; ".join(_filter(entry) for entry in first.exclude)
        yield f"Left out: {left_out}."


def sweep_lines(configs: Path, load: Load | None = None) -> Iterator[str]:
    """Yield a row for each shipped sweep."""
    yield "| sweep | scenarios | conditions | models | seeds |"
    yield "|---|---|---:|---:|---:|"
    for path in sorted(configs.glob("*.yaml")):
        loaded = load(path) if load else load_config(path, environ={})
        scenarios = loaded.config.scenarios
        families = list(dict.fromkeys(_family(s) for s in scenarios))
        count = sum(_count(s) for s in scenarios)
        models = len(loaded.config.models)
        kinds = ", ".join(families)
        yield f"| `{path.name}` | {kinds} | {count:,} | {models} | {len(loaded.seeds):,} |"


def _family(scenario: ScenarioConfig) -> str:
    return str(scenario.labels.get("family", scenario.name))


def _read(path: Path) -> ScenarioConfig:
    problems = Problems()
    tree = read_scenario(path, problems)
    if problems.lines:
        raise ConfigError(*problems.lines)
    plain = cast("dict[str, Any]", tree.plain())
    end: object = plain.pop("end", None)
    scenario = ScenarioConfig(**plain)
    if isinstance(end, Mapping):
        for key, value in cast("Mapping[str, Any]", end).items():
            setattr(scenario.end, key, value)
    return scenario


def _count(scenario: ScenarioConfig) -> int:
    findings = Findings()
    axes = read_axes(scenario, scenario.name, findings)
    return sum(1 for _ in conditions(scenario, axes, scenario.name, findings))


def _code(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _filter(entry: Mapping[str, object]) -> str:
    said: list[str] = []
    for axis, value in entry.items():
        levels = cast("list[object]", value) if isinstance(value, list) else [value]
        said.append(f"`{axis}` {' or '.join(f'`{level}`' for level in levels)}")
    return " with ".join(said)


def main(configs: str, docs: str) -> None:
    """Rewrite the tables of every page of a folder, and of the page beside it."""
    folder = Path(docs)
    for page in (*sorted(folder.glob("*.md")), folder.with_suffix(".md")):
        page.write_text(page_with_tables(page.read_text("utf-8"), Path(configs)), "utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:3])
