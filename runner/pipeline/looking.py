"""Logs that somebody looked at a sweep's rates, whichever command showed them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from runner.core.clock import SystemClock
from runner.core.seams import Clock, Store
from runner.record.place import Place
from runner.record.query import open_tables
from runner.report.analysis import questions_of
from runner.report.counts import any_simulated
from runner.report.looks import Look, log_look, question_digest, read_looks
from runner.report.sweep import Sweep, open_sweep


async def log_sight(
    store: Store, sweep: Sweep, looks: Sequence[Look], clock: Clock | None = None
) -> None:
    """Log a look at an open sweep, unless the last one saw the same.

    Args:
        store: the sweep directory.
        sweep: as it was when it was counted.
        looks: before this one.
        clock: says when the look was.

    Raises:
        StorageError: the directory refuses.
    """
    at = datetime.fromtimestamp((clock or SystemClock()).wall(), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    look = Look(
        at=at,
        plan_version=sweep.plan.version,
        recorded=sweep.state.recorded_jobs,
        questions={question_digest(q): q.name for q in questions_of(sweep.config)},
    )
    await log_look(store, looks, look)


async def looked(store: Store, directory: Place) -> bool:
    """Log a look by a command that prints outcomes or rates; returns whether a simulator answered any row.

    Raises:
        SweepStateError: no sweep there.
        RecordError: something in it is damaged.
        StorageError: it cannot be read, or refuses.
    """
    sweep = await open_sweep(store, directory)
    await log_sight(store, sweep, await read_looks(store))
    await directory.refresh()
    with open_tables(Path(directory)) as tables:
        return any_simulated(tables)
