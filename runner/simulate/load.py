"""Settings of a simulated server from a YAML file and `key=value`s, or every problem at once."""

from __future__ import annotations

import types
import typing
from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from enum import StrEnum
from math import isfinite
from pathlib import Path
from typing import Any, cast

from runner.config.overrides import apply_override
from runner.config.source import Judge, Problems, Source, Where, nearest
from runner.config.typed import Typing
from runner.config.yaml_tree import Node, Plain, YamlError, parse
from runner.core.errors import ConfigError
from runner.simulate.answers import known_outcomes
from runner.simulate.config import (
    GroupConfig,
    LatencyConfig,
    ModelConfig,
    PersonaConfig,
    SimulateConfig,
)
from runner.simulate.errors import ERRORS
from runner.simulate.service import STREAM_FAULTS

_MAY_BE_ZERO = frozenset(
    {"seed", "first_token_s", "tokens_per_s", "spread", "sigma", "after_s", "off_s", "min_tokens"}
)


def load_simulation(path: str | None, overrides: Sequence[str]) -> SimulateConfig:
    """Load and check.

    Args:
        path: the YAML file; None for the defaults alone.
        overrides: `key=value`, applied in order.

    Raises:
        ConfigError: with every problem found, each `file:line  key: what. What to do.`
    """
    problems = Problems()
    tree = Node({}, Where("command line")) if path is None else _read(Path(path), problems)
    for text in overrides:
        tree = apply_override(tree, text, problems)
    typing_ = Typing(problems)
    plain = typing_.fields_of(tree, SimulateConfig, "")
    config = cast("SimulateConfig", _build(SimulateConfig, plain))
    config.personas = SimulateConfig().personas | config.personas
    _check(config, Judge(problems, Source(tree.where, typing_.places)))
    if problems.lines:
        raise ConfigError(*problems.lines)
    return config


def _read(path: Path, problems: Problems) -> Node:
    shown = str(path)
    nothing = Node({}, Where(shown))
    try:
        tree = parse(path.read_text(encoding="utf-8"), shown)
    except UnicodeDecodeError:
        problems.add(nothing.where, "", "is not UTF-8 text.")
    except OSError as error:
        problems.add(nothing.where, "", f"cannot be read: {error.strerror}.")
    except YamlError as error:
        problems.add(error.where, "", error.text)
    else:
        return nothing if tree.value is None else tree
    return nothing


def _build(hint: Any, value: Plain) -> object:
    """Turn checked plain values into what a type hint asks for."""
    if value is None or hint is Any:
        return value
    arguments = typing.get_args(hint)
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        hint = next(a for a in arguments if a is not types.NoneType)
        arguments = typing.get_args(hint)
    if is_dataclass(hint) and isinstance(hint, type) and isinstance(value, dict):
        hints = typing.get_type_hints(hint)
        return hint(**{k: _build(hints[k], v) for k, v in value.items()})
    if isinstance(value, dict):
        return {k: _build(arguments[1], v) for k, v in value.items()}
    if isinstance(value, list):
        return [_build(arguments[0], v) for v in value]
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return hint(value)
    return value


def _check(config: SimulateConfig, judge: Judge) -> None:
    _check_numbers(config, "", judge)
    for name, persona in config.personas.items():
        _check_persona(persona, f"personas.{name}", judge)
    if config.persona not in config.personas:
        text = f"no such persona. {nearest(config.persona, config.personas)}"
        judge.note("persona", text)
    for name, model in config.models.items():
        _check_model(model, f"models.{name}", config, judge)
    _check_latency(config.latency, "latency", judge)
    for name, group in [("quota", config.quota), *_at("groups", config.groups)]:
        _check_group(group, name, judge)
    known = [*ERRORS, *STREAM_FAULTS]
    for name in config.faults:
        if name not in known:
            judge.note(f"faults.{name}", f"no such fault. {nearest(name, known)}")
    _check_shares(config.faults, "faults", judge)


