"""A scenario compiled: its templates, and the rendering of one condition.

Each template is compiled once. A condition is rendered once, with the seed symbolic, for all
models and seeds (`symbolic.py`). Fragments are rendered before the other templates, in the order
of their dependencies; line breaks at their ends are dropped, so that the text around a fragment
decides about them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar, cast

from jinja2 import Undefined

from runner.config.schema import ScenarioConfig
from runner.core.facts import Scalar
from runner.core.identity import canonical_json, draw
from runner.scenarios.axes import Axis, Level, label
from runner.scenarios.compiling import (
    check_values,
    check_variables,
    compile_texts,
    fragment_order,
    sources_of,
)
from runner.scenarios.environments.protocol import SetupProblem
from runner.scenarios.environments.reading import holds
from runner.scenarios.findings import Findings, RenderProblem, note
from runner.scenarios.history import Message, rendered_history
from runner.scenarios.perturbations import read_perturbations
from runner.scenarios.script import Script
from runner.scenarios.staging import (
    Role,
    Staging,
    make_staging,
    rendered_setup,
)
from runner.scenarios.symbolic import (
    MARK_OPEN,
    Pattern,
    SymbolicError,
    symbolic_marks,
    symbolic_variables,
)
from runner.scenarios.templates import (
    MARKS,
    TemplateProblem,
    seeded_names,
    symbolic_names,
    undefined,
)

T = TypeVar("T")

_PROBE_SEED = 2_000_000_011
"""The seed with which symbolic renderings are checked against a real one."""
_MOST_STAGINGS = 8
_STAND_IN = Pattern("(a text that cannot be rendered)")


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
        self.tools = tuple(scenario.tools)
        before = len(findings.errors)
        self._has_system = scenario.system is not None
        if not (scenario.user or "").strip() and not scenario.history:
            findings.error(f"{key}.user", "the scenario has no user message", "Add `user:`")
        self._turns = ["user", *(f"turns[{i}]" for i in range(len(scenario.turns)))]
        self.sources: Mapping[str, str] = sources_of(scenario)
        self.perturbations = read_perturbations(
            scenario.perturbations, f"{key}.perturbations", findings
        )
        self._own_tools = check_values(scenario, self.axes, key, findings)
        others = len(findings.errors)
        self._templates = compile_texts(self.sources, key, findings)
        unknown = check_variables(self._templates, self._defined(), key=key, findings=findings)
        self._stand_ins = {name: f"({name})" for name in unknown}
        of_texts = len(findings.errors) - others
        self._fragments = fragment_order(scenario.fragments, self._templates, key, findings)
        self.usable = len(findings.errors) == before
        """Whether conditions can be rendered."""
        self.legible = len(findings.errors) - before == of_texts
        """Whether they can be with something else in place of what is wrong, to look for more."""
        self.needs = self._dependencies()
        """Axes (and `seed`, `draw`) that each text reads, through fragments too."""
        self._reads = {
            name: [i for i, axis in enumerate(self.axes) if axis.name in needs]
            for name, needs in self.needs.items()
        }
        self._marks = symbolic_marks(self.perturbations)
        self._symbolic = {
            **symbolic_names(),
            **scenario.variables,
            **symbolic_variables(self.perturbations),
            **self._marks,
            **self._stand_ins,
        }
        self._stagings: dict[tuple[object, ...], Staging] = {}
        self._memo: dict[str, tuple[tuple[Level, ...], str | Undefined | RenderProblem]] = {}
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

    def script(
        self,
        levels: Sequence[Level],
        *,
        probe: bool = False,
        faults: list[RenderProblem] | None = None,
    ) -> Script:
        """Render a condition with the seed symbolic.

        Args:
            levels: one per axis.
            probe: also render one real seed and compare.
            faults: takes what cannot be rendered, each with a stand-in in its place; None: the first
                one is raised.

        Raises:
            RenderProblem: it cannot be rendered, a user turn is empty, or the rendering depends
                on the seed in a way that the symbolic text does not show.
        """
        context = self._context(levels, self._symbolic, fresh=False)
        used, render = self._rendering(levels, context, faults)
        system = render("system") if self._has_system else None
        users = tuple(render(name) for name in self._turns)
        history: tuple[Message, ...] = ()
        try:
            history = rendered_history(self.scenario.history, levels, render)
        except SetupProblem as problem:
            note(RenderProblem(self.key, problem.key, problem.what), faults)
        for name, user in zip(self._turns, users, strict=True):
            if user.blank and not (history and name == "user"):
                note(RenderProblem(self.key, name, "the message renders to nothing"), faults)
        if probe:
            self._probe(levels, used, faults)
        system = None if system is None or system.blank else system
        staged = self._is_staged
        staging = self._staging(levels, context, probe=probe, faults=faults) if staged else None
        tools = self.tools if staging is None or staging.stage is None else staging.stage.tools
        own = [tool for level in levels if level.given for tool in level.given.tools]
        if own and self.scenario.environment:
            what = "no part of the environment answers the tools of a prompt"
            note(RenderProblem(self.key, "prompts", what), faults)
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
        self,
        levels: Sequence[Level],
        context: dict[str, object],
        *,
        probe: bool,
        faults: list[RenderProblem] | None,
    ) -> Staging | None:
        """Render environment, roles and safeguards; the last such staging of the same texts is kept."""
        used, render = self._rendering(levels, context, faults)
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
                self._probe(levels, used, faults)
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
            note(RenderProblem(self.key, problem.key, problem.what), faults)
            return None

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

    def _defined(self) -> set[str]:
        """Return every name that a text may use, besides those of the template language."""
        sets = {name for a in self.axes for level in a.levels for name in level.sets}
        own = {*self.scenario.variables, *self.scenario.fragments, *self._levels}
        return {*own, *sets, *self.perturbations.variables}

    def _dependencies(self) -> dict[str, frozenset[str]]:
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
    ) -> T:
        """Render, unless no axis that the template reads has moved since the last condition."""
        bound = tuple([levels[i] for i in self._reads[name]])
        known = self._memo.get(name)
        if known is not None and known[0] == bound:
            return cast("T", known[1])
        text = render(name, context)
        self._memo[name] = (bound, cast("str", text))
        return text

    def _text_or_fault(self, name: str, context: dict[str, object]) -> str | RenderProblem:
        try:
            return self._render(name, context)
        except RenderProblem as problem:
            return problem

    def _render(self, name: str, context: dict[str, object]) -> str:
        template = self._templates[name]
        try:
            return template.render(context)
        except TemplateProblem as problem:
            told, line = problem.told(template.source), problem.line_in(template.source)
            raise RenderProblem(self.key, name, told, line) from None

    def _pattern(
        self,
        name: str,
        levels: Sequence[Level],
        context: dict[str, object],
        faults: list[RenderProblem] | None,
    ) -> Pattern:
        text = self._remembered(name, levels, context, self._text_or_fault)
        if isinstance(text, RenderProblem):
            note(text, faults)
            return _STAND_IN
        known = self._patterns.get(name)
        if known is not None and known[0] is text:
            return known[1]
        try:
            pattern = Pattern(text)
        except (SymbolicError, ValueError) as error:
            note(RenderProblem(self.key, name, str(error)), faults)
            return _STAND_IN
        self._patterns[name] = (text, pattern)
        return pattern

    def _rendering(
        self,
        levels: Sequence[Level],
        context: dict[str, object],
        faults: list[RenderProblem] | None,
    ) -> tuple[dict[str, Pattern], Callable[[str], Pattern]]:
        """Return what renders texts by name, and the patterns that it will have made."""
        used: dict[str, Pattern] = {}

        def render(name: str) -> Pattern:
            used[name] = pattern = self._pattern(name, levels, context, faults)
            return pattern

        return used, render

    def _probe(
        self,
        levels: Sequence[Level],
        patterns: Mapping[str, Pattern],
        faults: list[RenderProblem] | None,
    ) -> None:
        """Compare with one real seed what depends on it."""
        seeded = {
            n: p
            for n, p in patterns.items()
            if p is not _STAND_IN and self.needs[n] & {"seed", "draw"}
        }
        if not seeded:
            return
        context = self._context(levels, self._seeded(_PROBE_SEED), fresh=True)
        for name, pattern in seeded.items():
            if pattern.fill(_PROBE_SEED) != self._filled(name, context, _PROBE_SEED):
                what = (
                    "the text depends on the seed in a way that the cell's identity does not "
                    "show. Print seed as it is, or let draw('name', [options]) choose"
                )
                note(RenderProblem(self.key, name, what), faults)

    def _seeded(self, seed: int) -> dict[str, object]:
        """Return what templates see for one seed; marks stay marks, to be filled afterwards."""
        drawn = {
            variable: draw(name, seed, values)
            for variable, (name, values) in self.perturbations.variables.items()
        }
        own = self.scenario.variables
        return {**seeded_names(seed), **own, **drawn, **self._marks, **self._stand_ins}

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
