"""Golden renderings: what every condition of every shipped scenario says, kept to be compared.

`make goldens` writes them anew; what changed is then read in `git diff`. A story that says something else than
at the last commit needs a higher `version`: without it nothing is written.

* `tests/expected/rendered/NAME.txt`: the first condition of each story in full, as `runner show` prints it;
* `tests/expected/conditions.txt`: a digest of all conditions of each story, and one for each level of each axis;
* `tests/expected/shipped_prompts.json`: the conditions that shipped sweeps choose (`test_shipped.py`).

The cross of a story's axes has up to 24,000 conditions, but a text reads a few axes only. Digested are so
many conditions that each text was seen with every combination of levels that it reads and that occurs: no
condition of the cross says anything else. Texts are those of environment and roles, too, and the `when` of
entries; what is no text there (numbers, names of parts) is the same in all conditions. What each condition of a
sweep puts together of it, with its tools, is what `shipped_prompts.json` holds.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import cast

from runner.config.load import load_config
from runner.config.schema import ScenarioConfig, SweepConfig
from runner.core.identity import canonical_json
from runner.pipeline.showing import show_config
from runner.report.lookup import Selector
from runner.report.screen import Line
from runner.scenarios.axes import Axis, Level, condition_name, conditions, read_axes
from runner.scenarios.findings import Findings, RenderProblem
from runner.scenarios.prompts import Prompts
from runner.scenarios.script import Script
from runner.scenarios.staging import staging_sources

ROOT = Path(__file__).parents[2]
STORIES = sorted((ROOT / "configs/scenarios").rglob("*.yaml"))
DIGESTS = ROOT / "tests/expected/conditions.txt"
RENDERED = ROOT / "tests/expected/rendered"

Row = tuple[int, ...]
"""A condition: which level of each axis."""


@dataclass(frozen=True)
class Golden:
    """What is kept of one story; all digests are hexadecimal digits."""

    version: int
    conditions: int
    names: str
    """Of the names of all conditions, in order."""
    digested: int
    parts: Mapping[str, str]
    """Of the system text, the user texts, the texts of environment and roles; of what is no text there, and
    perturbations; and, of the first condition, of all that is on stage and of the tools."""
    levels: Mapping[str, Mapping[str, str]]
    """By axis and level: of the texts that read the axis, with that level."""

    def lines(self, name: str) -> Iterator[str]:
        """Yield the story's lines of `conditions.txt`."""
        counts = f"{self.conditions} conditions {self.names}, {self.digested} digested"
        yield f"{name}: version {self.version}, {counts}"
        yield "  " + " ".join(f"{k} {v}" for k, v in self.parts.items())
        for axis, levels in self.levels.items():
            yield f"  {axis}: " + " ".join(f"{k} {v}" for k, v in levels.items())


def load_stories(paths: Sequence[Path], folder: Path) -> SweepConfig:
    """Return a sweep of whole stories, no axis narrowed; its configuration is written to `folder`."""
    model = "provider: anthropic, max_tokens: 100, api_key_env: K"
    lines = ["name: goldens", "scenarios:", *(f"  - path: {path}" for path in paths)]
    lines += ["models:", f"  - {{name: model, model: claude-opus-4-5, {model}}}"]
    lines += ["actors:", f"  - {{name: people, model: claude-haiku-4-5, {model}}}", "seeds: 1"]
    (folder / "goldens.yaml").write_text("\n".join(lines) + "\n")
    return load_config(folder / "goldens.yaml", environ={}).config


class Crosses:
    """All conditions of stories; those of the same axes are worked out once."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[list[Row], str]] = {}

    def of(self, scenario: ScenarioConfig, axes: Sequence[Axis]) -> tuple[list[Row], str]:
        """Return all conditions in order, and the digest of their names."""
        labels = [(a.name, [level.label for level in a.levels]) for a in axes]
        key = repr((labels, scenario.include, scenario.exclude, scenario.factorial))
        if key not in self._known:
            findings = Findings(None)
            at = [{level.label: i for i, level in enumerate(a.levels)} for a in axes]
            rows: list[Row] = []
            names = sha256()
            for levels in conditions(scenario, axes, "", findings):
                rows.append(tuple([of[lv.label] for of, lv in zip(at, levels, strict=True)]))
                names.update(condition_name(axes, levels).encode() + b"\n")
            assert findings.errors == []
            self._known[key] = rows, names.hexdigest()[:12]
        return self._known[key]


def cover(rows: Sequence[Row], reads: Sequence[Sequence[int]]) -> list[Row]:
    """Return conditions among which each text occurs with every combination that it reads.

    Args:
        rows: all conditions.
        reads: by text, the axes that it reads.
    """
    distinct = sorted({tuple(read) for read in reads}, key=lambda read: (-len(read), read))
    # Where one text reads all that another does, its combinations have those of the other in them.
    kept = [r for i, r in enumerate(distinct) if not any({*r} <= {*of} for of in distinct[:i])]
    seen: list[set[Row]] = [set() for _ in kept]
    chosen: list[Row] = []
    for row in rows:
        new = False
        for read, known in zip(kept, seen, strict=True):
            combination = tuple([row[i] for i in read])
            if combination not in known:
                known.add(combination)
                new = True
        if new:
            chosen.append(row)
    return chosen


def prompts_of(scenario: ScenarioConfig) -> tuple[Prompts, list[Axis]]:
    """Return a story's templates and its axes, not narrowed."""
    findings = Findings(None)
    axes = read_axes(scenario, scenario.name, findings)
    prompts = Prompts(scenario, axes, scenario.name, findings)
    assert [str(finding) for finding in findings.errors] == []
    return prompts, axes


