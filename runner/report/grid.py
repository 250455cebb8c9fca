"""Tables of text and how they are drawn: aligned plain lines, rich on a terminal, CSV. Pure.

Cells come cleaned (`observe.terminal`), since names may stem from anybody's configuration.
"""

from __future__ import annotations

import csv
import io
import re
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runner.observe.terminal import one_line

if TYPE_CHECKING:
    from rich.table import Table

_CELL = 80
_NARROW = 10
"""Columns that a leading column needs at least, where its text is longer."""
_LEAST = 0.34
"""Share of its own width that a leading column needs: no cell breaks over more than three lines or so."""
_BREAKS = re.compile(r"([,·])(?=\S)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Behind:
    """Which transcripts a row of a table counts."""

    cells: frozenset[int]
    show: tuple[tuple[str, ...], ...] = ()
    """Arguments of `runner show` for all of them, one command each."""
    hot: bool = False
    """The row counts an event."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """A table ready to be drawn."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    left: int = 1
    """Leading columns that hold text and are aligned to the left."""
    notes: tuple[str, ...] = ()
    behind: tuple[Behind, ...] = ()
    """One for each row; empty where rows count no transcripts. Pages alone draw it."""


def plain_lines(grid: Grid) -> list[str]:
    """Return title, header, rows and notes as aligned lines."""
    body = [tuple(one_line(c, _CELL) for c in line) for line in (grid.columns, *grid.rows)]
    widths = [max(len(line[i]) for line in body) for i in range(len(grid.columns))]
    out = [grid.title]
    for line in body:
        cells = (
            c.ljust(w) if i < grid.left else c.rjust(w)
            for i, (c, w) in enumerate(zip(line, widths, strict=True))
        )
        out.append(("  " + "  ".join(cells)).rstrip())
    return [*out, *(f"  {note}" for note in grid.notes)]


def fitted_lines(grid: Grid, width: int) -> list[str]:
    """Return the same in no more than `width` columns, at least 40.

    What is too wide breaks its leading columns over several lines; where that leaves them too little,
    each row is a paragraph: its names, then every value behind the name of its column.
    """
    lines = plain_lines(grid)
    table = lines[1 : 2 + len(grid.rows)]
    if max(len(line) for line in table) > width:
        table = _broken(grid, width) or _stacked(grid, width)
    notes = [line for note in grid.notes for line in _wrapped(note, width, "  ", "    ")]
    return [*_wrapped(grid.title, width, "", "  "), *table, *notes]


def _wrapped(text: str, width: int, first: str, rest: str) -> list[str]:
    return textwrap.wrap(text, width, initial_indent=first, subsequent_indent=rest) or [""]


def _broken(grid: Grid, width: int) -> list[str]:
    """Return header and rows with the leading columns broken; nothing where they would be too narrow."""
    body = [tuple(one_line(c, _CELL) for c in line) for line in (grid.columns, *grid.rows)]
    widths = [max(len(line[i]) for line in body) for i in range(len(grid.columns))]
    left = widths[: grid.left]
    room = width - 2 - 2 * (len(widths) - 1) - sum(widths[grid.left :])
    if room < sum(min(w, _NARROW) for w in left):
        return []
    words = [_longest_word(line[i] for line in body) for i in range(grid.left)]
    # The column that has most to give without cutting words, then the widest.
    while sum(left) > room:
        spare = [width - word for width, word in zip(left, words, strict=True)]
        most = spare.index(max(spare)) if max(spare) > 0 else left.index(max(left))
        left[most] -= 1
    if min(now / whole for now, whole in zip(left, widths, strict=False)) < _LEAST:
        return []
    out: list[str] = []
    for line in body:
        parts = [
            textwrap.wrap(_BREAKS.sub(r"\1 ", cell), w) or [""]
            for cell, w in zip(line, left, strict=False)
        ]
        for n in range(max(map(len, parts))):
            cells = [
                (p[n] if n < len(p) else "").ljust(w) for p, w in zip(parts, left, strict=True)
            ]
            cells += [
                (c if n == 0 else "").rjust(w)
                for c, w in zip(line[grid.left :], widths[grid.left :], strict=True)
            ]
            out.append(("  " + "  ".join(cells)).rstrip())
    return out


def _longest_word(cells: Iterable[str]) -> int:
    return max((len(w) for c in cells for w in re.split(r"(?<=[-,·]) *| ", c)), default=0)


def _stacked(grid: Grid, width: int) -> list[str]:
    """Return a paragraph for each row."""
    out: list[str] = []
    for row in grid.rows:
        cells = [one_line(c, _CELL) for c in row]
        out += _wrapped("  ".join(c for c in cells[: grid.left] if c), width, "  ", "    ")
        line = ""
        for name, cell in zip(grid.columns[grid.left :], cells[grid.left :], strict=True):
            if cell in {"–", ""}:
                continue
            part = f"{name} {cell}"
            if line and 4 + len(line) + 3 + len(part) > width:
                out += _wrapped(line, width, "    ", "      ")
                line = ""
            line += f" · {part}" if line else part
        out += _wrapped(line, width, "    ", "      ") if line else []
    return out


def rich_table(grid: Grid) -> Table:
    """Return the same as a rich table."""
    from rich.table import Table  # noqa: PLC0415  # 0.1 s, and only a terminal needs it
    from rich.text import Text  # noqa: PLC0415

    table = Table(
        title=Text(grid.title), title_justify="left", box=None, pad_edge=False, padding=(0, 2, 0, 0)
    )
    for i, name in enumerate(grid.columns):
        table.add_column(
            Text(name), justify="left" if i < grid.left else "right", no_wrap=i >= grid.left
        )
    for line in grid.rows:
        table.add_row(*(Text(one_line(c, _CELL)) for c in line))
    return table


def csv_text(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return RFC 4180 text; a cell that a spreadsheet would take for a formula gets a quote."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(columns)
    writer.writerows([[_guarded(c) for c in line] for line in rows])
    return out.getvalue()


def _guarded(cell: object) -> object:
    if isinstance(cell, str) and cell[:1] in {"=", "+", "-", "@", "\t", "\r"}:
        return "'" + cell
    return cell
