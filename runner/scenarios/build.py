"""Builds the book of a sweep: expands, renders and digests every condition, once.

Finds all problems before it raises. Cost: one rendering, one hash of the prompt and one short
hash per model for each condition; nothing per seed.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from runner.config.schema import ModelConfig, ProviderKind, SweepConfig, called
from runner.config.seeding import parse_seeds
from runner.config.source import Source
from runner.core.errors import ConfigError
from runner.core.facts import Scalar
from runner.core.identity import CellForm, canonical_json
from runner.core.money import Tariff
from runner.core.seeds import SeedSet
from runner.core.values import TARGET
from runner.core.weights import local_revision
from runner.plan.cells import Cell, Plan, cell_name
from runner.plan.diff import assign_numbers
from runner.scenarios.book import Book, Condition, fixed_parts
from runner.scenarios.expand import RenderedCondition, expand
from runner.scenarios.findings import Findings
from runner.scenarios.prompts import Prompts
from runner.scenarios.python import PythonPrompts
from runner.scenarios.script import Script
from runner.scenarios.targets import Target, canonical_roles, read_target

_ROLE = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,60}")
_PREFIXES = (512, 4096)
"""Lengths of the user text by which conditions with a common start are brought together."""


def build_book(
    config: SweepConfig,
    *,
    numbers: Mapping[str, int] | None = None,
    next_number: int = 0,
    version: int = 1,
    sweep_id: str = "",
    revisions: Mapping[str, str] | None = None,
    tariffs: Mapping[str, Tariff] | None = None,
    source: Source | None = None,
) -> Book:
    """Build the book of a sweep.

    Args:
        config: the resolved configuration.
        numbers: digest to cell number of the recorded plan, which these cells keep.
        next_number: `Plan.next_number` of the recorded plan.
        version: of the new plan.
        sweep_id: for `Book.facts`.
        revisions: hash of the weights by model name, for `local` models; None: found and hashed
            here.
        tariffs: prices by model name, for `Book.facts`.
        source: where the configuration's keys were written, for messages.

    Raises:
        ConfigError: with every problem found; nothing is half built.
    """
    findings = Findings(source)
    if revisions is None:
        revisions = local_revisions(called(config), findings)
    check_names("scenarios", [s.name for s in config.scenarios], findings)
    check_names("models", [m.name for m in config.models], findings)
    seeds = read_seeds(config, findings)
    targets = read_targets(config.models, revisions, findings)
    actors = read_actors(config, revisions, findings)
    check_casts(config, findings)
    rendered = _Rendered(targets, {t.config.name: t for t in (*targets, *actors)})
    for scenario in config.scenarios:
        for expanded in expand(scenario, findings, probe=True):
            if expanded.whole:
                rendered.add(expanded, findings)
    if findings.errors or seeds is None:
        raise ConfigError(*(str(finding) for finding in findings.errors))
    cells = rendered.cells(seeds, numbers or {}, next_number)
    plan = Plan(cells, seed_block=config.seed_block, version=version, next_number=next_number)
    return Book(
        config,
        plan,
        conditions=rendered.conditions,
        targets=targets,
        actors=actors,
        sweep_id=sweep_id,
        revisions=revisions,
        tariffs=tariffs,
    )


def read_seeds(config: SweepConfig, findings: Findings) -> SeedSet | None:
    """Return the seeds and check the block; None after noting what is wrong."""
    if config.seed_block < 1:
        findings.error("seed_block", f"{config.seed_block} is no block", "Use 1 or more")
    try:
        return parse_seeds(config.seeds)
    except ValueError as error:
        findings.error("seeds", str(error))
        return None


def local_revisions(models: Iterable[ModelConfig], findings: Findings) -> dict[str, str]:
    """Return the hash of the weights of every local model that names no revision itself."""
    hashes: dict[str, str] = {}
    for model in models:
        if model.provider is ProviderKind.local and not model.revision:
            try:
                hashes[model.name] = local_revision(model.local.gguf, model.local.chat_template)
            except ConfigError as error:
                findings.error(f"models.{model.name}", str(error).partition(": ")[2])
    return hashes


def read_targets(
    models: Sequence[ModelConfig], revisions: Mapping[str, str], findings: Findings
) -> list[Target]:
    """Return the models as the identity sees them; refuses two that make the same requests."""
    targets: list[Target] = []
    for model in models:
        key = f"models.{model.name}"
        target = read_target(model, revisions.get(model.name), key, findings)
        if target is None:
            continue
        twin = next((t for t in targets if t.canonical == target.canonical), None)
        if twin is not None:
            what = f"models {twin.config.name} and {model.name} make the same requests"
            fix = "Remove one, or tell them apart by endpoint_id or revision"
            findings.error(key, what, fix)
        targets.append(target)
    return targets


def read_actors(
    config: SweepConfig, revisions: Mapping[str, str], findings: Findings
) -> list[Target]:
    """Return the models that play roles beside those under test."""
    named = [m.name for m in config.actors]
    taken = {m.name for m in config.models}
    for name in named:
        if not name or named.count(name) > 1 or name in taken:
            what = f"the name {name!r} is missing, or used for another model"
            findings.error(f"actors.{name}" if name else "actors", what, "Give it one of its own")
    read = (
        read_target(actor, revisions.get(actor.name), f"actors.{actor.name}", findings)
        for actor in config.actors
    )
    return [target for target in read if target is not None]


def check_casts(config: SweepConfig, findings: Findings) -> None:
    """Note roles and safeguards whose names or models cannot be meant."""
    models = {m.name for m in called(config)}
    for scenario in config.scenarios:
        key = f"scenarios.{scenario.name}"
        names: list[tuple[str, str]] = []
        for i, role in enumerate(scenario.roles):
            names.append((f"{key}.roles[{i}].name", role.name))
            if role.model not in models:
                fix = f"Models here: {', '.join(sorted(models))}"
                what = f"{role.model!r} is no entry of actors or models"
                findings.error(f"{key}.roles[{i}].model", what, fix)
            if role.answers < 1:
                fix = "Take the role out if it never answers"
                findings.error(f"{key}.roles[{i}].answers", "needs 1 or more", fix)
            if "mail" not in scenario.environment:
                what = "nobody can write to a role without the part `mail` in environment"
                findings.error(f"{key}.roles[{i}]", what, "Add it, or take the role out")
        for i, guard in enumerate(scenario.safeguards):
            names.append((f"{key}.safeguards[{i}].name", f"safeguard_{guard.name}"))
            if guard.model is not None and guard.model not in models:
                fix = f"Models here: {', '.join(sorted(models))}"
                what = f"{guard.model!r} is no entry of actors or models"
                findings.error(f"{key}.safeguards[{i}].model", what, fix)
        _check_roles(names, findings)


def check_cast(one: RenderedCondition, known: Collection[str], findings: Findings) -> bool:
    """Tell whether every model of a condition's roles is known; note those that only Python names."""
    missing = [(role, actor) for role, actor in one.script.cast if actor not in known]
    if one.prompts.scenario.python:
        named = [(f"{one.prompts.key}.python", role) for role, _ in one.script.cast]
        _check_roles(named, findings)
        for role, actor in missing:
            what = f"{actor!r}, which is to play {role}, is no entry of actors or models"
            fix = f"Models here: {', '.join(sorted(known))}"
            findings.error(f"{one.prompts.key}.python", what, fix)
    return not missing


