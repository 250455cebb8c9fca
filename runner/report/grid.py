"""Tables of text and how they are drawn: aligned plain lines, rich on a terminal, CSV. Pure.

Cells come cleaned (`observe.terminal`), since names may stem from anybody's configuration.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runner.observe.terminal import one_line

if TYPE_CHECKING:
    from rich.table import Table

_CELL = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """A table ready to be drawn."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    left: int = 1
    """Leading columns that hold text and are aligned to the left."""
    notes: tuple[str, ...] = ()


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