def all_said(scenario: ScenarioConfig) -> ScenarioConfig:
    """Return a story whose texts of environment and roles are user turns: rendered, but not set up.

    Setting an environment up costs ten times as much, and is done for every condition of the sweeps.
    """
    assert not scenario.history, "not digested yet"
    assert not scenario.python, "not digested yet"
    assert not scenario.tools, "not digested yet"
    turns = [*scenario.turns, *staging_sources(scenario).values()]
    return replace(scenario, turns=turns, environment={}, roles=[], safeguards=[], tools=[])


def levels_of(axes: Sequence[Axis], row: Row) -> list[Level]:
    """Return a condition's levels."""
    return [axis.levels[i] for axis, i in zip(axes, row, strict=True)]


def reads_of(prompts: Prompts, axes: Sequence[Axis]) -> dict[str, tuple[int, ...]]:
    """Return the axes, by number, that each text of the prompt reads."""
    at = {axis.name: i for i, axis in enumerate(axes)}
    needs = {k: v for k, v in prompts.needs.items() if k.startswith(("system", "user", "turns"))}
    return {text: tuple(sorted(at[n] for n in read if n in at)) for text, read in needs.items()}


def golden_of(scenario: ScenarioConfig, crosses: Crosses) -> Golden:
    """Render so many conditions of a story that all are known, and digest them."""
    prompts, axes = prompts_of(all_said(scenario))
    rows, names = crosses.of(scenario, axes)
    reads = reads_of(prompts, axes)
    digested = cover(rows, list(reads.values()))
    parts = {name: sha256() for name in ("system", "user", "environment")}
    levels = [[sha256() for _ in axis.levels] for axis in axes]
    faults: list[RenderProblem] = []
    seen: set[tuple[str, Row]] = set()
    for row in digested:
        script = prompts.script(levels_of(axes, row), faults=faults)
        for text, part, digest in _said(script, len(scenario.turns)):
            combination = tuple([row[i] for i in reads[text]])
            if (text, combination) in seen:
                continue
            seen.add((text, combination))
            parts[part].update(digest)
            for i in reads[text]:
                levels[i][row[i]].update(digest)
    # A body may be left empty, a turn may not.
    assert {fault.what for fault in faults} <= {"the message renders to nothing"}
    staged, _ = prompts_of(scenario)
    first = staged.script(levels_of(axes, rows[0]))
    parts["stage"] = sha256(first.canonical_environment)
    parts["tools"] = sha256(staged.canonical_tools(first))
    parts["rest"] = sha256(canonical_json(_rest(scenario)))
    return Golden(
        version=scenario.version,
        conditions=len(rows),
        names=names,
        digested=len(digested),
        parts={name: digest.hexdigest()[:12] for name, digest in parts.items()},
        levels={
            axis.name: {
                level.label: digest.hexdigest()[:8]
                for level, digest in zip(axis.levels, digests, strict=True)
            }
            for axis, digests in zip(axes, levels, strict=True)
        },
    )


def _rest(scenario: ScenarioConfig) -> object:
    """Return what environment, roles and end hold beside texts, and what perturbations are defined."""

    def bare(value: object) -> object:
        if isinstance(value, Mapping):
            return {str(k): bare(v) for k, v in cast("Mapping[str, object]", value).items()}
        if isinstance(value, list):
            return [bare(item) for item in cast("list[object]", value)]
        return "" if isinstance(value, str) else value

    roles = [[role.name, role.answers] for role in scenario.roles]
    return [bare(scenario.environment), asdict(scenario.end), roles, scenario.perturbations]


def _said(script: Script, turns: int) -> Iterator[tuple[str, str, bytes]]:
    """Yield (name, part, hash) of each text; what comes after the story's own turns is not said."""
    if script.system is not None:
        yield "system", "system", script.system.hash
    for i, user in enumerate(script.users):
        yield f"turns[{i - 1}]" if i else "user", "user" if i <= turns else "environment", user.hash


