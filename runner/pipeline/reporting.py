"""`runner report`: grades what has no verdicts yet, counts, and puts the report together."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from runner.core.errors import ConfigError
from runner.core.seams import Store
from runner.grade.registry import graders_problems
from runner.grade.run import CellGrading, Facts, Graded, grade_sweep
from runner.plan.blocks import complete_blocks
from runner.record.query import Tables, open_tables
from runner.report.contents import Report, counted_seeds, report_rows, totals, whole_of
from runner.report.counts import Spent, any_simulated, count_cells, spent_by_model
from runner.report.sweep import GradingFacts, Sweep, open_sweep
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
    sweep = await open_sweep(store, directory)
    gradings = _gradings(sweep)
    with open_tables(directory) as tables:
        graded = await grade_sweep(store, gradings, tables.keys("transcripts"), on_shard)
        uses: list[Graded | None] = [*graded] or [None]
        reports = tuple(_report(sweep, tables, one, gradings, level) for one in uses)
        spent = tuple(spent_by_model(tables))
    return Reports(reports=reports, spent=spent, graded=tuple(graded))


def _gradings(sweep: Sweep) -> dict[int, CellGrading]:
    """Return how each cell is graded; cells of one condition share their facts."""
    rendering = GradingFacts(sweep.config)
    by_condition: dict[tuple[str, int], CellGrading] = {}  # models share the axes object
    out: dict[int, CellGrading] = {}
    for cell in sweep.plan.cells:
        key = (cell.scenario, id(cell.axes))
        found = by_condition.get(key)
        if found is None:
            names = rendering.graders.get(cell.scenario, ())
            facts: Facts = partial(rendering.render, cell.scenario, cell.axes)
            problems = graders_problems(names, facts(0)) if names else []
            if problems:
                raise ConfigError(*(f"scenarios.{cell.scenario}.{p}" for p in problems))
            found = by_condition[key] = CellGrading(graders=names, facts=facts)
        out[cell.number] = found
    return out


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
