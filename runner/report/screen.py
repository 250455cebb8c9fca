"""Puts lines and tables on standard output: styled on a terminal, plain everywhere else.

All text passes `observe.terminal.clean`; styles come from a closed set and never from text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TextIO

from runner.observe.terminal import clean, one_line
from runner.report.grid import Grid, fitted_lines, plain_lines, rich_table


class Style(StrEnum):
    """What a line is; how it looks follows from it."""

    PLAIN = "plain"
    HEAD = "head"
    FAINT = "faint"
    MODEL = "model"
    """What a model said outside every block."""
    PRIVATE = "private"
    """A model's scratchpad or reasoning."""
    ACTION = "action"
    DRAFT = "draft"
    WARNING = "warning"


_LOOKS: Mapping[Style, str] = {
    Style.PLAIN: "",
    Style.HEAD: "bold",
    Style.FAINT: "dim",
    Style.MODEL: "cyan",
    Style.PRIVATE: "dim italic",
    Style.ACTION: "bold yellow",
    Style.DRAFT: "yellow",
    Style.WARNING: "bold red",
}


@dataclass(frozen=True, slots=True)
class Line:
    """One line, or several with line breaks between."""

    text: str
    style: Style = Style.PLAIN


_RULE = 78
PIPE = 160
"""Columns of a table in a file or a pipe, where nobody says how wide the reader's screen is."""


def rule(title: str) -> Line:
    """Return a heading between parts."""
    return Line(f"── {one_line(title, 120)} ".ljust(_RULE, "─"), Style.HEAD)


def put(items: Sequence[Line | Grid], stream: TextIO) -> None:
    """Write lines and tables."""
    if stream.isatty():
        _put_rich(items, stream)
        return
    out: list[str] = []
    for item in items:
        if isinstance(item, Grid):
            out += [*fitted_lines(item, PIPE), ""]
        else:
            out.append(clean(item.text))
    # A lone surrogate or a narrow locale must not end a report.
    encoding = stream.encoding or "utf-8"
    text = "\n".join(out) + "\n"
    stream.write(text.encode(encoding, "replace").decode(encoding))
    stream.flush()


def _put_rich(items: Sequence[Line | Grid], stream: TextIO) -> None:
    from rich.console import Console  # noqa: PLC0415  # 0.1 s, and only a terminal needs it
    from rich.text import Text  # noqa: PLC0415

    console = Console(file=stream, highlight=False)
    for item in items:
        if isinstance(item, Line):
            console.print(Text(clean(item.text), style=_LOOKS[item.style]), soft_wrap=False)
            continue
        lines = plain_lines(item)
        if max(len(line) for line in lines[1 : 2 + len(item.rows)]) > console.width:
            fitted = fitted_lines(item, max(40, console.width))  # rich would cut cells
            console.print(Text("\n".join([*fitted, ""])), soft_wrap=True)
            continue
        console.print(rich_table(item))
        for note in item.notes:
            console.print(Text(f"  {note}", style="dim"))
        console.print()
