"""Where each configuration value was written, and the collector of problems that says so.

Keys are readable paths such as `models.opus.max_tokens`: items of the lists `models` and
`scenarios` go by name, other items by position (`turns[1]`).
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

COMMAND_LINE = "command line"


@dataclass(frozen=True, slots=True)
class Where:
    """A file and a 1-based line; line 0 for what has none (the command line)."""

    file: str
    line: int = 0
    text_line: int = field(default=0, compare=False)
    """Where the first line of a text of several lines stands (`key: |`); 0 for any other value."""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.line else self.file


@dataclass(frozen=True, slots=True)
class Source:
    """Positions of a loaded configuration, for messages of later stages."""

    root: Where
    places: Mapping[str, Where] = field(default_factory=dict[str, Where])

    def where(self, key: str) -> Where:
        """Return where a key, or else the nearest key around it, was written."""
        while key:
            if key in self.places:
                return self.places[key]
            key = key[: max(key.rfind("."), key.rfind("["), 0)]
        return self.root

    def where_in(self, key: str, number: int) -> Where:
        """Return where a line (from 0) of a key's text was written, or else the key."""
        where = self.where(key)
        if not where.text_line or key not in self.places:
            return where
        return Where(where.file, where.text_line + number)

    def line(self, key: str, text: str) -> str:
        """Return a problem in the form that every message has: `file:line  key: text`."""
        return f"{self.where(key)}  {key}: {text}"


@dataclass(slots=True)
class Problems:
    """Collects problems; at most one per key, since the second is usually an echo of the first."""

    lines: list[str] = field(default_factory=list[str])
    incomplete: bool = False
    """A whole file is missing: whatever else could be said would be an echo of that."""
    _keys: list[str] = field(default_factory=list[str])

    def add(self, where: Where, key: str, text: str) -> None:
        """Note a problem at a key; `key` may be empty for a whole file."""
        if key and key in self._keys:
            return
        self._keys.append(key)
        self.lines.append(f"{where}  {key}: {text}" if key else f"{where}: {text}")

    def under(self, key: str) -> bool:
        """Tell whether a problem was noted at a key or below it."""
        return any(k == key or k.startswith((f"{key}.", f"{key}[")) for k in self._keys)


@dataclass(frozen=True, slots=True)
class Judge:
    """What checks of typed values need: a place for problems, and what was written at all."""

    problems: Problems
    source: Source
    only_in: str | None = None
    """Only what was written in this file counts as given: a resolved one holds every key."""

    def note(self, key: str, text: str) -> None:
        """Note a problem, unless one of that part is known: a value left out is no news."""
        if not self.problems.under(key):
            self.problems.add(self.source.where(key), key, text)

    def given(self, key: str) -> bool:
        """Tell whether the user wrote a key."""
        where = self.source.places.get(key)
        return where is not None and self.only_in in (None, where.file)

    def refused(self, key: str) -> bool:
        """Tell whether a key was written and cannot be used."""
        return self.problems.under(key)


def nearest(word: str, known: Iterable[str]) -> str:
    """Return the hint that ends a message about an unknown word."""
    names = sorted(known)
    close = difflib.get_close_matches(word, names, n=1, cutoff=0.6)
    if close:
        return f"Did you mean {close[0]}?"
    return f"Known here: {', '.join(names)}." if names else "Nothing is known here."