def changes(name: str, kept: Sequence[str], now: Sequence[str]) -> list[str]:
    """Say in words what differs between a story's lines as kept and as they are now."""
    if not kept or not now:
        return [f"{name}: {'is new' if now else 'is gone'}"]
    before, after = _read(kept), _read(now)
    told: list[str] = []
    if kept[0] != now[0]:
        told.append(f"{name}: was {kept[0].partition(': ')[2]}; is {now[0].partition(': ')[2]}")
    said = [part for part, digest in after[0].items() if before[0].get(part) != digest]
    where: list[str] = []
    for axis, levels in after[1].items():
        changed = [k for k, v in levels.items() if before[1].get(axis, {}).get(k) != v]
        if changed and len(changed) < len(levels):
            where.append(f"{axis}={'|'.join(changed)}")
    if said:
        within = f"within {', '.join(where)}" if where else "with every level"
        told.append(f"{name}: {', '.join(said)} changed {within}")
    return told


def _read(lines: Sequence[str]) -> tuple[dict[str, str], dict[str, dict[str, str]]]:
    """Return parts and levels of a story's lines, each with its digest."""

    def pairs(text: str) -> dict[str, str]:
        words = text.split()
        return dict(zip(words[::2], words[1::2], strict=True))

    axes = (line.strip().partition(": ") for line in lines[2:])
    return pairs(lines[1]), {axis: pairs(levels) for axis, _, levels in axes}


def by_story(text: str) -> dict[str, list[str]]:
    """Return the lines of each story in `conditions.txt`, by its name."""
    found: dict[str, list[str]] = {}
    name = ""
    for line in text.splitlines():
        if not line.startswith((" ", "#")):
            name = line.partition(":")[0]
        if not line.startswith("#"):
            found.setdefault(name, []).append(line)
    return found


def rendered(config: SweepConfig, scenario: ScenarioConfig) -> str:
    """Return the first condition of a story in full, with seed 0, as `runner show` prints it."""
    axes = read_axes(scenario, scenario.name, Findings(None))
    first = next(iter(conditions(scenario, axes, "", Findings(None))))
    only = {a.name: {lv.value: dict(lv.sets)} for a, lv in zip(axes, first, strict=True)}
    narrowed = replace(scenario, axes=only, exclude=[], controls=[])
    items = show_config(replace(config, scenarios=[narrowed]), Selector())
    shown = [item.text for item in items if isinstance(item, Line)]
    head = ("Made by `make goldens` from configs/scenarios.", str(scenario.labels["canary"]))
    return "\n".join((*(f"# {line}" for line in head), *shown)) + "\n"


def digests(config: SweepConfig) -> dict[str, list[str]]:
    """Return the lines of `conditions.txt` by story."""
    crosses = Crosses()
    return {s.name: list(golden_of(s, crosses).lines(s.name)) for s in config.scenarios}


def all_changes(kept: Mapping[str, list[str]], now: Mapping[str, list[str]]) -> list[str]:
    """Say in words what differs between the lines by story as kept and as they are now."""
    return [
        t for name in {**kept, **now} for t in changes(name, kept.get(name, []), now.get(name, []))
    ]


def not_raised(kept: Mapping[str, list[str]], now: Mapping[str, list[str]]) -> list[str]:
    """Say which stories say something else than those kept, under no higher version."""

    def split(lines: list[str]) -> tuple[int, list[str]]:
        found = re.search(r": version (\d+),", lines[0])
        bare = lines[0].replace(found[0], ":") if found else lines[0]
        return int(found[1]) if found else 0, [bare, *lines[1:]]

    told: list[str] = []
    for name in kept.keys() & now.keys():
        (old, before), (new, after) = split(kept[name]), split(now[name])
        if after != before and new <= old:
            told.append(f"{name}: says something else; raise its version from {new} to {old + 1}")
    return sorted(told)


def committed() -> dict[str, list[str]]:
    """Return the lines by story as of the last commit; none where there is no git or no such file."""
    name = DIGESTS.relative_to(ROOT).as_posix()
    done = subprocess.run(
        ["git", "show", f"HEAD:{name}"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return by_story(done.stdout)


def main() -> None:
    """Write the golden renderings anew, and say which conditions changed.

    Exits with 1, nothing written, where a story's version was not raised.
    """
    with TemporaryDirectory() as folder:
        config = load_stories(STORIES, Path(folder))
    now = digests(config)
    if missed := not_raised(committed(), now):
        sys.stdout.write("\n".join((*missed, "nothing was written")) + "\n")
        sys.exit(1)
    RENDERED.mkdir(exist_ok=True)
    for path in RENDERED.glob("*.txt"):
        path.unlink()
    for scenario in config.scenarios:
        (RENDERED / f"{scenario.name}.txt").write_text(rendered(config, scenario))
    kept = by_story(DIGESTS.read_text()) if DIGESTS.exists() else {}
    lines = ["# Made by `make goldens`: see tests/support/goldens.py.", *chain(*now.values())]
    DIGESTS.write_text("\n".join(lines) + "\n")
    sys.stdout.write("\n".join(all_changes(kept, now) or ["no condition changed"]) + "\n")


if __name__ == "__main__":
    main()
