"""A scenario compiled: its templates, and the rendering of one condition.

Each template is compiled once. A condition is rendered once, with the seed symbolic, for all
models and seeds (`symbolic.py`). Fragments are rendered before the other templates, in the order
of their dependencies; line breaks at their ends are dropped, so that the text around a fragment
decides about them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from typing import Any, TypeVar, cast

from jinja2 import Undefined

from runner.config.schema import PROMPT_AXIS, ScenarioConfig
from runner.core.facts import Scalar
from runner.core.identity import canonical_json, draw
from runner.scenarios.axes import Axis, Level, label
from runner.scenarios.environments.protocol import SetupProblem
from runner.scenarios.environments.reading import holds
from runner.scenarios.findings import Findings, RenderProblem
from runner.scenarios.history import rendered_history
from runner.scenarios.perturbations import read_perturbations
from runner.scenarios.script import Script
from runner.scenarios.staging import (
    Role,
    Staging,
    make_staging,
    rendered_setup,
    staging_sources,
    texts_of,
)
from runner.scenarios.symbolic import (
    MARK_CLOSE,
    MARK_OPEN,
    Pattern,
    SymbolicError,
    symbolic_marks,
    symbolic_variables,
)
from runner.scenarios.templates import (
    MARKS,
    RESERVED,
    Template,
    TemplateProblem,
    compiled,
    seeded_names,
    symbolic_names,
    undefined,
)

T = TypeVar("T")

_PROBE_SEED = 2_000_000_011
"""The seed with which symbolic renderings are checked against a real one."""
_MOST_STAGINGS = 8


class Prompts:
    """The templates of one scenario."""

    def __init__(
        self, scenario: ScenarioConfig, axes: Sequence[Axis], key: str, findings: Findings
    ) -> None:
        """Compile everything; faults are noted under `key` (`scenarios.tone`)."""
        self.scenario = scenario
        self.axes = tuple(axes)
        self.key = key
        self._levels = {a.name: {lv.label: lv for lv in a.levels} for a in axes}
        self._templates: dict[str, Template] = {}
        self.tools = tuple(scenario.tools)
        before = len(findings.errors)
        sources = {f"fragments.{name}": text for name, text in scenario.fragments.items()}
        self._has_system = scenario.system is not None
        if scenario.system is not None:
            sources["system"] = scenario.system
        sources["user"] = scenario.user or ""
        if not sources["user"].strip() and not scenario.history:
            findings.error(f"{key}.user", "the scenario has no user message", "Add `user:`")
        sources |= texts_of(scenario.history, "history")
        turns = {f"turns[{i}]": text for i, text in enumerate(scenario.turns)}
        sources |= turns
        self._turns = ["user", *turns]
        sources |= texts_of(scenario.grading, "grading")
        self.sources: Mapping[str, str] = {**sources, **staging_sources(scenario)}
        self.perturbations = read_perturbations(
            scenario.perturbations, f"{key}.perturbations", findings
        )
        self._compile(self.sources, findings)
        self._fragments = self._fragment_order(findings)
        self._check_names(findings)
        try:
            self._own_tools = canonical_json(scenario.tools, f"{key}.tools")
            canonical_json(scenario.variables, f"{key}.variables")
        except ValueError as error:
            path, _, what = str(error).partition(": ")
            findings.error(path, what)
        self.usable = len(findings.errors) == before
        """Whether conditions can be rendered."""
        self._needs = self._dependencies()
        self._reads = {
            name: [i for i, axis in enumerate(self.axes) if axis.name in needs]
            for name, needs in self._needs.items()
        }
        self._marks = symbolic_marks(self.perturbations)
        self._symbolic = {
            **symbolic_names(),
            **scenario.variables,
            **symbolic_variables(self.perturbations),
            **self._marks,
        }
        self._stagings: dict[tuple[object, ...], Staging] = {}
        self._memo: dict[str, tuple[tuple[Level, ...], str | Undefined]] = {}
        self._patterns: dict[str, tuple[str, Pattern]] = {}

    @property
    def _is_staged(self) -> bool:
        return bool(self.scenario.environment or self.scenario.safeguards)

    @property
    def calls(self) -> int:
        """Return the number of scripted turns."""
        return len(self._turns)

    def names_used(self) -> set[str]:
        """Return every variable that some template reads."""
        return {name for template in self._templates.values() for name in template.names}

    def script(self, levels: Sequence[Level], *, probe: bool = False) -> Script:
        """Render a condition with the seed symbolic.

        Args:
            levels: one per axis.
            probe: also render one real seed and compare.

        Raises:
            RenderProblem: it cannot be rendered, a user turn is empty, or the rendering depends
                on the seed in a way that the symbolic text does not show.
        """
        context = self._context(levels, self._symbolic, fresh=False)
        system = self._pattern("system", levels, context) if self._has_system else None
        users = tuple(self._pattern(name, levels, context) for name in self._turns)
        used, render = self._rendering(levels, context)
        try:
            history = rendered_history(self.scenario.history, levels, render)
        except SetupProblem as problem:
            raise RenderProblem(self.key, problem.key, problem.what) from None
        for name, user in zip(self._turns, users, strict=True):
            if user.blank and not (history and name == "user"):
                raise RenderProblem(self.key, name, "the message renders to nothing")
        if probe:
            said = dict(zip(self._turns, users, strict=True))
            self._probe(levels, {"system": system, **said, **used})
        if system is not None and system.blank:
            system = None
        staging = self._staging(levels, context, probe=probe) if self._is_staged else None
        tools = self.tools if staging is None or staging.stage is None else staging.stage.tools
        own = [tool for level in levels if level.given for tool in level.given.tools]
        if own and self.scenario.environment:
            raise RenderProblem(
                self.key, "prompts", "no part of the environment answers the tools of a prompt"
            )
        tools = (*tools, *own) if own else tools
        return Script(
            system=system,
            history=history,
            users=users,
            tools=tools,
            staging=staging,
            perturbations=self.perturbations,
        )

    def canonical_tools(self, script: Script) -> bytes:
        """Return the tools of a condition as canonical JSON."""
        return self._own_tools if script.tools is self.tools else canonical_json(script.tools)

    def _staging(
        self, levels: Sequence[Level], context: dict[str, object], *, probe: bool
    ) -> Staging:
        """Render environment, roles and safeguards; the last such staging of the same texts is kept."""
        used, render = self._rendering(levels, context)
        scenario = self.scenario
        at = "environment"
        try:
            setup = rendered_setup(scenario.environment, "environment", render)
            roles: list[Role] = []
            for i, role in enumerate(scenario.roles):
                at = f"roles[{i}]"
                plays, system = render(f"{at}.plays"), render(f"{at}.system")
                roles.append(
                    Role(
                        name=role.name,
                        actor=role.model,
                        plays=plays,
                        system=system,
                        answers=role.answers,
                    )
                )
            on: list[int] = []
            for i, guard in enumerate(scenario.safeguards):
                at = f"safeguards[{i}]"
                if not guard.when or holds(render(f"{at}.when").text):
                    on.append(i)
            if probe:
                self._probe(levels, {**used})
            known = (*(used[name].hash for name in sorted(used)), *on)
            if known not in self._stagings:
                if len(self._stagings) >= _MOST_STAGINGS:
                    self._stagings.clear()
                self._stagings[known] = make_staging(
                    setup=setup,
                    own_tools=scenario.tools,
                    roles=tuple(roles),
                    guards=[scenario.safeguards[i] for i in on],
                    end=scenario.end,
                    perturbations=self.perturbations,
                )
            return self._stagings[known]
        except SetupProblem as problem:
            raise RenderProblem(self.key, problem.key, problem.what) from None

    def levels_of(self, axes: Mapping[str, Scalar]) -> tuple[Level, ...]:
        """Return the levels that a condition's bound axes stand for."""
        return tuple(self._levels[name][label(value)] for name, value in axes.items())

    def grading(self, levels: Sequence[Level], seed: int) -> dict[str, Any]:
        """Return the facts for graders, rendered for a condition and a seed.

        Raises:
            RenderProblem: a fact cannot be rendered.
        """
        context = self._context(levels, self._seeded(seed), fresh=True)
        rendered = self._fact(self.scenario.grading, "grading", context)
        return cast("dict[str, Any]", rendered)

    def _compile(self, sources: Mapping[str, str], findings: Findings) -> None:
        for name, text in sources.items():
            where = f"{self.key}.{name}"
            if MARK_OPEN in text or MARK_CLOSE in text:
                findings.error(where, "the text holds U+FDD0 or U+FDD1, which mean nothing in text")
            try:
                self._templates[name] = compiled(text)
            except TemplateProblem as problem:
                findings.error(where, problem.told(text))
        marked = repr((self.scenario.variables, [a for a in self.axes if a.name != PROMPT_AXIS]))
        if "\\ufdd0" in marked or "\\ufdd1" in marked:
            what = "a variable holds U+FDD0 or U+FDD1, which mean nothing in text"
            findings.error(f"{self.key}.variables", what)

    def _fragment_order(self, findings: Findings) -> list[str]:
        fragments = self.scenario.fragments
        needs = {
            name: set(self._templates[f"fragments.{name}"].names) & set(fragments)
            for name in fragments
            if f"fragments.{name}" in self._templates
        }
        try:
            return [name for name in TopologicalSorter(needs).static_order() if name in needs]
        except CycleError as error:
            circle = " → ".join(cast("list[str]", error.args[1]))
            what = f"fragments use each other in a circle: {circle}"
            findings.error(f"{self.key}.fragments", what, "Take one of them out")
            return []

    def _check_names(self, findings: Findings) -> None:
        sets = {name for a in self.axes for level in a.levels for name in level.sets}
        defined = {*self.scenario.variables, *self.scenario.fragments, *self._levels, *sets}
        defined |= {*self.perturbations.variables}
        known = ", ".join(sorted({*defined, "seed"}))
        for name, template in self._templates.items():
            for variable, line in template.names.items():
                if variable not in defined and variable not in RESERVED:
                    place = f", line {line} of the text" if "\n" in template.source else ""
                    what = f"variable {variable!r} is not defined (defined here: {known}){place}"
                    fix = "Define it under `variables:`, or use one that is"
                    findings.error(f"{self.key}.{name}", what, fix)

    def _dependencies(self) -> dict[str, frozenset[str]]:
        """Return what each template reads, through fragments too: axis names, `seed`, `draw`."""
        owner = {name: axis.name for axis in self.axes for lv in axis.levels for name in lv.sets}
        owner |= {name: name for name in (*self._levels, "seed", "draw")}
        owner |= dict.fromkeys((*self.perturbations.variables, *MARKS), "draw")
        needs: dict[str, frozenset[str]] = {}
        for name in (*(f"fragments.{f}" for f in self._fragments), *self._templates):
            if name not in needs:
                read = self._templates[name].names
                through = (needs.get(f"fragments.{used}", frozenset[str]()) for used in read)
                own = frozenset(owner[used] for used in read if used in owner)
                needs[name] = own.union(*through)
        return needs

    def _context(
        self, levels: Sequence[Level], base: Mapping[str, object], *, fresh: bool
    ) -> dict[str, object]:
        """Return all variables; with `fresh`, fragments that read the seed are rendered anew."""
        context = dict(base)
        for axis, level in zip(self.axes, levels, strict=True):
            context[axis.name] = level.value
            if level.sets:
                context.update(level.sets)
        for fragment in self._fragments:
            name = f"fragments.{fragment}"
            if fresh:
                context[fragment] = self._fragment(name, context)
            else:
                context[fragment] = self._remembered(name, levels, context, self._fragment)
        return context

    def _fragment(self, name: str, context: dict[str, object]) -> str | Undefined:
        try:
            return self._templates[name].render(context).strip("\n")
        except TemplateProblem as problem:
            # A fragment may be meant for some conditions only: a problem where it is used.
            return undefined(f"{name}: {problem.what}")

    def _remembered(
        self,
        name: str,
        levels: Sequence[Level],
        context: dict[str, object],
        render: Callable[[str, dict[str, object]], T],
    ) -> str | T:
        """Render, unless no axis that the template reads has moved since the last condition."""
        bound = tuple([levels[i] for i in self._reads[name]])
        known = self._memo.get(name)
        if known is not None and known[0] == bound:
            return cast("T", known[1])
        text = render(name, context)
        self._memo[name] = (bound, cast("str", text))
        return text

    def _render(self, name: str, context: dict[str, object]) -> str:
        template = self._templates[name]
        try:
            return template.render(context)
        except TemplateProblem as problem:
            raise RenderProblem(self.key, name, problem.told(template.source)) from None

    def _pattern(self, name: str, levels: Sequence[Level], context: dict[str, object]) -> Pattern:
        text = self._remembered(name, levels, context, self._render)
        known = self._patterns.get(name)
        if known is not None and known[0] is text:
            return known[1]
        try:
            pattern = Pattern(text)
        except (SymbolicError, ValueError) as error:
            raise RenderProblem(self.key, name, str(error)) from None
        self._patterns[name] = (text, pattern)
        return pattern

    def _rendering(
        self, levels: Sequence[Level], context: dict[str, object]
    ) -> tuple[dict[str, Pattern], Callable[[str], Pattern]]:
        """Return what renders texts by name, and the patterns that it will have made."""
        used: dict[str, Pattern] = {}

        def render(name: str) -> Pattern:
            used[name] = pattern = self._pattern(name, levels, context)
            return pattern

        return used, render

    def _probe(self, levels: Sequence[Level], patterns: Mapping[str, Pattern | None]) -> None:
        """Compare with one real seed what depends on it."""
        seeded = {n: p for n, p in patterns.items() if p and self._needs[n] & {"seed", "draw"}}
        if not seeded:
            return
        context = self._context(levels, self._seeded(_PROBE_SEED), fresh=True)
        for name, pattern in seeded.items():
            if pattern.fill(_PROBE_SEED) != self._filled(name, context, _PROBE_SEED):
                what = (
                    "the text depends on the seed in a way that the cell's identity does not "
                    "show. Print seed as it is, or let draw('name', [options]) choose"
                )
                raise RenderProblem(self.key, name, what)

    def _seeded(self, seed: int) -> dict[str, object]:
        """Return what templates see for one seed; marks stay marks, to be filled afterwards."""
        drawn = {
            variable: draw(name, seed, values)
            for variable, (name, values) in self.perturbations.variables.items()
        }
        return {**seeded_names(seed), **self.scenario.variables, **drawn, **self._marks}

    def _filled(self, name: str, context: dict[str, object], seed: int) -> str:
        text = self._render(name, context)
        return Pattern(text).fill(seed) if MARK_OPEN in text else text

    def _fact(self, value: object, name: str, context: dict[str, object]) -> object:
        if isinstance(value, str):
            return self._filled(name, context, cast("int", context["seed"]))
        if isinstance(value, Mapping):
            items = cast("Mapping[str, object]", value).items()
            return {k: self._fact(v, f"{name}.{k}", context) for k, v in items}
        if isinstance(value, list):
            items = enumerate(cast("list[object]", value))
            return [self._fact(v, f"{name}[{i}]", context) for i, v in items]
        return value
