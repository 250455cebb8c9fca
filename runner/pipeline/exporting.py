"""`runner export`: a sweep in the forms of other tools."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from runner.core.errors import StorageError
from runner.core.seams import Store
from runner.export.inspect_logs import GraderFiles, write_logs
from runner.export.tables import write_csv, write_lines
from runner.grade.run import Graded
from runner.grade.verdict import Role
from runner.pipeline.verdicts import Asked, grade_course, graded_apart, open_course
from runner.record.place import Place
from runner.record.query import open_tables

FORMS = ("inspect", "csv", "jsonl")


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """What was written."""

    files: tuple[Path, ...]
    rows: int


async def export_sweep(
    store: Store,
    directory: Place,
    form: str,
    folder: Path,
    *,
    on_shard: Callable[[str, int, int], None] = lambda _name, _done, _total: None,
) -> Exported:
    """Grade what is new and write all recorded rows in another form.

    Args:
        store: the sweep directory.
        directory: the same, as it was named.
        form: one of `FORMS`.
        folder: where to write.
        on_shard: told of grading.

    Raises:
        SweepStateError: no sweep there.
        ConfigError: inspect-ai is not installed, or a grader cannot be used.
        RecordError: something in the sweep is damaged.
        StorageError: the folder cannot be written.
    """
    course = await open_course(store, directory, Asked())
    graded = await grade_course(store, course, on_shard)
    graded += await graded_apart(store, directory, course)
    await directory.refresh()
    _make(folder)
    rows = course.sweep.state.recorded_jobs
    with open_tables(Path(directory)) as tables:
        files = {g.card.grader: [str(directory / key) for key in g.verdicts] for g in graded}
        if form == "csv":
            path = folder / f"{course.sweep.name}.csv"
            rows = write_csv(tables, files, path)
            return Exported(files=(path,), rows=rows)
        if form == "jsonl":
            path = folder / f"{course.sweep.name}.jsonl"
            rows = write_lines(tables, files, path)
            return Exported(files=(path,), rows=rows)

        logs = write_logs(
            tables,
            [_grader(g, files[g.card.grader]) for g in graded],
            folder,
            sweep=course.sweep.name,
            configuration={
                "owed": course.sweep.owed,
                "dead_letters": course.sweep.state.dead_jobs,
                "plan_version": course.sweep.plan.version,
            },
        )
    return Exported(files=tuple(logs), rows=rows)


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        msg = f"{folder}: {error.strerror or error}. Name another folder with --out."
        raise StorageError(msg) from error


def _grader(graded: Graded, files: list[str]) -> GraderFiles:

    card = graded.card
    return GraderFiles(
        name=card.grader, digest=card.digest, labels=card.role == Role.LABEL, files=files
    )
