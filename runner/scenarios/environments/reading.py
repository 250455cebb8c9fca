"""Reads what scenarios set up: typed access to JSON values, with problems named. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from runner.scenarios.environments.protocol import SetupProblem

_FALSE = frozenset({"", "false", "no", "none", "0"})


@dataclass(frozen=True, slots=True)
class Setup:
    """A mapping of a setup, and how messages call it."""

    values: Mapping[str, Any]
    key: str

    def only(self, *known: str) -> None:
        """Refuse keys that mean nothing here.

        Raises:
            SetupProblem: there is one.
        """
        for name in self.values:
            if name not in known:
                where = f"{self.key}.{name}"
                raise SetupProblem(where, f"unknown key; known here: {', '.join(sorted(known))}")

    def text(self, name: str, default: str | None = None) -> str:
        """Return a text; numbers are written out.

        Raises:
            SetupProblem: it is missing, or no text.
        """
        value = self.values.get(name, default)
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            what = "is missing" if value is None else f"needs a text, not {type(value).__name__}"
            raise SetupProblem(key=f"{self.key}.{name}", what=what)
        return str(value)

    def whole(self, name: str, default: int) -> int:
        """Return a whole number, also where it was rendered as text.

        Raises:
            SetupProblem: it is none.
        """
        value = self.values.get(name, default)
        try:
            return int(str(value) if isinstance(value, bool) else value)
        except (TypeError, ValueError):
            what = f"needs a whole number, not {value!r}"
            raise SetupProblem(key=f"{self.key}.{name}", what=what) from None

    def texts(self, name: str) -> list[str]:
        """Return a list of texts; one text is a list of one; empty ones are left out.

        Raises:
            SetupProblem: it is no list of texts.
        """
        value: object = self.values.get(name, [])
        items = cast("Sequence[object]", [value] if isinstance(value, str) else value)
        if not isinstance(items, Sequence) or not all(isinstance(i, str | int) for i in items):
            raise SetupProblem(key=f"{self.key}.{name}", what="needs a list of texts")
        return [str(i) for i in items if str(i).strip()]

    def entries(self, name: str) -> list[Setup]:
        """Return a list of mappings, those left out by their own `when` apart.

        Raises:
            SetupProblem: it is no list of mappings.
        """
        value: object = self.values.get(name, [])
        if not isinstance(value, list):
            raise SetupProblem(key=f"{self.key}.{name}", what="needs a list")
        found: list[Setup] = []
        for i, item in enumerate(cast("list[object]", value)):
            where = f"{self.key}.{name}[{i}]"
            if not isinstance(item, Mapping):
                raise SetupProblem(where, "needs `key: value` lines")
            entry = Setup(cast("Mapping[str, Any]", item), where)
            if holds(entry.values.get("when", True)):
                found.append(entry)
        return found

    def part(self, name: str) -> Setup:
        """Return a mapping inside; an empty one where it is missing.

        Raises:
            SetupProblem: it is no mapping.
        """
        value: object = self.values.get(name) or {}
        if not isinstance(value, Mapping):
            raise SetupProblem(key=f"{self.key}.{name}", what="needs `key: value` lines")
        return Setup(cast("Mapping[str, Any]", value), f"{self.key}.{name}")


def holds(value: object) -> bool:
    """Return whether a rendered `when:` says yes."""
    if isinstance(value, str):
        return value.strip().lower() not in _FALSE
    return bool(value)
