"""`runner report`: grades what has no verdicts yet, counts, and puts the report together."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from runner.core.seams import Store
from runner.grade.run import CellGrading, Graded
from runner.grade.verdict import Role
from runner.pipeline.verdicts import Asked, grade_course, open_course
from runner.plan.blocks import complete_blocks
from runner.record.query import Tables, open_tables
from runner.report.contents import Report, counted_seeds, report_rows, totals, whole_of
from runner.report.counts import Spent, any_simulated, count_cells, spent_by_model
from runner.report.sweep import Sweep
from runner.statistics.binomial import LEVEL


@dataclass(frozen=True, slots=True, kw_only=True)
class Reports:
    """Everything that `runner report` prints."""

    reports: tuple[Report, ...]
    """One per grader in use; one without rates where none is."""
    spent: tuple[Spent, ...]
    graded: tuple[Graded, ...]


async def make_reports(
    store: Store,
    directory: Path,
    *,
    level: float = LEVEL,
    on_shard: Callable[[str, int, int], None] = lambda _name, _done, _total: None,
) -> Reports:
    """Grade and count a sweep, live or not.

    Args:
        store: the sweep directory.
        directory: the same, as a local path: DuckDB reads the shards itself.
        level: coverage of the intervals.
        on_shard: told of grading, see `grade_sweep`.

    Raises:
        SweepStateError: no sweep there.
        ConfigError: its scenarios name an unknown grader, or facts that one cannot use.
        RecordError: something in it is damaged.
        StorageError: it cannot be read, or verdicts cannot be written.
    """
    course = await open_course(store, directory, Asked())
    sweep, gradings = course.sweep, course.gradings
    graded = await grade_course(store, course, on_shard)
    with open_tables(directory) as tables:
        outcomes = [one for one in graded if one.card.role == Role.OUTCOME]
        uses: list[Graded | None] = [*outcomes] or [None]
        reports = tuple(_report(sweep, tables, one, gradings, level) for one in uses)
        spent = tuple(spent_by_model(tables))
    return Reports(reports=reports, spent=spent, graded=tuple(graded))


def _report(
    sweep: Sweep,
    tables: Tables,
    graded: Graded | None,
    gradings: Mapping[int, CellGrading],
    level: float,
) -> Report:
    plan, ended, owed = sweep.plan, sweep.ended(), sweep.owed
    seeds = {c.number: c.seeds for c in plan.cells}
    card = graded.card if graded else None
    cells = frozenset(n for n, g in gradings.items() if card and card.grader in g.graders)
    verdicts = [str(sweep.directory / key) for key in graded.verdicts] if graded else []
    whole = count_cells(tables, seeds, sweep.state.dead, verdicts, cells)
    shown = whole
    if owed:
        counted = counted_seeds(plan, ended)
        shown = count_cells(tables, counted, sweep.state.dead, verdicts, cells)
    rows = report_rows(plan.cells, shown, level)
    together = whole_of(list(whole.values()))
    return Report(
        sweep=sweep.name,
        directory=str(sweep.directory),
        grader=card.grader if card else None,
        grader_digest=card.digest if card else None,
        view=card.view if card else None,
        interim=owed > 0,
        blocks=complete_blocks(plan, ended),
        simulated=any_simulated(tables),
        whole=together,
        totals=totals(rows, level),
        rows=rows,
        level=level,
    )
