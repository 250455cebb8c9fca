"""Scenarios written in Python.

A class with two methods is one:

    class Tone:
        def axes(self):
            return {"tone": ["polite", "blunt"]}

        def scene(self, levels, seeded):
            greeting = seeded.draw("greeting", ["Hello", "Hi"])
            return Scene(user=f"{greeting}! Be {levels['tone']}.")

A configuration names it by `python: package.module:Tone`, `python: file.py:Tone` (relative to the
configuration) or, where a package brings it, the name of an entry point of the group
`runner.scenarios`; `options:` are its keyword arguments, `axes:` may narrow its levels. `scene` is called
once per condition, with the seed symbolic: what `seeded` returns may be printed, not computed
with. Texts are texts, no templates. The rendered texts decide a cell's identity, not the code.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Protocol, cast

from runner.config.schema import EndConfig, RoleConfig, ScenarioConfig
from runner.core.facts import Scalar
from runner.core.identity import canonical_json
from runner.scenarios.axes import Axis, Level, label
from runner.scenarios.environments.protocol import SetupProblem
from runner.scenarios.environments.reading import holds
from runner.scenarios.findings import Findings, RenderProblem
from runner.scenarios.history import check_history
from runner.scenarios.perturbations import Perturbations
from runner.scenarios.script import Script
from runner.scenarios.staging import Role, Staging, make_staging
from runner.scenarios.symbolic import Pattern, SymbolicError, symbolic_draw, symbolic_seed
from runner.scenarios.templates import Template, TemplateProblem, symbolic_names

ENTRY_POINTS = "runner.scenarios"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What one condition says and sets up."""

    user: str
    system: str | None = None
    turns: Sequence[str] = ()
    history: Sequence[Mapping[str, Any]] = ()
    """Messages before `user`, in Messages API form."""
    environment: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """As in a scenario file, already rendered."""
    tools: Sequence[Mapping[str, Any]] = ()
    roles: Sequence[Mapping[str, Any]] = ()
    """Whom other models play: `{name, model, plays, system, answers}` as under `roles:` of a file."""
    grading: Mapping[str, Any] = field(default_factory=dict[str, Any])


class Seeded:
    """What the seed decides, as texts that stand for all seeds."""

    def __init__(self) -> None:
        self.seed = str(symbolic_seed())
        """The seed itself, printed."""

    def draw(self, choice: str, options: Sequence[Scalar]) -> str:
        """Return what a named choice draws from the options; recorded in each row.

        Raises:
            SymbolicError: there is no option, or one is no scalar.
        """
        return str(symbolic_draw(choice, list(options)))


class Scenario(Protocol):
    """A scenario in Python."""

    def axes(self) -> Mapping[str, Sequence[Scalar]]:
        """Return the levels of each axis."""
        ...

    def scene(self, levels: Mapping[str, Scalar], seeded: Seeded) -> Scene:
        """Return what a condition says; pure."""
        ...


def load_scenario(config: ScenarioConfig) -> Scenario:
    """Make the scenario that a configuration names.

    Raises:
        ValueError: it cannot be found or made; the message says what to do.
    """
    name = config.python or ""
    try:
        made: Any = _find(name)(**config.options)
    except Exception as error:  # noqa: BLE001 -- other people's code may raise anything
        msg = f"{name} cannot be loaded ({type(error).__name__}: {error})"
        raise ValueError(msg) from None
    if not (hasattr(made, "axes") and hasattr(made, "scene")):
        msg = f"{name} has no methods axes() and scene(levels, seeded)"
        raise ValueError(msg)
    return made


def _find(name: str) -> Any:
    place, colon, attribute = name.rpartition(":")
    if not colon:
        for point in entry_points(group=ENTRY_POINTS, name=name):
            return point.load()
        msg = f"no entry point of the group {ENTRY_POINTS}; write module:Class or file.py:Class"
        raise ValueError(msg)
    if not place.endswith(".py"):
        return getattr(importlib.import_module(place), attribute)
    spec = importlib.util.spec_from_file_location(f"runner_scenario_{Path(place).stem}", place)
    if spec is None or spec.loader is None:
        msg = f"no such file: {place}"
        raise ValueError(msg)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return getattr(module, attribute)


def with_axes(config: ScenarioConfig, key: str, findings: Findings) -> ScenarioConfig:
    """Return the configuration with the axes that its Python scenario has, as narrowed there."""
    try:
        whole = {
            name: [label(level) for level in levels]
            for name, levels in load_scenario(config).axes().items()
        }
    except Exception as error:  # noqa: BLE001 -- other people's code may raise anything
        findings.error(f"{key}.python", str(error))
        return config
    axes: dict[str, Any] = {}
    for name, levels in whole.items():
        wanted: object = config.axes.get(name, levels)
        kept = [label(v) for v in cast("list[Scalar]", wanted)] if isinstance(wanted, list) else []
        for level in kept:
            if level not in levels:
                fix = f"Levels: {', '.join(levels)}"
                findings.error(f"{key}.axes.{name}", f"{level} is no level of this axis", fix)
        axes[name] = [level for level in kept if level in levels]
    for name, levels in config.axes.items():
        if name not in whole:
            if name == "safeguards":  # the sweep's own axis
                axes[name] = levels
            else:
                what = "the Python scenario has no such axis"
                findings.error(f"{key}.axes.{name}", what, f"Axes: {', '.join(whole) or 'none'}")
    return replace(config, axes=axes)


