"""From a tree of plain values to the dataclasses of `schema.py`. The only home of OmegaConf.

First every key and type is checked against the schema, so that all problems come at once, each
with its place; then OmegaConf merges what is left into the structured configuration. Texts, and
values that may be anything, go through OmegaConf as placeholders, so that nothing in them (`$`,
braces, backslashes, `???`) can mean anything to it.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from enum import StrEnum
from functools import cache
from typing import Any, cast

from omegaconf import OmegaConf

from runner.config.schema import NAMED_LISTS, SweepConfig
from runner.config.source import Problems, Where, nearest
from runner.config.yaml_tree import Node, Plain, name_of

_SECRET_WORDS = ("api_key", "apikey", "key", "token", "auth_token", "secret", "password", "bearer")
_OUTSIDE = ("extends", "model_defaults")
"""Top-level keys that are resolved before typing; here only for suggestions."""


class _Misfit:
    """Stands for a value whose problem is noted; it is left out."""


@dataclass(slots=True)
class Typing:
    """Checks a tree against the schema, noting problems and where each key was written."""

    problems: Problems
    places: dict[str, Where] = field(default_factory=dict[str, Where])

    def fields_of(self, node: Node, cls: type, at: str) -> dict[str, Plain]:
        """Return the entries that fit the dataclass; the others are noted and left out."""
        hints = _hints(cls)
        kept: dict[str, Plain] = {}
        if not isinstance(node.value, dict):
            text = f"needs `key: value` lines, not {_shown(node.value)}."
            self.problems.add(node.where, at or "configuration", text)
            return kept
        for key, value in node.value.items():
            path = f"{at}.{key}" if at else key
            self.places[path] = value.where
            if key not in hints:
                self.problems.add(value.where, path, _unknown(key, cls, at))
            elif value.value is None and typing.get_origin(hints[key]) in (list, dict):
                continue  # `axes:` with nothing below it
            else:
                fitted = self._value(value, hints[key], path)
                if not isinstance(fitted, _Misfit):
                    kept[key] = fitted
        return kept

    def _value(self, node: Node, hint: Any, path: str) -> Plain | _Misfit:
        if node.value is None:
            if _optional(hint):
                return None
            return self._misfit(node, path, "has no value. Give one or take the key out.")
        hint = _plain_hint(hint)
        origin, arguments = typing.get_origin(hint), typing.get_args(hint)
        if is_dataclass(hint) and isinstance(hint, type):
            return self.fields_of(node, hint, path)
        if origin is list:
            return self._items(node, arguments[0], path)
        if origin is dict:
            return self._entries(node, arguments[1], path)
        if hint is Any:
            self._note_below(node, path)
            return node.plain()
        return self._scalar(node, cast("type", hint), path)

    def _items(self, node: Node, hint: Any, path: str) -> Plain | _Misfit:
        if not isinstance(node.value, list):
            return self._misfit(node, path, f"needs a list, not {_shown(node.value)}.")
        named = path in NAMED_LISTS
        kept: list[Plain] = []
        for i, item in enumerate(node.value):
            name = name_of(item) if named else None
            at = f"{path}.{name}" if name else f"{path}[{i}]"
            self.places[at] = item.where
            fitted = self._value(item, hint, at)
            if not isinstance(fitted, _Misfit):
                kept.append(fitted)
        return kept

    def _entries(self, node: Node, hint: Any, path: str) -> Plain | _Misfit:
        if not isinstance(node.value, dict):
            return self._misfit(node, path, f"needs `key: value` lines, not {_shown(node.value)}.")
        kept: dict[str, Plain] = {}
        for key, item in node.value.items():
            self.places[f"{path}.{key}"] = item.where
            fitted = self._value(item, hint, f"{path}.{key}")
            if not isinstance(fitted, _Misfit):
                kept[key] = fitted
        return kept

    def _misfit(self, node: Node, path: str, text: str) -> _Misfit:
        self.problems.add(node.where, path, text)
        return _Misfit()

    def _note_below(self, node: Node, path: str) -> None:
        for key, item in node.entries.items():
            self.places[f"{path}.{key}"] = item.where
            self._note_below(item, f"{path}.{key}")
        for i, item in enumerate(node.items):
            self.places[f"{path}[{i}]"] = item.where
            self._note_below(item, f"{path}[{i}]")

    def _scalar(self, node: Node, hint: type, path: str) -> Plain | _Misfit:
        value = node.value
        if issubclass(hint, StrEnum):
            names = [m.value for m in hint]
            if value in names:
                return value
            hint_text = nearest(value, names) if isinstance(value, str) else ""
            text = f"{_shown(value)} is none of {', '.join(names)}. {hint_text}".rstrip()
            return self._misfit(node, path, text)
        if hint is float and isinstance(value, int) and not isinstance(value, bool):
            return float(value)
        if hint is int and isinstance(value, float) and value.is_integer():
            return int(value)
        if isinstance(value, hint) and (hint is bool or not isinstance(value, bool)):
            return cast("Plain", value)
        wanted = {str: "a text", int: "a whole number", float: "a number", bool: "true or false"}
        hint_text = (
            " Put it in quotes." if hint is str and not isinstance(value, dict | list) else ""
        )
        return self._misfit(node, path, f"needs {wanted[hint]}, not {_shown(value)}.{hint_text}")


def to_config(plain: dict[str, Plain]) -> SweepConfig:
    """Merge checked values into the structured configuration."""
    kept: dict[str, Plain] = {}
    masked: dict[str, Any] = _mask(plain, SweepConfig, kept)
    # Nobody else has these two, so that the merge need not copy them first.
    merged = OmegaConf.unsafe_merge(OmegaConf.structured(SweepConfig), OmegaConf.create(masked))
    config = OmegaConf.to_object(merged)
    assert isinstance(config, SweepConfig)
    _unmask_fields(config, kept)
    return config


def _mask(value: Plain, hint: Any, kept: dict[str, Plain]) -> Any:
    """Put a placeholder for every text, and for whatever may be anything, with all below it."""
    hint = _plain_hint(hint)
    if hint is Any or (isinstance(value, str) and not issubclass(hint, StrEnum)):
        token = f"kept {len(kept)}"
        kept[token] = value
        return token
    if isinstance(value, dict):
        if is_dataclass(hint):
            hints = _hints(cast("type", hint))
            return {k: _mask(v, hints[k], kept) for k, v in value.items()}
        return {k: _mask(v, typing.get_args(hint)[1], kept) for k, v in value.items()}
    if isinstance(value, list):
        return [_mask(v, typing.get_args(hint)[0], kept) for v in value]
    return value


def _unmask_fields(config: object, kept: Mapping[str, Plain]) -> None:
    for f in fields(cast("Any", config)):
        setattr(config, f.name, _unmask(getattr(config, f.name), kept))


def _unmask(value: Any, kept: Mapping[str, Plain]) -> Any:
    if isinstance(value, StrEnum):
        return value
    if isinstance(value, str):
        return kept.get(value, value)
    if isinstance(value, dict):
        return {k: _unmask(v, kept) for k, v in cast("dict[str, Any]", value).items()}
    if isinstance(value, list):
        return [_unmask(v, kept) for v in cast("list[Any]", value)]
    if is_dataclass(value):
        _unmask_fields(value, kept)
    return value


@cache
def _hints(cls: type) -> dict[str, Any]:
    return typing.get_type_hints(cls)


def _plain_hint(hint: Any) -> Any:
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        return next(a for a in typing.get_args(hint) if a is not types.NoneType)
    return hint


def _optional(hint: Any) -> bool:
    return hint is Any or types.NoneType in typing.get_args(hint)


def _unknown(key: str, cls: type, at: str) -> str:
    if key.lower().replace("-", "_") in _SECRET_WORDS and at.partition(".")[0] in (
        "models",
        "model_defaults",
    ):
        return (
            "a secret does not belong into a configuration. Put it into an environment variable "
            "and name that in api_key_env."
        )
    known = [f.name for f in fields(cls)]
    return f"unknown key. {nearest(key, [*known, *_OUTSIDE] if cls is SweepConfig else known)}"


def _shown(value: object) -> str:
    """Describe a value without printing a text that might be a secret."""
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, bool):
        return str(value).lower()
    return "this text" if isinstance(value, str) else str(value)