def _check_roles(names: Sequence[tuple[str, str]], findings: Findings) -> None:
    """Note names of roles, given with their keys, that are none, twice, or the model under test's."""
    given = [name for _, name in names]
    for at, name in names:
        if name == TARGET:
            what = f"{TARGET!r} is what the model under test is called"
            findings.error(at, what, "Call the role otherwise")
        elif given.count(name) > 1 or not _ROLE.fullmatch(name):
            what = f"the role {name!r} needs a name of its own, of letters, digits, - and _"
            findings.error(at, what, "Call it otherwise")


def check_names(key: str, names: Sequence[str], findings: Findings) -> None:
    """Note an empty list, missing names and names that occur twice."""
    if not names:
        findings.error(key, "there is none", f"Add one under `{key}:`")
    for name in sorted({n for n in names if names.count(n) > 1}):
        what = f"the name {name!r} occurs twice"
        findings.error(f"{key}.{name}" if name else key, what, "Rename one")
    if "" in names:
        findings.error(key, "an entry has no name", "Add `name:`")


@dataclass
class _Rendered:
    """All conditions so far, with digests per model; the texts are gone."""

    targets: Sequence[Target]
    known: Mapping[str, Target]
    conditions: list[Condition] = field(default_factory=list[Condition])
    names: list[str] = field(default_factory=list[str])
    digests: list[tuple[str, ...]] = field(default_factory=list[tuple[str, ...]])
    prompt_digests: list[str] = field(default_factory=list[str])
    prefixes: list[array[int]] = field(
        default_factory=lambda: [array("l") for _ in range(1 + len(_PREFIXES))]
    )
    _seen: dict[tuple[str, bytes], int] = field(default_factory=dict[tuple[str, bytes], int])
    _prefix_ids: dict[tuple[int, int], int] = field(default_factory=dict[tuple[int, int], int])
    _forms: dict[tuple[int, bytes], CellForm] = field(
        default_factory=dict[tuple[int, bytes], CellForm]
    )

    def add(self, one: RenderedCondition, findings: Findings) -> None:
        prompts, script = one.prompts, one.script
        at = len(self.conditions)
        prompt_digest = script.prompt_digest(prompts.canonical_tools(script))
        name = one.name
        # Arms that differ in safeguards alone share their prompts and are not the same requests.
        twin = self._seen.setdefault((prompt_digest, script.canonical_safeguards), at)
        if twin != at:
            self._refuse(twin, prompts.scenario.name, name, findings, prompts.key)
            return
        cast_ = script.cast
        if not check_cast(one, self.known, findings):
            return
        whole = self._form(prompts, script).condition(
            script.canonical_messages(),
            environment=script.canonical_environment,
            safeguards=script.canonical_safeguards,
        )
        axes: dict[str, Scalar] = {
            axis.name: level.value for axis, level in zip(one.axes, one.levels, strict=True)
        }
        self.conditions.append(
            Condition(
                prompts,
                axes,
                script.part_hashes(),
                script.characters,
                cast_,
                script.staged_hashes(),
                script.shared_characters,
            )
        )
        self.names.append(name)
        roles = (canonical_roles(target, cast_, self.known) for target in self.targets)
        self.digests.append(tuple(map(whole.cell, roles)))
        self.prompt_digests.append(prompt_digest)
        self._note_prefixes(script)

    def _form(self, prompts: Prompts | PythonPrompts, script: Script) -> CellForm:
        tools = prompts.canonical_tools(script)
        form = self._forms.get((id(prompts), tools))
        if form is None:
            fixed = {k: canonical_json(v) for k, v in fixed_parts(prompts.scenario).items()}
            form = CellForm({**fixed, "tools": tools})
            self._forms[id(prompts), tools] = form
        return form

    def _refuse(self, twin: int, scenario: str, name: str, findings: Findings, key: str) -> None:
        other = self.conditions[twin].prompts.scenario.name
        first = cell_name(other, self.names[twin], "every model")
        second = cell_name(scenario, name, "every model")
        what = f"{first} and {second} are the same requests under two names (equal digests)"
        fix = "Exclude one of them, or use the axis that tells them apart in the text"
        findings.error(key, what, fix)

    def _note_prefixes(self, script: Script) -> None:
        user = script.users[0].text
        group = -1
        texts = [script.system.text if script.system else "", *(user[:n] for n in _PREFIXES)]
        for ids, text in zip(self.prefixes, texts, strict=True):
            group = self._prefix_ids.setdefault((group, hash(text)), len(self._prefix_ids))
            ids.append(group)

    def cells(self, seeds: SeedSet, numbers: Mapping[str, int], next_number: int) -> list[Cell]:
        """Return all cells in dispatch order; drops what only building needed."""
        self._seen.clear()
        self._prefix_ids.clear()
        scenarios = {id(c.prompts): i for i, c in reversed(list(enumerate(self.conditions)))}
        order = sorted(
            range(len(self.conditions)),
            key=lambda i: (
                scenarios[id(self.conditions[i].prompts)],
                *(ids[i] for ids in self.prefixes),
            ),
        )
        digests = (self.digests[i][m] for m in range(len(self.targets)) for i in order)
        number_of = assign_numbers(digests, numbers, next_number)
        return [
            Cell(
                number=number_of[self.digests[i][m]],
                digest=self.digests[i][m],
                scenario=self.conditions[i].prompts.scenario.name,
                condition=self.names[i],
                axes=self.conditions[i].axes,
                model=target.config.name,
                seeds=seeds,
                prompt_digest=self.prompt_digests[i],
            )
            for m, target in enumerate(self.targets)
            for i in order
        ]
