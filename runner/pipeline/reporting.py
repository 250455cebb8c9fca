"""`runner report`: grades what has no verdicts yet, counts, and puts the report together."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from runner.config.schema import SweepConfig, called
from runner.core.errors import ConfigError, SweepStateError
from runner.core.seams import Clock, Store
from runner.core.seeds import SeedSet
from runner.grade.run import CellGrading, Graded
from runner.grade.verdict import Role
from runner.pipeline.calibrating import newest_calibration
from runner.pipeline.looking import log_sight
from runner.pipeline.verdicts import Asked, grade_course, graded_apart, open_course
from runner.plan.blocks import CompleteBlocks, complete_blocks
from runner.providers.price_list import tariffs_of
from runner.record.place import Place
from runner.record.query import Tables, open_tables
from runner.report.analysis import (
    analyse,
    corrected_together,
    families_of,
    without_grader,
)
from runner.report.conditional import given_labels
from runner.report.contents import Report
from runner.report.counts import any_simulated, count_cells
from runner.report.looks import Look, TopUp, read_looks, top_ups
from runner.report.rows import counted_seeds, report_rows, totals, whole_of
from runner.report.spent import Spent, saved_by_model, spent_by_model
from runner.report.sweep import Sweep
from runner.report.texture import Texture, textures
from runner.report.texture_flags import texture_flags
from runner.review.calibration import Calibration
from runner.review.calibration_page import note_of
from runner.statistics.binomial import LEVEL


@dataclass(frozen=True, slots=True, kw_only=True)
class Reports:
    """Everything that `runner report` prints."""

    sweep: Sweep
    reports: tuple[Report, ...]
    """One per grader in use; one without rates where none is."""
    spent: tuple[Spent, ...]
    graded: tuple[Graded, ...]
    calibration: Calibration | None = None
    """Of the newest sample that people label; None where none was drawn or none can be used."""
    calibration_problem: str = ""
    """Why a sample that was drawn cannot be used."""

    @property
    def calibration_note(self) -> str:
        """Return in words how far the rates rest on people."""
        names = sorted({r.grader for r in self.reports if r.grader})
        return " ".join(
            s for s in (note_of(self.calibration, names), self.calibration_problem) if s
        )


async def make_reports(
    store: Store,
    directory: Place,
    *,
    level: float = LEVEL,
    on_shard: Callable[[str, int, int], None] = lambda _name, _done, _total: None,
    clock: Clock | None = None,
) -> Reports:
    """Grade and count a sweep, live or not, and log that somebody looked.

    Args:
        store: the sweep directory.
        directory: the same, as it was named: DuckDB reads the shards itself.
        level: coverage of the intervals.
        on_shard: told of grading, see `grade_sweep`.
        clock: says when the look was.

    Raises:
        SweepStateError: no sweep there.
        ConfigError: its scenarios name an unknown grader, or facts that one cannot use.
        RecordError: something in it is damaged.
        StorageError: it cannot be read, or verdicts cannot be written.
    """
    course = await open_course(store, directory, Asked())
    sweep = course.sweep
    graded = await grade_course(store, course, on_shard)
    # Where graders disagree all of them are shown.
    apart = await graded_apart(store, directory, course)
    graded += [one for one in apart if one.card.role == Role.OUTCOME]
    looks = await read_looks(store)
    grown = await top_ups(store, looks, sweep.plan)
    await directory.refresh()
    with open_tables(Path(directory)) as tables:
        shared = _shared(sweep, tables, graded, looks=looks, grown=grown, level=level)
        outcomes = [one for one in graded if one.card.role == Role.OUTCOME]
        uses: list[Graded | None] = [*outcomes] or [None]
        reports = _together(sweep, [_report(shared, tables, one, course.gradings) for one in uses])
        spent = _spent(sweep.config, tables)
    await log_sight(store, sweep, looks, clock)
    found, problem = None, ""
    try:
        found = await newest_calibration(store, directory, level=level)
    except SweepStateError as error:
        problem = str(error)
    return Reports(
        sweep=sweep,
        reports=reports,
        spent=spent,
        graded=tuple(graded),
        calibration=found,
        calibration_problem=problem,
    )


def _spent(config: SweepConfig, tables: Tables) -> tuple[Spent, ...]:
    """Return what each model's attempts cost, and what prompt caching saved of it."""
    spent = spent_by_model(tables)
    if not any(s.cached_tokens for s in spent):
        return tuple(spent)
    try:
        tariffs = tariffs_of(config)
    except ConfigError:  # a price that `prices:` refers to has left the package since
        return tuple(spent)
    kept_hours = frozenset(m.name for m in called(config) if m.cache == "1h")
    saved = saved_by_model(tables, tariffs, kept_hours)
    return tuple(replace(s, saved_usd=saved.get((s.model, s.role, s.asked))) for s in spent)


