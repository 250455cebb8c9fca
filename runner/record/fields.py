"""Typed access to JSON at rest: every reader of a manifest entry, marker or holder uses it.

A missing or mistyped field raises RecordError with file and key; none is guessed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from runner.core.errors import RecordError


class Fields:
    """One JSON object, with the name of the file it comes from."""

    __slots__ = ("_data", "_path", "where")

    def __init__(self, data: Mapping[str, Any], where: str, path: str = "") -> None:
        self._data = data
        self._path = path
        self.where = where

    @classmethod
    def parse(cls, data: bytes, where: str) -> Fields:
        """Read a JSON object.

        Raises:
            RecordError: the bytes are no JSON object.
        """
        try:
            value: object = orjson.loads(data)
        except orjson.JSONDecodeError as error:
            msg = f"{where}: no JSON ({error}). The file is damaged or was not written by runner"
            raise RecordError(msg) from error
        if not isinstance(value, dict):
            msg = f"{where}: holds a JSON {type(value).__name__}, not an object"
            raise RecordError(msg)
        return cls(value, where)  # pyright: ignore[reportUnknownArgumentType]

    def wrong(self, key: str, what: str) -> RecordError:
        """Return the error to raise for a field."""
        return RecordError(f"{self.where}: {self._path}{key}: {what}")

    def raw(self, key: str) -> object:
        """Return a value as it is, None where there is none."""
        return self._data.get(key)

    def has(self, key: str) -> bool:
        """Return whether there is a value other than null."""
        return self._data.get(key) is not None

    def text(self, key: str) -> str:
        """Return a string."""
        value = self._data.get(key)
        if isinstance(value, str):
            return value
        raise self.wrong(key, f"{value!r} is no text")

    def integer(self, key: str) -> int:
        """Return an integer."""
        value = self._data.get(key)
        if isinstance(value, int) and not isinstance(value, bool):
            return value
        raise self.wrong(key, f"{value!r} is no integer")

    def number(self, key: str) -> float:
        """Return an integer or a float as a float."""
        value = self._data.get(key)
        if isinstance(value, int | float) and not isinstance(value, bool):
            return float(value)
        raise self.wrong(key, f"{value!r} is no number")

    def optional_text(self, key: str) -> str | None:
        """Return a string, None where there is null or nothing."""
        return None if self._data.get(key) is None else self.text(key)

    def inner(self, key: str) -> Fields:
        """Return an object inside."""
        return Fields(self.mapping(key), self.where, f"{self._path}{key}.")

    def inners(self, key: str) -> list[Fields]:
        """Return a list of objects."""
        found: list[Fields] = []
        for i, value in enumerate(self._list(key)):
            if not isinstance(value, dict):
                item = f"{key}[{i}]"
                raise self.wrong(item, "is no object")
            path = f"{self._path}{key}[{i}]."
            found.append(Fields(value, self.where, path))  # pyright: ignore[reportUnknownArgumentType]
        return found

    def mapping(self, key: str) -> Mapping[str, Any]:
        """Return an object as it is; its values are the caller's to check."""
        value = self._data.get(key)
        if isinstance(value, dict):
            return value  # pyright: ignore[reportUnknownVariableType]
        raise self.wrong(key, f"{value!r} is no object")

    def texts(self, key: str) -> tuple[str, ...]:
        """Return a list of strings."""
        found: list[str] = []
        for i, value in enumerate(self._list(key)):
            if not isinstance(value, str):
                item = f"{key}[{i}]"
                raise self.wrong(item, f"{value!r} is no text")
            found.append(value)
        return tuple(found)

    def pairs(self, key: str) -> tuple[tuple[str, str], ...]:
        """Return a list of pairs of strings."""
        found: list[tuple[str, str]] = []
        for i, value in enumerate(self._list(key)):
            match value:
                case [str() as first, str() as second]:
                    found.append((first, second))
                case _:
                    item = f"{key}[{i}]"
                    raise self.wrong(item, f"{value!r} is no pair of texts")
        return tuple(found)

    def _list(self, key: str) -> list[object]:
        value = self._data.get(key)
        if isinstance(value, list):
            return value  # pyright: ignore[reportUnknownVariableType]
        raise self.wrong(key, f"{value!r} is no list")
