"""`runner show`: single records of a sweep, or a rendered prompt of a configuration."""

from __future__ import annotations

import json
from pathlib import Path

from runner.config.schema import SweepConfig, called
from runner.core.errors import ConfigError
from runner.core.seams import Store
from runner.grade.blocks import spans
from runner.observe.amounts import many
from runner.pipeline.stage_lines import cast_lines, stage_lines
from runner.pipeline.states import state_lines
from runner.record.place import Place
from runner.record.query import Tables, open_tables
from runner.record.scout import to_messages
from runner.report.grid import Grid
from runner.report.lookup import (
    Found,
    Row,
    Selector,
    attempt_rows,
    cells_of,
    failure_row,
    find_failures,
    find_records,
    record_row,
    verdict_rows,
)
from runner.report.screen import Line, Style, rule
from runner.report.sweep import open_sweep
from runner.report.transcript import conversation_lines, record_lines
from runner.scenarios.book import opening_state, render_preview
from runner.scenarios.build import build_book

LISTED = 20
"""Records in a list."""


async def show_sweep(
    store: Store,
    directory: Place,
    selector: Selector,
    *,
    failed: bool = False,
    transcripts: int = 1,
    full: bool = False,
    state: bool = False,
) -> list[Line | Grid]:
    """Return one or some transcripts, or a list where the selector means many.

    Args:
        store: the sweep directory.
        directory: the same, as it was named.
        selector: which records.
        failed: dead letters instead of recorded jobs.
        transcripts: print so many whole; more matches than that are listed.
        full: fold nothing.
        state: also what the environment was after each turn.

    Raises:
        SweepStateError: no sweep there.
        ConfigError: nothing fits.
        RecordError: something in it is damaged.
        StorageError: it cannot be read.
    """
    sweep = await open_sweep(store, directory)
    await directory.refresh()
    cells = cells_of(sweep.plan, selector)
    find = find_failures if failed else find_records
    with open_tables(Path(directory)) as tables:
        found = find(tables, cells, selector, limit=max(LISTED, transcripts) + 1)
        if not found and selector.key and not failed:
            found = find_failures(tables, cells, selector, limit=LISTED + 1)
        if not found:
            return [_nothing(directory, selector, failed=failed)]
        if len(found) > transcripts and (selector.empty or transcripts == 1):
            return _listed(found, directory, failed=failed)
        out: list[Line | Grid] = []
        for one in found[:transcripts]:
            row = record_row(tables, one.key) or failure_row(tables, one.key)
            assert row is not None
            out += _whole(tables, one, row, full=full)
            out += [*(state_lines(sweep, row, full=full) if state else ()), Line("")]
        return out


def _nothing(directory: Place, selector: Selector, *, failed: bool) -> Line:
    if failed and selector.empty:
        return Line(f"{directory}: no dead letters.")
    if selector.empty:
        return Line(f"{directory}: nothing is recorded yet. See: runner status {directory}")
    what = "no dead letter" if failed else "no record"
    return Line(f"{directory}: {what} fits. List some with: runner show {directory}")


def _whole(tables: Tables, found: Found, row: Row, *, full: bool) -> list[Line]:
    verdicts, attempts = verdict_rows(tables, found.key), attempt_rows(tables, found.key)
    return record_lines(row, verdicts, attempts, cut_answer, full=full)


def cut_answer(text: str) -> list[tuple[str, str]]:
    """Return an answer's stretches for drawing: (private | action | draft | rest, text)."""
    return [(span.kind, span.text) for span in spans(text)]


def _listed(found: list[Found], directory: Place, *, failed: bool) -> list[Line | Grid]:
    shown = found[:LISTED]
    last = "error" if failed else "outcome"
    rows = [
        (
            f.key[:12], f.scenario, f.condition or "–", f.model, str(f.seed), f.end_state,
            f.error if failed else f.outcome + (" (harmful)" if f.harmful else ""),
        )
        for f in shown
    ]  # fmt: skip
    title = "Dead letters" if failed else "Records, harmful ones first"
    if len(found) > LISTED:
        title += f" (first {LISTED})"
    columns = ("key", "scenario", "condition", "model", "seed", "end state", last)
    grid = Grid(title=title, columns=columns, rows=tuple(rows), left=7)
    return [grid, Line(f"next: runner show {directory} {shown[0].key[:12]}")]


def show_config(
    config: SweepConfig, selector: Selector, *, revisions: str = "-"
) -> list[Line | Grid]:
    """Return the first request of one job as it will be sent.

    Args:
        config: checked.
        selector: which cell and seed; the first that fits is shown.
        revisions: stands for the hash of local weights, which a prompt does not need.

    Raises:
        ConfigError: the scenarios cannot be rendered, or nothing fits.
    """
    book = build_book(config, revisions={m.name: revisions for m in called(config)})
    cells = cells_of(book.plan, selector)
    cell = book.plan.cell(cells[0])
    seed = cell.seeds.at(0) if selector.seed is None else selector.seed
    if seed not in cell.seeds:
        msg = f"--seed {seed}: not planned; seeds are {cell.seeds}."
        raise ConfigError(msg)
    conversation = render_preview(book, cell.number, seed)
    title = f"{cell.scenario} · {cell.condition or '–'} · {cell.model} · seed {seed}"
    out: list[Line | Grid] = [Line(title, Style.HEAD)]
    said = to_messages("", conversation, [], append_last=False).messages
    out += conversation_lines(json.dumps(said), cut_answer, full=True)
    later = len(next(s for s in config.scenarios if s.name == cell.scenario).turns)
    if later:
        out.append(
            Line(
                f"… then {many(later, 'further turn')}, each after the answer before it",
                Style.FAINT,
            )
        )
    out += stage_lines(opening_state(book, cell.number, seed))
    staging = book.script(cell.number).staging
    if staging is not None:
        out += cast_lines(staging, seed)
    for tool in conversation.tools:
        out += [rule(f"tool {tool.get('name')}"), Line(str(tool.get("description", "")))]
    if len(cells) > 1:
        more = f"{many(len(cells) - 1, 'other cell')} would fit too: narrow it by --scenario, --condition, --model, --seed"
        out.append(Line(more, Style.FAINT))
    return out
