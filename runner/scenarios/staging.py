"""What a condition sets on stage: environment, roles, safeguards and ends, the seed left symbolic."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from runner.config.schema import EndConfig, SafeguardConfig, ScenarioConfig
from runner.core.identity import canonical_json
from runner.scenarios.environments.protocol import SetupProblem, State
from runner.scenarios.environments.reading import holds
from runner.scenarios.environments.stage import Stage, make_stage, without_tools
from runner.scenarios.perturbations import Perturbations
from runner.scenarios.safeguards import Guard
from runner.scenarios.symbolic import Pattern

SCRIPTED: Mapping[str, object] = {"name": "scripted", "version": 1}
"""Scripted user turns; nothing answers tool calls."""
STAGED_VERSION = 1
"""Raised when the course of a staged rollout changes for the same parts."""
MOST_TURNS = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    """Somebody whom another model plays."""

    name: str
    actor: str
    plays: Pattern
    system: Pattern
    answers: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Staging:
    """The part of a script that answers the model."""

    stage: Stage | None
    setup: Mapping[str, Any]
    """By part; patterns in place of texts."""
    roles: tuple[Role, ...]
    guards: tuple[Guard, ...]
    end: EndConfig
    perturbations: Perturbations
    canonical: bytes
    """The `environment` part of the identity."""
    canonical_guards: bytes
    """The `safeguards` part of the identity."""
    cast: tuple[tuple[str, str], ...]
    """Every role and safeguard that a model plays, with that model's name."""
    sizes: Mapping[str, int] = field(default_factory=dict[str, int])
    """Items of each group that a perturbation permutes."""

    def filled(self, seed: int) -> Mapping[str, Mapping[str, Any]]:
        """Return the setup for a seed, with its perturbations applied."""
        filled: dict[str, Any] = filled_for(self.setup, seed)
        return self.perturbations.applied(filled, seed)

    def patterns(self) -> Iterator[Pattern]:
        """Yield the texts of the environment and what players are told."""
        yield from patterns_in(self.setup)
        for role in self.roles:
            yield from (role.plays, role.system)

    def start(self, seed: int, key: str = "environment") -> State:
        """Return the first state.

        Raises:
            SetupProblem: what is set up cannot be meant.
        """
        return {} if self.stage is None else self.stage.start(self.filled(seed), key)


def filled_for(value: Any, seed: int) -> Any:
    """Return a setup with its texts filled in for a seed."""
    if isinstance(value, Pattern):
        return value.fill(seed)
    if isinstance(value, Mapping):
        return {k: filled_for(v, seed) for k, v in cast("Mapping[str, Any]", value).items()}
    if isinstance(value, list | tuple):
        return [filled_for(v, seed) for v in cast("Sequence[Any]", value)]
    return value


def symbolic(value: Any) -> Any:
    """Return a setup with its texts as the identity sees them."""
    if isinstance(value, Pattern):
        return value.text
    if isinstance(value, Mapping):
        return {k: symbolic(v) for k, v in cast("Mapping[str, Any]", value).items()}
    if isinstance(value, list | tuple):
        return [symbolic(v) for v in cast("Sequence[Any]", value)]
    return value


def is_static(value: Any) -> bool:
    """Return whether no text of a setup depends on the seed."""
    if isinstance(value, Pattern):
        return value.static
    if isinstance(value, Mapping):
        return all(is_static(v) for v in cast("Mapping[str, Any]", value).values())
    if isinstance(value, list | tuple):
        return all(is_static(v) for v in cast("Sequence[Any]", value))
    return True


def patterns_in(value: Any) -> Iterator[Pattern]:
    """Yield every text of a setup."""
    if isinstance(value, Pattern):
        yield value
    elif isinstance(value, Mapping):
        for item in cast("Mapping[str, Any]", value).values():
            yield from patterns_in(item)
    elif isinstance(value, list | tuple):
        for item in cast("Sequence[Any]", value):
            yield from patterns_in(item)


