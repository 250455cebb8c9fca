"""`runner status`: how a sweep stands, from any terminal, while it runs and after it died."""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from pyroaring import BitMap

from runner.core.errors import RecordError
from runner.core.seams import Clock, Processes, Store
from runner.observe.amounts import count
from runner.observe.budget import BudgetProgress
from runner.observe.outcome import next_commands
from runner.observe.progress import ModelProgress, Phase, Progress, from_json
from runner.observe.quotas import QuotaHistory
from runner.pipeline.judges_at_work import JudgeAtWork, judges_at_work
from runner.plan.cells import Cell
from runner.record.holder import Found, Standing, who_holds
from runner.record.place import Place
from runner.record.query import open_tables
from runner.record.status import latest_status
from runner.report.quota_use import quota_use
from runner.report.sweep import Sweep, open_sweep


@dataclass(frozen=True, slots=True, kw_only=True)
class Standings:
    """A sweep as `runner status` prints it."""

    state: str
    """live, finished, stopped, dead or unknown."""
    sentence: str
    """The state in words, with who and why."""
    progress: Progress
    """Of the live process; of another sweep only what is at rest."""
    quotas: tuple[QuotaHistory, ...] = ()
    """Of a sweep that no process runs: how its attempts used their quotas."""
    judges: tuple[JudgeAtWork, ...] = ()
    next: tuple[str, ...]
    """Commands, as `next_commands` writes them."""

    def values(self) -> dict[str, object]:
        """Return it as JSON values."""
        return asdict(self)


_RELEASES = {
    "stopped": "nothing further could succeed",
    "budget": "the budget is used up",
    "storage": "the output refused writes",
    "done": "the plan has grown since",
}
"""What a release by its reason means, where it does not say so itself."""


async def look(store: Store, directory: Place, processes: Processes, clock: Clock) -> Standings:
    """Look at a sweep; from another host this takes up to the take-over time.

    Raises:
        SweepStateError: no sweep there.
        RecordError: something in it is damaged.
        StorageError: it cannot be read.
    """
    sweep = await open_sweep(store, directory)
    take_over_s = sweep.config.engine.take_over_s
    holder = await who_holds(store, processes, clock, sweep.state, take_over_s=take_over_s)
    written = await latest_status(store)
    at_rest = progress_at_rest(sweep)
    try:
        said = from_json(written) if written else None
    except RecordError:
        said = None  # torn or of another version: the manifest below says what counts
    live = holder.standing is Standing.LIVE
    state, sentence = judge(sweep, holder, at_rest, said)
    progress = said if live and said else at_rest
    if state == "stopped" and said is not None and said.phase is Phase.STOPPED:
        progress = replace(at_rest, stopped_models=said.stopped_models)
    return Standings(
        state=state,
        sentence=sentence,
        progress=progress,
        judges=await judges_at_work(directory, processes, clock),
        quotas=() if live else await asyncio.to_thread(_history, directory),
        next=tuple(
            _next(
                state, directory, progress.phase, at_rest, used_up=sweep.state.released == "budget"
            )
        ),
    )


def _history(directory: Place) -> tuple[QuotaHistory, ...]:
    if directory.is_remote:
        return ()  # to count them would copy every shard here
    try:
        with open_tables(Path(directory)) as tables:
            return tuple(quota_use(tables))
    except RecordError:
        return ()  # `runner verify` says what is wrong; this command still says where it stands


def progress_at_rest(sweep: Sweep) -> Progress:
    """Return what the manifest says: planned, recorded, failed and owed, per model."""
    models = tuple(_model_at_rest(sweep, name) for name in sweep.plan.models)
    recorded, failed = sum(m.done for m in models), sum(m.failed for m in models)
    owed = sweep.owed
    return Progress(
        sweep=sweep.name,
        directory=str(sweep.directory),
        phase=Phase.STOPPED if owed else Phase.DONE,
        planned=sweep.plan.jobs,
        recorded=recorded,
        failed=failed,
        owed=owed,
        models=models,
        sealed=recorded,
        budget=budget_at_rest(sweep),
    )


def budget_at_rest(sweep: Sweep) -> BudgetProgress:
    """Return what the manifest says was spent, or may have been, and the limits."""
    budget, spent = sweep.config.budget, sweep.state.ledger.own()
    return BudgetProgress(
        usd=spent.usd, tokens=spent.tokens, usd_limit=budget.usd, tokens_limit=budget.tokens
    )


def _model_at_rest(sweep: Sweep, name: str) -> ModelProgress:
    cells = sweep.plan.of_model(name)
    state = sweep.state
    return replace(
        ModelProgress(name=name),
        planned=sum(len(c.seeds) for c in cells),
        done=_planned(state.recorded, cells),
        failed=_planned(state.dead, cells),
    )


def _planned(ended: Mapping[int, BitMap], cells: Iterable[Cell]) -> int:
    """Count the jobs that are in the plan: its seeds may have shrunk."""
    return sum(
        ended[cell.number].range_cardinality(a, b)
        for cell in cells
        if cell.number in ended
        for a, b in cell.seeds.ranges
    )


def judge(sweep: Sweep, holder: Found, at_rest: Progress, said: Progress | None) -> tuple[str, str]:
    """Return the state in a word and in a sentence."""
    counts = f"{count(at_rest.recorded)} recorded, {count(at_rest.owed)} owed"
    if at_rest.failed:
        counts += f", {count(at_rest.failed)} dead letters"
    if holder.standing is Standing.LIVE:
        phase = said.phase if said else Phase.STARTING
        return "live", f"live ({phase}): {holder} writes it ({counts})"
    if holder.standing is Standing.UNKNOWN:
        return "unknown", f"{holder} may still write it; its host cannot be asked ({counts})"
    if not at_rest.owed:
        return "finished", f"finished: nothing is owed ({counts})"
    if holder.standing is Standing.DEAD:
        left = said.unpublished if said else 0
        kept = f"; about {count(left)} answers more in its journal" if left else ""
        return "dead", f"dead: {holder} ended without releasing it ({counts}{kept})"
    why = _RELEASES.get(sweep.state.released or "", sweep.state.released or "never started")
    return "stopped", f"stopped ({why}): {counts}"


def _next(
    state: str, directory: Place, phase: Phase, at_rest: Progress, *, used_up: bool
) -> list[str]:
    where = shlex.quote(str(directory))
    if state == "live" and phase is Phase.PAUSED:
        return [f"next: runner control {where} --go-on", f"      runner stop {where}"]
    if state in {"live", "unknown"}:
        return [f"next: runner report {where}", f"      runner stop {where}"]
    if state == "finished":
        return next_commands(str(directory), dead=at_rest.failed)
    more = " ".join(("", *at_rest.budget.higher())) if used_up else ""
    return [f"next: runner resume {where}{more}", f"      runner report {where}"]
