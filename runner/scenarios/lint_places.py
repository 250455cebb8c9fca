"""From a place in a rendered text back to the line of the scenario that it was written in. Pure.

A rendered line is looked up among the lines of all templates: one is its origin if its words stand in it
in order, with anything where the template has an expression. Of several the one with most words of its own
counts, and of equals the one whose neighbours fit, too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

from runner.scenarios.lint_texts import Message

_CLOCK = re.compile(r"\{\{\s*clock\(\s*['\"]([^'\"]*)['\"]\s*\)\s*\}\}")
_EXPRESSION = re.compile(r"(\{\{.*?\}\}|\{%.*?%\}|\{#.*?#\})")
_NEAR = 3
_LEAST = 3
"""Characters of its own that a line needs in order to be recognised."""


@dataclass(frozen=True, slots=True)
class _Written:
    """One line of a template."""

    key: str
    number: int
    own: int
    """Characters that are not an expression's."""
    fits: re.Pattern[str]


def key_of_value(sources: Mapping[str, str], start: str, end: str, value: str) -> str | None:
    """Return the path of the one text, among those whose path starts and ends so, that a value comes from."""
    found: list[tuple[int, str]] = []
    for key, text in sources.items():
        if key.startswith(start) and key.endswith(end):
            written = next(_lines_of(key, text))
            if written.fits.fullmatch(value):
                found.append((written.own, key))
    best = [key for own, key in found if own == max(found)[0]]
    return best[0] if len(best) == 1 else None


class Places:
    """Finds where rendered lines of one scenario were written."""

    def __init__(self, sources: Mapping[str, str], environment: Mapping[str, Any]) -> None:
        """Take every template by readable path, and the environment as it was written."""
        self._sources = sources
        self._environment = environment
        self._lines: list[_Written] | None = None

    def of_text(self, text: str, at: int) -> tuple[str, int] | None:
        """Return (key, line from 0) of what stands at a character of a rendered text, if it is known."""
        rows = text.split("\n")
        row = text.count("\n", 0, at)
        best: tuple[int, int] = (0, 0)
        found: tuple[str, int] | None = None
        for i, written in enumerate(self._written()):
            if written.own < max(best[0], _LEAST) or not written.fits.fullmatch(rows[row].strip()):
                continue
            score = (written.own, self._neighbours(i, rows, row))
            if score > best:
                best, found = score, (written.key, written.number)
        return found

    def of_mail(self, mail: Message, part: str) -> str | None:
        """Return the key of a mail of the environment's list, of its part where it has that one."""
        given: object = cast("Mapping[str, Any]", self._environment.get("mail") or {}).get("mails")
        rows = [mail.subject.strip(), mail.date, *(row.strip() for row in mail.body.split("\n"))]
        best, found = (0, 0), None
        for i, entry in enumerate(cast("list[Mapping[str, Any]]", given or [])):
            texts = (str(entry.get(name, "")) for name in ("subject", "date", "body"))
            lines = [line for text in texts for line in _lines_of("", text) if line.own >= _LEAST]
            fitting = [line for line in lines if any(line.fits.fullmatch(row) for row in rows)]
            score = (len(fitting), sum(line.own for line in fitting))
            if score > best:
                key = f"environment.mail.mails[{i}]"
                best, found = score, f"{key}.{part}" if part in entry else key
        return found

    def _written(self) -> list[_Written]:
        if self._lines is None:
            self._lines = [
                line for key, text in self._sources.items() for line in _lines_of(key, text)
            ]
        return self._lines

    def _neighbours(self, i: int, rows: list[str], row: int) -> int:
        """Count the lines around that fit as well."""
        lines, count = self._written(), 0
        for step in (*range(-_NEAR, 0), *range(1, _NEAR + 1)):
            there = 0 <= i + step < len(lines) and 0 <= row + step < len(rows)
            if there and lines[i + step].key == lines[i].key and lines[i + step].own:
                count += bool(lines[i + step].fits.fullmatch(rows[row + step].strip()))
        return count


def _lines_of(key: str, text: str) -> Iterator[_Written]:
    for number, line in enumerate(text.split("\n")):
        plain = _CLOCK.sub(r"\1", line.strip())
        pieces = _EXPRESSION.split(plain)
        own = sum(len(p.strip()) for p in pieces[::2])
        pattern = "".join(".*" if i % 2 else re.escape(p) for i, p in enumerate(pieces))
        yield _Written(key, number, own, re.compile(pattern))