def rendered_setup(value: Any, name: str, render: Callable[[str], Pattern]) -> Any:
    """Return a setup with its texts rendered; entries whose `when` says no are left out.

    Args:
        value: as the scenario wrote it.
        name: readable path of the value, under which its texts were compiled.
        render: from path to pattern.
    """
    if isinstance(value, str):
        return render(name)
    if isinstance(value, Mapping):
        items = cast("Mapping[str, Any]", value).items()
        return {k: rendered_setup(v, f"{name}.{k}", render) for k, v in items if k != "when"}
    if isinstance(value, list):
        out: list[Any] = []
        for i, item in enumerate(cast("list[Any]", value)):
            at = f"{name}[{i}]"
            if not isinstance(item, Mapping) or _wanted(
                cast("Mapping[str, Any]", item), at, render
            ):
                out.append(rendered_setup(item, at, render))
        return out
    return value


def _wanted(item: Mapping[str, Any], name: str, render: Callable[[str], Pattern]) -> bool:
    when: object = item.get("when", True)
    if not isinstance(when, str):
        return holds(when)
    pattern = render(f"{name}.when")
    if not pattern.static:
        raise SetupProblem(
            key=f"{name}.when", what="depends on the seed; only axes and variables decide it"
        )
    return holds(pattern.text)


def texts_of(value: object, name: str) -> dict[str, str]:
    """Return every text below a value, by readable path."""
    if isinstance(value, str):
        return {name: value}
    found: dict[str, str] = {}
    if isinstance(value, Mapping):
        for key, item in cast("Mapping[str, object]", value).items():
            found |= texts_of(item, f"{name}.{key}")
    elif isinstance(value, list):
        for i, item in enumerate(cast("list[object]", value)):
            found |= texts_of(item, f"{name}[{i}]")
    return found


def staging_sources(scenario: ScenarioConfig) -> dict[str, str]:
    """Return every text of a scenario's environment, roles and safeguards, by readable path."""
    sources = texts_of(scenario.environment, "environment")
    for i, role in enumerate(scenario.roles):
        sources |= {f"roles[{i}].plays": role.plays, f"roles[{i}].system": role.system}
    for i, guard in enumerate(scenario.safeguards):
        if guard.when:
            sources[f"safeguards[{i}].when"] = guard.when
    return sources


def make_staging(
    *,
    setup: Mapping[str, Any],
    own_tools: Sequence[Mapping[str, Any]],
    roles: tuple[Role, ...],
    guards: Sequence[SafeguardConfig],
    end: EndConfig,
    perturbations: Perturbations,
) -> Staging:
    """Put a condition's staging together from its rendered pieces.

    Raises:
        SetupProblem: parts, tools or setup cannot be meant (tried for seed 0).
    """
    stage = None
    environment: dict[str, object] = dict(SCRIPTED)
    plain: dict[str, object] = symbolic(setup)
    if setup:
        stage = make_stage(filled_for(setup, 0), own_tools, end.finish_tool, "environment")
        parts: dict[str, object] = {
            part.name: {"version": part.version, "setup": plain.get(part.name)}
            for part in stage.parts
        }
        played: list[object] = [
            {"name": r.name, "plays": r.plays.text, "system": r.system.text, "answers": r.answers}
            for r in roles
        ]
        environment = {"name": "staged", "version": STAGED_VERSION, "parts": parts, "roles": played}
    found = tuple(Guard.of(guard) for guard in guards)
    cast_ = [(r.name, r.actor) for r in roles]
    cast_ += [(g.role, g.actor) for g in found if g.actor is not None]
    stripped = {name: without_tools(given or {}) for name, given in setup.items()}
    staging = Staging(
        stage=stage,
        setup=stripped,
        roles=roles,
        guards=found,
        end=end,
        perturbations=perturbations,
        canonical=canonical_json(environment, "environment"),
        canonical_guards=canonical_json([g.definition() for g in found], "safeguards"),
        cast=tuple(cast_),
        sizes=_sizes(stripped, perturbations.orders),
    )
    staging.start(0)
    return staging


def _sizes(value: Any, groups: Mapping[str, str]) -> dict[str, int]:
    found: dict[str, int] = {}
    if isinstance(value, Mapping):
        for key, item in cast("Mapping[str, Any]", value).items():
            if key in groups and isinstance(item, list):
                found[key] = len(cast("list[Any]", item))
            found |= _sizes(item, groups)
    return found
