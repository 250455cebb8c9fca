"""The resolved configuration as text: what `sweep.yaml` holds and `runner resume` reads.

The first key, `resolved`, describes the text (version of this layout, what wrote it); the others
are the schema's keys, all of them, so that a later default changes nothing in an old sweep.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, asdict, fields, is_dataclass
from enum import StrEnum
from typing import cast

from runner.config.check import check
from runner.config.overrides import apply_override
from runner.config.schema import SweepConfig
from runner.config.source import COMMAND_LINE, Judge, Problems, Source
from runner.config.typed import Typing, to_config
from runner.config.yaml_tree import Node, Plain, YamlError, parse, write
from runner.core.errors import ConfigError, RecordError

RESOLVED_VERSION = 1
"""Raised when a reader of an older release would misread the text."""


def dump_resolved(config: SweepConfig, facts: Mapping[str, str] | None = None) -> str:
    """Write a configuration so that `load_resolved` reads exactly it.

    Args:
        config: checked; it holds names of key variables, never keys.
        facts: what else to say about the sweep (versions, commit, digest); ignored when read.
    """
    body = write(_plain(config))
    about: dict[str, Plain] = {
        "version": RESOLVED_VERSION,
        "sha256": _digest(body),
        **(facts or {}),
    }
    return write({"resolved": about}) + body


def dump_plain(config: SweepConfig) -> str:
    """Write a configuration as one file that `runner sweep` takes, scenarios and all.

    Keys that hold their default are left out: some have no meaning beside others.
    """
    return write(_spare(config))


def digest_of(text: str) -> str:
    """Return the SHA-256, in hex, of a resolved text without facts."""
    return hashlib.sha256(text.encode()).hexdigest()


def load_resolved(
    text: str, file: str = "sweep.yaml", overrides: Sequence[str] = ()
) -> SweepConfig:
    """Read what `dump_resolved` wrote.

    Args:
        text: the resolved configuration.
        file: its name, for messages.
        overrides: `key=value`, applied on top.

    Raises:
        RecordError: damaged, or written by a newer release with another layout.
        ConfigError: an override is wrong.
    """
    try:
        tree = parse(text, file)
    except YamlError as error:
        msg = f"{error.where}: {error.text} {_RESTORE}"
        raise RecordError(msg) from error
    about = tree.entries.get("resolved")
    version = about.entries.get("version") if about is not None else None
    if version is None or not isinstance(version.value, int):
        msg = f"{file}: no resolved configuration (resolved.version is missing). {_RESTORE}"
        raise RecordError(msg)
    _refuse_newer(version.value, file)
    digest = about.entries.get("sha256") if about is not None else None
    if digest is None or digest.value != _digest(_body(text)):
        msg = f"{file}: not as it was written (resolved.sha256 does not fit). {_RESTORE}"
        raise RecordError(msg)
    problems = Problems()
    entries = {k: v for k, v in tree.entries.items() if k != "resolved"}
    plain = Typing(problems).fields_of(Node(entries, tree.where), SweepConfig, "")
    if problems.lines:
        raise RecordError("\n".join([*problems.lines, _RESTORE]))
    if overrides:
        return _overridden(Node(entries, tree.where), overrides)
    return to_config(plain)


def _overridden(tree: Node, overrides: Sequence[str]) -> SweepConfig:
    problems = Problems()
    for text in overrides:
        tree = apply_override(tree, text, problems)
    typing = Typing(problems)
    config = to_config(typing.fields_of(tree, SweepConfig, ""))
    places = Source(tree.where, typing.places)
    check(config, Judge(problems, places, only_in=COMMAND_LINE))
    if problems.lines:
        raise ConfigError(*problems.lines)
    return config


def resolved_facts(text: str, file: str = "sweep.yaml") -> dict[str, str]:
    """Return what `dump_resolved` was told about the sweep beside its configuration.

    Nothing where the text is damaged: `runner sweep` with a configuration writes it again.

    Raises:
        RecordError: written by a newer release with another layout.
    """
    try:
        about = parse(text, file).entries.get("resolved")
    except YamlError:
        return {}
    entries = {} if about is None else about.entries
    version = entries.get("version")
    if version is not None and isinstance(version.value, int):
        _refuse_newer(version.value, file)
    return {key: str(node.value) for key, node in entries.items() if key not in _OWN}


def same_configuration(text: str, other: str) -> bool:
    """Return whether two texts of `dump_resolved` hold the same configuration, whatever wrote them."""
    return _body(text) == _body(other)


def _digest(body: str) -> str:
    return hashlib.sha256(body.encode()).hexdigest()


def _body(text: str) -> str:
    """Return what follows the first top-level key: a torn file often is YAML all the same."""
    lines = text.splitlines(keepends=True)
    at = next((n for n, line in enumerate(lines) if n and line[:1].strip()), len(lines))
    return "".join(lines[at:])


def _refuse_newer(version: int, file: str) -> None:
    if version > RESOLVED_VERSION:
        msg = (
            f"{file}: written by a newer runner (layout {version}, this one reads up to "
            f"{RESOLVED_VERSION}). Update runner, then run the same command again."
        )
        raise RecordError(msg)


_DERIVED = frozenset({"max_in_flight"})
"""Keys whose default, where they are not given, depends on others."""
_OWN = frozenset({"version", "sha256"})
_RESTORE = "The file is not to be edited; restore it, or run `runner sweep` with the configuration."


def _spare(value: object) -> Plain:
    if isinstance(value, StrEnum):
        return str(value)
    if isinstance(value, list):
        return [_spare(item) for item in cast("list[object]", value)]
    if isinstance(value, dict):
        return {key: _spare(item) for key, item in cast("dict[str, object]", value).items()}
    if not is_dataclass(value) or isinstance(value, type):
        return cast("Plain", value)
    out: dict[str, Plain] = {}
    for field in fields(value):
        mine: object = getattr(value, field.name)
        default = field.default if field.default_factory is MISSING else field.default_factory()
        if mine != default or field.name in _DERIVED:
            out[field.name] = _spare(mine)
    return out


def _plain(config: SweepConfig) -> dict[str, Plain]:
    values = asdict(config)
    for model in (*values["models"], *values["judges"], *values["actors"]):
        model["provider"], model["stream"] = str(model["provider"]), str(model["stream"])
    return cast("dict[str, Plain]", values)
