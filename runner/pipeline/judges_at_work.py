"""How far the judges of a sweep are, for `runner status`: each is a sweep of its own below it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from runner.core.errors import RecordError, SweepStateError
from runner.core.seams import Clock, Processes
from runner.observe.amounts import count
from runner.observe.progress import from_json
from runner.observe.terminal import one_line
from runner.pipeline.shared_budget import JUDGING
from runner.record.holder import Standing, who_holds
from runner.record.place import Place, open_store
from runner.record.status import latest_status
from runner.report.sweep import open_sweep


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeAtWork:
    """The calls of one judge."""

    name: str
    """Its folder: grader@digest."""
    ended: int
    """Calls answered or dead letters, those included that a running one has not published yet."""
    failed: int
    """Dead letters."""
    owed: int
    """Calls that its present plan has left; rows published since are in none yet."""
    live: bool
    """A process runs it."""


async def judges_at_work(
    directory: Place, processes: Processes, clock: Clock
) -> tuple[JudgeAtWork, ...]:
    """Return the judges of a sweep that have begun, by name; one that cannot be read is left out.

    Raises:
        StorageError: the directory cannot be read.
    """
    folder = Place(f"{directory.absolute()}/{JUDGING}")
    try:
        names = await folder.names()
    except OSError:
        return ()
    out: list[JudgeAtWork] = []
    for name in names:
        place = Place(f"{folder.absolute()}/{name}")
        store = open_store(place)
        try:
            sweep = await open_sweep(store, place)
            written = await latest_status(store)
            said = from_json(written) if written else None
        except (SweepStateError, RecordError):
            continue  # it has no plan yet, or `runner verify` says what is wrong
        holder = await who_holds(
            store,
            processes,
            clock,
            sweep.state,
            take_over_s=sweep.config.engine.take_over_s,
            watch=False,
        )
        live = holder.standing in {Standing.LIVE, Standing.UNKNOWN}
        failed = sum(map(len, sweep.state.dead.values()))
        ended = failed + sum(map(len, sweep.state.recorded.values()))
        owed = sweep.owed
        if live and said is not None:
            unpublished = min(said.unpublished, owed)  # the manifest may be the newer of the two
            ended, owed = ended + unpublished, owed - unpublished
        out.append(JudgeAtWork(name=name, ended=ended, failed=failed, owed=owed, live=live))
    return tuple(out)


def judge_lines(judges: Sequence[JudgeAtWork]) -> list[str]:
    """Return a line for each judge."""
    return [
        f"judge {one_line(j.name, 60)}   {count(j.ended)} calls ended"
        f"{f' ({count(j.failed)} dead letters)' if j.failed else ''}, {count(j.owed)} owed"
        f" · {'at work' if j.live else 'stopped' if j.owed else 'nothing left'}"
        for j in judges
    ]
