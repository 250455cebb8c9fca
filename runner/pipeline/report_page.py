"""`runner report --html`: puts the page and its figures together and writes them."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from runner.config.resolved import resolved_facts
from runner.core.errors import StorageError
from runner.core.seams import Store
from runner.grade.verdict import Role
from runner.observe.terminal import clean
from runner.pipeline.reporting import Reports
from runner.pipeline.showing import cut_answer
from runner.pipeline.verdicts import Asked, count_verdicts
from runner.pipeline.watching import budget_at_rest
from runner.record.layout import CONFIGURATION
from runner.record.place import Place
from runner.record.query import open_tables
from runner.record.schema import SCHEMA_VERSION
from runner.record.verdicts import VERDICT_SCHEMA_VERSION
from runner.report.figures import Figure, report_figures
from runner.report.grid import Grid
from runner.report.html_page import PageFacts, html_page
from runner.report.rows import counted_seeds
from runner.report.samples import Sample, pick_samples
from runner.report.verdict_page import verdict_grids
from runner.review.calibration_page import calibration_grids

SAMPLES = 300
PAGE = "report.html"
_LIBRARIES = ("runner", "duckdb", "pyarrow", "scipy", "statsmodels", "firthmodels", "matplotlib")


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What was written where."""

    page: Path | None
    figures: tuple[Path, ...]


def figures_of(reports: Reports) -> dict[int, list[Figure]]:
    """Return the figures of each report, by its position."""
    return {i: report_figures(report) for i, report in enumerate(reports.reports)}


async def write_page(
    store: Store, directory: Place, made: Reports, folder: Path, *, samples: int = SAMPLES
) -> Written:
    """Write `report.html` and `figures/*.svg` into a folder.

    Raises:
        RecordError: a shard cannot be read.
        StorageError: the folder cannot be written.
    """
    figures = figures_of(made)
    text = (await store.get(CONFIGURATION)).decode(errors="replace")
    facts = PageFacts(
        configuration=text,
        versions=_versions(made, text),
        samples=_samples(directory, made, samples),
        figures=figures,
        graders=await _graders(store, directory, made),
        calibration_note=clean(made.calibration_note),
        budget=budget_at_rest(made.sweep),
    )
    page = html_page(made.reports, made.spent, facts, cut_answer)
    return Written(
        page=_write(folder / PAGE, page),
        figures=write_figures(figures, folder),
    )


def write_figures(figures: dict[int, list[Figure]], folder: Path) -> tuple[Path, ...]:
    """Write each figure as a file of its own; those of a second grader with a number.

    Raises:
        StorageError: the folder cannot be written.
    """
    out: list[Path] = []
    for position, drawn in figures.items():
        suffix = f"-{position + 1}" if position else ""
        out += [_write(folder / "figures" / f"{f.name}{suffix}.svg", f.svg) for f in drawn]
    return tuple(out)


def _write(path: Path, text: str) -> Path:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # A lone surrogate has no UTF-8 form.
        path.write_bytes(text.encode("utf-8", "replace"))
    except OSError as error:
        msg = f"{path}: {error.strerror or error}. Name another folder with --out."
        raise StorageError(msg) from error
    return path


def _samples(directory: Place, made: Reports, most: int) -> list[Sample]:
    sweep = made.sweep
    seeds = {c.number: c.seeds for c in sweep.plan.cells}
    if sweep.owed:
        seeds = counted_seeds(sweep.plan, sweep.ended())
    verdicts = {
        g.card.grader: [str(directory / key) for key in g.verdicts]
        for g in made.graded
        if g.card.role == Role.OUTCOME
    }
    with open_tables(Path(directory)) as tables:
        return pick_samples(tables, seeds, verdicts, most=most)


async def _graders(store: Store, directory: Place, made: Reports) -> list[Grid]:
    counted = await count_verdicts(store, directory, Asked(), made.graded)
    shown = verdict_grids(counted, str(directory)) if counted else []
    grids = [item for item in shown if isinstance(item, Grid)]
    return grids + (calibration_grids(made.calibration) if made.calibration else [])


def _versions(made: Reports, text: str) -> list[tuple[str, str]]:
    first = made.reports[0]
    out = [("sweep", made.sweep.name), ("directory", first.directory)]
    out += [("plan version", str(made.sweep.plan.version))]
    out += [(f"sweep.yaml: {k}", v) for k, v in resolved_facts(text).items()]
    out += [
        (f"grader {g.card.grader}", f"version {g.card.version}, {g.card.view}, {g.card.digest}")
        for g in made.graded
    ]
    out += [("schema", f"rows {SCHEMA_VERSION}, verdicts {VERDICT_SCHEMA_VERSION}")]
    return out + [(name, metadata.version(name)) for name in _LIBRARIES]