def _together(sweep: Sweep, reports: Sequence[Report]) -> tuple[Report, ...]:
    """Correct what was declared over all graders, and say which questions no grader answers."""
    if any(r.analysis is None for r in reports):
        return tuple(reports)
    analyses = corrected_together([r.analysis for r in reports if r.analysis])
    unanswered = without_grader(sweep.config, [r.grader for r in reports if r.grader])
    analyses[0] = replace(analyses[0], flags=(*unanswered, *analyses[0].flags))
    return tuple(replace(r, analysis=a) for r, a in zip(reports, analyses, strict=True))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shared:
    """What the reports of all graders have in common."""

    sweep: Sweep
    owed: int
    blocks: Mapping[str, CompleteBlocks]
    seeds: Mapping[int, SeedSet]
    """That count: all of a finished sweep, complete blocks of another."""
    textures: Mapping[int, Texture]
    labels: Mapping[str, Sequence[str]]
    """Labelling grader to its verdict files."""
    looks: Sequence[Look]
    top_ups: Sequence[TopUp]
    simulated: bool
    level: float


def _shared(
    sweep: Sweep,
    tables: Tables,
    graded: Sequence[Graded],
    *,
    looks: Sequence[Look],
    grown: Sequence[TopUp],
    level: float,
) -> _Shared:
    plan, ended, owed = sweep.plan, sweep.ended(), sweep.owed
    seeds = counted_seeds(plan, ended) if owed else {c.number: c.seeds for c in plan.cells}
    return _Shared(
        sweep=sweep,
        owed=owed,
        blocks=complete_blocks(plan, ended),
        seeds=seeds,
        textures=textures(tables, seeds),
        labels={
            one.card.grader: _files(sweep, one) for one in graded if one.card.role == Role.LABEL
        },
        looks=looks,
        top_ups=grown,
        simulated=any_simulated(tables),
        level=level,
    )


def _files(sweep: Sweep, graded: Graded) -> list[str]:
    return [str(sweep.directory / key) for key in graded.verdicts]


def _report(
    shared: _Shared, tables: Tables, graded: Graded | None, gradings: Mapping[int, CellGrading]
) -> Report:
    sweep, level, seeds = shared.sweep, shared.level, shared.seeds
    plan, dead = sweep.plan, sweep.state.dead
    card = graded.card if graded else None
    cells = frozenset(n for n, g in gradings.items() if card and card.grader in g.graders)
    if card and not cells:  # graded apart
        cells = frozenset(n for n, facts in card.facts.items() if facts)
    verdicts = _files(sweep, graded) if graded else []
    shown = count_cells(tables, seeds, dead, verdicts, cells)
    whole = shown
    if shared.owed:
        every = {c.number: c.seeds for c in plan.cells}
        whole = count_cells(tables, every, dead, verdicts, cells)
    dependent = frozenset(n for n, t in shared.textures.items() if not t.independent)
    families = families_of(sweep.config)
    rows = report_rows(plan.cells, shown, level, families=families, dependent=dependent)
    analysis = None
    if card is not None:
        analysis = analyse(
            sweep.config,
            rows,
            card.grader,
            level=level,
            textures=shared.textures,
            given=given_labels(
                tables,
                seeds,
                verdicts,
                shared.labels,
                level,
                dependent=dependent,
                families=families,
            ),
            looks=shared.looks,
            top_ups=shared.top_ups,
        )
    return Report(
        sweep=sweep.name,
        directory=str(sweep.directory),
        grader=card.grader if card else None,
        grader_digest=card.digest if card else None,
        view=card.view if card else None,
        interim=shared.owed > 0,
        blocks=shared.blocks,
        simulated=shared.simulated,
        whole=whole_of(list(whole.values())),
        totals=totals(rows, level),
        rows=rows,
        level=level,
        analysis=analysis,
        flags=() if analysis else tuple(texture_flags(rows, shared.textures)),
    )