def _at(key: str, named: dict[str, GroupConfig]) -> list[tuple[str, GroupConfig]]:
    return [(f"{key}.{name}", group) for name, group in named.items()]


def _check_numbers(part: object, key: str, judge: Judge) -> None:
    for f in fields(cast("Any", part)):
        value: object = getattr(part, f.name)
        at = f"{key}.{f.name}" if key else f.name
        if is_dataclass(value):
            _check_numbers(value, at, judge)
        elif isinstance(value, list):
            for i, item in enumerate(cast("list[object]", value)):
                if is_dataclass(item):
                    _check_numbers(item, f"{at}[{i}]", judge)
        elif isinstance(value, dict):
            for name, item in cast("dict[str, object]", value).items():
                if is_dataclass(item):
                    _check_numbers(item, f"{at}.{name}", judge)
        elif isinstance(value, float | int) and not isinstance(value, bool):
            _check_number(value, f.name, at, judge)


def _check_number(value: float, name: str, at: str, judge: Judge) -> None:
    if name == "seed":
        if not -(2**63) <= value < 2**63:
            judge.note(at, "needs a whole number of at most 64 bits.")
        return
    least = "0 or more" if name in _MAY_BE_ZERO else "more than 0"
    endless = name == "on_s" and value > 0
    if not (isfinite(value) or endless) or value < 0 or (value == 0 and name not in _MAY_BE_ZERO):
        judge.note(at, f"needs a number, {least}, not {value}.")


def _check_shares(shares: dict[str, float], at: str, judge: Judge) -> None:
    for name, share in shares.items():
        if not 0 <= share <= 1:
            judge.note(f"{at}.{name}", f"is a probability, 0 to 1, not {share}.")
    if sum(shares.values()) > 1 + 1e-9:
        judge.note(at, f"add up to {sum(shares.values()):g}. Keep the sum at 1 or below.")


def _check_persona(persona: PersonaConfig, key: str, judge: Judge) -> None:
    known = known_outcomes(persona)
    rates = [(f"{key}.outcomes", persona.outcomes)]
    for i, case in enumerate(persona.cases):
        rates.append((f"{key}.cases[{i}].outcomes", case.outcomes))
        if not case.contains:
            judge.note(f"{key}.cases[{i}].contains", "is missing. Give a text of the prompt.")
    for at, outcomes in rates:
        for name in outcomes:
            if name not in known:
                text = f"nothing is known to say. Write it under {key}.texts or .calls. {nearest(name, known)}"
                judge.note(f"{at}.{name}", text)
        _check_shares(outcomes, at, judge)
    for outcome, made in persona.calls.items():
        for i, call in enumerate(made):
            if not call.tool:
                judge.note(f"{key}.calls.{outcome}[{i}].tool", "is missing. Name the tool.")


def _check_model(model: ModelConfig, key: str, config: SimulateConfig, judge: Judge) -> None:
    for name, value, named in (
        ("persona", model.persona, [*config.personas]),
        ("group", model.group, [*config.groups]),
    ):
        if value is not None and value not in named:
            judge.note(f"{key}.{name}", f"there is no {name} {value}. {nearest(value, named)}")
    _check_latency(model.latency, f"{key}.latency", judge)


def _check_latency(latency: LatencyConfig | None, key: str, judge: Judge) -> None:
    if latency is not None and latency.spread > 1:
        judge.note(f"{key}.spread", "is a share of the latency, 0 to 1.")


def _check_group(group: GroupConfig, key: str, judge: Judge) -> None:
    if group.ramp is not None and group.rpm is None:
        judge.note(f"{key}.ramp", "needs rpm: it limits how fast that may be reached.")
    if [s.after_s for s in group.steps] != sorted(s.after_s for s in group.steps):
        judge.note(f"{key}.steps", "are not in the order of their after_s. Sort them.")
