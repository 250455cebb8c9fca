"""Draws progress on standard error: a live table on a terminal, a plain line every 10 s elsewhere.

Owns the drawing and its pace; what is drawn comes as values from `observe/progress.py`.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Self, TextIO

from runner.observe.progress import Phase, Progress, columns, footing, heading, plain, row
from runner.observe.terminal import clean, one_line

if TYPE_CHECKING:
    from rich.console import Group
    from rich.live import Live

PLAIN_EVERY_S = 10.0


class Console:
    """A place for progress; a context manager, so that the terminal is restored on every way out.

    Args:
        monotonic: seconds; paces the plain lines.
        stream: standard error by default.
        live: draw in place; None: only where the stream is a terminal that can.
    """

    def __init__(
        self,
        monotonic: Callable[[], float],
        *,
        stream: TextIO | None = None,
        live: bool | None = None,
    ) -> None:
        self._stream = stream or sys.stderr
        self._monotonic = monotonic
        self._wants_live = self._stream.isatty() if live is None else live
        self._live: Live | None = None
        self._next_plain = 0.0
        self._phase: Phase | None = None
        self._stopped: frozenset[str] = frozenset()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave the terminal as it was."""
        self.close()

    def update(self, progress: Progress) -> None:
        """Show the newest progress; cheap, call it as often as it changes."""
        if self._wants_live:
            self._draw(progress)
            return
        stopped = frozenset(progress.stopped_models)
        changed = progress.phase is not self._phase or stopped != self._stopped
        now = self._monotonic()
        if changed or now >= self._next_plain:
            self._phase, self._stopped, self._next_plain = (
                progress.phase,
                stopped,
                now + PLAIN_EVERY_S,
            )
            self._write(plain(progress))

    def say(self, *lines: str) -> None:
        """Print lines that stay, above the live table where there is one."""
        if self._live is not None:
            from rich.text import Text  # noqa: PLC0415  # 0.1 s, and only where something is drawn

            for line in lines:
                self._live.console.print(Text(clean(line)))
            return
        for line in lines:
            self._write(clean(line))

    def close(self) -> None:
        """Draw no more; the last table stays on the screen. May be called again."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _write(self, line: str) -> None:
        self._stream.write(line + "\n")
        self._stream.flush()

    def _draw(self, progress: Progress) -> None:
        if self._live is None:
            from rich.console import Console as RichConsole  # noqa: PLC0415  # as in say()
            from rich.live import Live  # noqa: PLC0415

            screen = RichConsole(file=self._stream, force_terminal=True, highlight=False)
            self._live = Live(console=screen, auto_refresh=False, transient=False)
            self._live.start()
        self._live.update(render(progress), refresh=True)


def render(progress: Progress) -> Group:
    """Return the screen as a rich renderable."""
    from rich.console import Group  # noqa: PLC0415  # as in Console.say
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for i, title in enumerate(columns()):
        table.add_column(title, justify="left" if i == 0 else "right", no_wrap=True)
    for model in progress.called:
        style = "red" if model.name in progress.stopped_models else ""
        table.add_row(*(Text(cell) for cell in row(model)), style=style)
    stopped = [
        Text(f"{one_line(m, 40)} stopped: {one_line(why, 300)}", style="red")
        for m, why in progress.stopped_models.items()
    ]
    return Group(
        Text(heading(progress), style="bold"), table, *stopped, Text(footing(progress), style="dim")
    )


def screen_width(fallback: int = 100) -> int:
    """Return the terminal's width in columns."""
    return shutil.get_terminal_size((fallback, 24)).columns


def print_lines(lines: Sequence[str], stream: TextIO | None = None) -> None:
    """Write cleaned lines to standard output."""
    out = stream or sys.stdout
    out.write("".join(clean(line) + "\n" for line in lines))
    out.flush()