class PythonPrompts:
    """What `prompts.Prompts` is for templates, for a Python scenario."""

    def __init__(
        self, scenario: ScenarioConfig, axes: Sequence[Axis], key: str, findings: Findings
    ) -> None:
        """Take a configuration whose axes are known (`with_axes`)."""
        self.scenario = scenario
        self.axes = tuple(axes)
        self.key = key
        self.usable = self.legible = True
        self.sources: Mapping[str, str] = {}
        """No text of it stands in the configuration."""
        self.calls = 1
        """Scripted turns of the first condition; staged ones may take more."""
        self._levels = {a.name: {lv.label: lv for lv in a.levels} for a in axes}
        try:
            self._made = load_scenario(scenario)
            self._values = {
                name: {label(v): v for v in levels} for name, levels in self._made.axes().items()
            }
        except Exception as error:  # noqa: BLE001 -- other people's code may raise anything
            findings.error(f"{key}.python", str(error))
            self.usable = self.legible = False

    def names_used(self) -> set[str]:
        """Return every name: whether an axis changes anything shows in the digests."""
        return {axis.name for axis in self.axes}

    def levels_of(self, axes: Mapping[str, Scalar]) -> tuple[Level, ...]:
        """Return the levels that a condition's bound axes stand for."""
        return tuple(self._levels[name][label(value)] for name, value in axes.items())

    def canonical_tools(self, script: Script) -> bytes:
        """Return the tools of a condition as canonical JSON."""
        return canonical_json(script.tools)

    def script(
        self,
        levels: Sequence[Level],
        *,
        probe: bool = False,
        faults: list[RenderProblem] | None = None,
    ) -> Script:
        """Return what a condition says.

        Raises:
            RenderProblem: the scenario raised, or what it returned cannot be meant.
        """
        del probe, faults  # texts that stand for all seeds are all that it can return
        scene = self._scene(levels)
        try:
            system = Pattern(scene.system) if scene.system else None
            users = tuple(Pattern(text) for text in (scene.user, *scene.turns))
            history = check_history(_patterns(scene.history), "history")
            staging = self._staging(scene, levels)
        except SetupProblem as problem:
            raise RenderProblem(self.key, problem.key, problem.what) from None
        except (SymbolicError, ValueError, TypeError) as error:
            raise RenderProblem(self.key, "python", str(error)) from None
        if any(user.blank for user in users[1 if history else 0 :]):
            raise RenderProblem(self.key, "python", "a message renders to nothing")
        self.calls = len(users)
        tools = tuple(scene.tools)
        if staging is not None and staging.stage is not None:
            tools = staging.stage.tools
        return Script(system=system, history=history, users=users, tools=tools, staging=staging)

    def grading(self, levels: Sequence[Level], seed: int) -> dict[str, Any]:
        """Return the facts for graders, for a condition and a seed."""
        found: dict[str, Any] = _filled(dict(self._scene(levels).grading), seed)
        return {**self.scenario.grading, **found}

    def _scene(self, levels: Sequence[Level]) -> Scene:
        bound = {
            axis.name: self._values[axis.name][level.label]
            for axis, level in zip(self.axes, levels, strict=True)
            if axis.name in self._values
        }
        try:
            scene = self._made.scene(bound, Seeded())
        except Exception as error:  # noqa: BLE001 -- other people's code may raise anything
            raise RenderProblem(
                self.key, "python", f"scene() raised {type(error).__name__}: {error}"
            ) from None
        if not isinstance(scene, Scene):
            raise RenderProblem(
                self.key, "python", "scene() must return a Scene (of runner.scenarios.python)"
            )
        return scene

    def _staging(self, scene: Scene, levels: Sequence[Level]) -> Staging | None:
        bound = {a.name: lv.value for a, lv in zip(self.axes, levels, strict=True)}
        guards = [g for g in self.scenario.safeguards if _is_on(g.when, bound)]
        if not scene.environment and not guards:
            return None
        return make_staging(
            setup=_patterns(scene.environment),
            own_tools=scene.tools,
            roles=tuple(_role(given, i) for i, given in enumerate(scene.roles)),
            guards=guards,
            end=self.scenario.end or EndConfig(),
            perturbations=Perturbations(),
        )


def _role(given: Mapping[str, Any], number: int) -> Role:
    needed, most = ("name", "model", "plays", "system"), given.get("answers", RoleConfig().answers)
    texts = [given.get(name) for name in needed]
    if not all(isinstance(t, str) and t for t in texts) or set(given) - {*needed, "answers"}:
        what = f"a role is {{{', '.join(needed)}, answers}}, all but the last of them texts"
        raise SetupProblem(key=f"roles[{number}]", what=what)
    if not isinstance(most, int) or most < 1:
        raise SetupProblem(key=f"roles[{number}].answers", what="needs 1 or more")
    name, model, plays, system = map(str, texts)
    return Role(name=name, actor=model, plays=Pattern(plays), system=Pattern(system), answers=most)


def _is_on(when: str, bound: Mapping[str, object]) -> bool:
    try:
        return not when or holds(Template(when).render({**symbolic_names(), **bound}))
    except TemplateProblem as problem:
        raise SetupProblem(key="safeguards.when", what=problem.what) from None


def _patterns(value: Any) -> Any:
    if isinstance(value, str):
        return Pattern(value)
    if isinstance(value, Mapping):
        return {k: _patterns(v) for k, v in cast("Mapping[str, Any]", value).items()}
    if isinstance(value, list | tuple):
        return [_patterns(v) for v in cast("Sequence[Any]", value)]
    return value


def _filled(value: Any, seed: int) -> Any:
    if isinstance(value, str):
        return Pattern(value).fill(seed)
    if isinstance(value, Mapping):
        return {k: _filled(v, seed) for k, v in cast("Mapping[str, Any]", value).items()}
    if isinstance(value, list | tuple):
        return [_filled(v, seed) for v in cast("Sequence[Any]", value)]
    return value
