"""`runner sweep` and `runner resume` from beginning to end: prepare, say, run, say how it ended."""

from __future__ import annotations

import asyncio
import os
import shlex
import sys
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from runner.config.money_schema import BudgetConfig
from runner.config.schema import SweepConfig, called
from runner.config.source import Source
from runner.core.clock import SystemClock
from runner.core.errors import (
    EXIT_BUDGET,
    EXIT_INCOMPLETE,
    EXIT_INTERRUPTED,
    EXIT_OK,
    EXIT_STORAGE,
    AbortSweepError,
    ConfigError,
    RecordError,
    StorageError,
)
from runner.core.values import EndState, FailureKind
from runner.dispatch.backend import Backend
from runner.dispatch.quota_plan import quota_plan
from runner.dispatch.sizing import target_workers
from runner.dispatch.spec import SweepSpec, new_name
from runner.observe.amounts import count, many, money
from runner.observe.console import Console, print_lines
from runner.observe.outcome import Outcome, final_lines
from runner.observe.progress import Progress, saved, spent
from runner.pipeline.estimating import estimates_of, refuse_unasked, refuse_unpriced
from runner.pipeline.patience import when_there
from runner.pipeline.prepare import Choices, Counts, Prepared, prepare
from runner.pipeline.steering import lines as changes
from runner.pipeline.sweep import SessionEnd, run_session, sigterm_as_ctrl_c
from runner.plan.cells import Plan
from runner.plan.estimate import TESTED, ModelEstimate, of_sweep, total_cost_usd
from runner.providers.classify import FAILURES
from runner.providers.open import problems_of
from runner.record.control import Control
from runner.record.manifest import load_state
from runner.record.place import Place, open_store

_KEYS_BUSINESS = (
    FailureKind.AUTHENTICATION,
    FailureKind.PERMISSION,
    FailureKind.BILLING,
    FailureKind.SPEND_LIMIT,
)
_SETTLED = frozenset({EXIT_INCOMPLETE, EXIT_BUDGET})
"""How a sweep ends that would end so again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """Where a sweep runs."""

    workers: int | None = None
    """Ray workers; None with no address: in this process."""
    address: str | None = None
    """Of a Ray cluster, `auto` or HOST:PORT."""
    each: Mapping[str, float] = field(default_factory=dict[str, float])
    """What a worker asks of that cluster beside the default of one CPU."""
    as_job: bool = False
    """A job system runs the command again where it fails: only what that would help is a failure."""


def run_sweep(
    config: SweepConfig,
    directory: Place,
    choices: Choices,
    placement: Placement,
    *,
    source: Source | None = None,
    closing: Callable[[Outcome], list[str]] = final_lines,
) -> int:
    """Run a sweep, or continue it; returns the exit code.

    Args:
        config: resolved.
        directory: of the sweep, as the user would type it.
        choices: what the user allows beyond the configuration.
        placement: where it runs.
        source: where the configuration's keys were written, for messages.
        closing: makes the last lines that are printed.

    Raises:
        RunnerError: what keeps it from starting, or from ending in order.
    """
    problems = [p for model in called(config) for p in problems_of(model, os.environ)]
    if problems and source is not None:
        keyed = (problem.partition(": ") for problem in problems)
        raise ConfigError(*(source.line(key, what) for key, _, what in keyed))
    if problems:
        raise ConfigError(*problems)
    try:
        with sigterm_as_ctrl_c():
            prepared = asyncio.run(
                when_there(lambda: prepare(config, directory, choices, source=source))
            )
            return _run(prepared, choices, placement, closing)
    except KeyboardInterrupt:
        again = "nothing that was recorded or answered is lost. Run the same command again"
        print_lines([f"interrupted: {again}"], sys.stderr)
        return EXIT_INTERRUPTED


def _run(
    prepared: Prepared,
    choices: Choices,
    placement: Placement,
    closing: Callable[[Outcome], list[str]],
) -> int:
    if choices.keep_going:
        prepared.book.config.tripwire.jobs = 0  # of this session: sweep.yaml is made up already
    clock = SystemClock()
    began = clock.monotonic()
    estimates = asyncio.run(estimates_of(prepared)) if prepared.counts.owed else ()
    refuse_unpriced(prepared.book)
    if not choices.yes:
        refuse_unasked(prepared, estimates)
    fed = _fed(prepared, placement, estimates)
    costs = cost_lines(estimates, prepared.book.config.budget)
    print_lines([*opening_lines(prepared), *costs, *_fewer(placement, fed)])
    placement = fed
    end: SessionEnd | None = None
    if prepared.counts.owed or not prepared.released:
        asyncio.run(when_there(prepared.directory.prove_fence))
        end = asyncio.run(_session(prepared, placement, clock))
        if end.ended.reason == "stopped" and not (end.progress and end.progress.recorded):
            raise AbortSweepError(_stopped(end, prepared.book.config))
    elif prepared.preamble.entries or prepared.rewritten:  # nothing runs: no Ray is needed for that
        end = asyncio.run(_session(prepared, Placement(), clock))
    elapsed_s = clock.monotonic() - began if end else None
    outcome = _read_outcome(prepared, end, elapsed_s)
    _refuse_lost_rows(outcome, end)
    print_lines(closing(outcome))
    if end is not None:
        code, asked = end.exit_code, end.ended.on_request
    else:
        code, asked = EXIT_INCOMPLETE if prepared.counts.dead else EXIT_OK, False
    return EXIT_OK if placement.as_job and (asked or code in _SETTLED) else code


def _read_outcome(prepared: Prepared, end: SessionEnd | None, elapsed_s: float | None) -> Outcome:
    """Read what the sweep holds now; a store that is away is waited for, but by nobody who left.

    Raises:
        StorageError: it cannot be read.
    """

    def read() -> Coroutine[object, object, Outcome]:
        return _outcome(prepared, end, elapsed_s)

    leaves = end is not None and end.exit_code in {EXIT_INTERRUPTED, EXIT_STORAGE}
    try:
        return asyncio.run(read() if leaves else when_there(read))
    except StorageError as error:
        where = shlex.quote(str(prepared.directory))
        how = f" ({_reason(end)})" if end is not None and _reason(end) else ""
        msg = (
            f"{error}\nThe session has ended{how}. What was answered is kept, here or there. "
            f"Continue with: runner resume {where}"
        )
        raise type(error)(msg) from None


def _refuse_lost_rows(outcome: Outcome, end: SessionEnd | None) -> None:
    """Say so where the manifest has every job and its shards do not: resuming would not help.

    Raises:
        RecordError: rows that the manifest records are not there.
    """
    if outcome.owed and (end is None or end.exit_code == EXIT_OK):
        where = shlex.quote(outcome.directory)
        msg = (
            f"{outcome.directory}: every job is recorded, but the rows of {many(outcome.owed, 'job')} "
            f"are not there: shards were moved, deleted or damaged. Which ones: runner verify {where}"
        )
        raise RecordError(msg)


def _fed(prepared: Prepared, placement: Placement, estimates: Sequence[ModelEstimate]) -> Placement:
    """Return the placement with no more workers than the quotas can feed."""
    if placement.workers is None or not estimates:
        return placement
    workers = target_workers(
        placement.workers,
        {e.model: e.owed for e in estimates if e.purpose == TESTED},
        quota_plan(prepared.book.config),
        prepared.book.endpoints,
    )
    return replace(placement, workers=workers)


def _fewer(asked: Placement, fed: Placement) -> list[str]:
    if asked.workers == fed.workers:
        return []
    why = "quotas, places in flight and owed jobs feed no more"
    return [f"starting {fed.workers} of {asked.workers} workers: {why}"]


def factors(plan: Plan) -> str:
    """Return `4 conditions × 2 models × 100 seeds`."""
    return " × ".join(
        (
            many(len(plan.of_model(plan.models[0])), "condition"),
            many(len(plan.models), "model"),
            many(len(plan.cells[0].seeds), "seed"),  # the same set in every cell
        )
    )


def opening_lines(prepared: Prepared) -> list[str]:
    """Return what is said before anything is spent: what is recorded, new and owed, and why."""
    counts, plan = prepared.counts, prepared.book.plan
    config = prepared.book.config
    recorded, owed = count(counts.recorded), count(counts.owed)
    lines = [
        f"{config.name}   {factors(plan)} = {many(plan.jobs, 'job')}   → {prepared.directory}",
        f"recorded {recorded} · owed {owed}{_why(counts, prepared.exists)}",
    ]
    if prepared.control != Control():
        where = shlex.quote(str(prepared.directory))
        lines.append(f"changed by runner control (all back: runner control {where} --reset):")
        lines += [f"  {line}" for line in changes(prepared.control)]
    if counts.dead:
        lines.append(
            f"dead letters stay as they are: {count(counts.dead)} (--retry-failed owes them again)"
        )
    if counts.outside:
        lines.append(outside_line(counts.outside))
    if not counts.owed and prepared.released:
        lines.append("all jobs are done: nothing to run")
        if prepared.preamble.entries and prepared.exists:
            lines.append("writing down the changed plan")
        elif prepared.rewritten and prepared.exists:
            lines.append("writing down the changed configuration")
    elif not counts.owed:
        lines.append("the last session did not end in order: recovering what it left")
    return lines


def outside_line(outside: int) -> str:
    """Return what is said of jobs with seeds that the configuration does not have any more."""
    return (
        f"not in these seeds: {many(outside, 'job')} of an earlier plan; what is recorded of them "
        "stays, and tables leave it out"
    )


def cost_lines(estimates: Sequence[ModelEstimate], budget: BudgetConfig) -> list[str]:
    """Return what it will cost, as far as prices are known, and what the budget is."""
    if not estimates:
        return []
    estimates = of_sweep(estimates)
    guess, unknown = total_cost_usd(estimates)
    parts: list[str] = []
    if any(e.cost_usd is not None for e in estimates):
        limit = ""
        if budget.usd is not None:
            limit = f" (budget for all sessions: {money(budget.usd)} USD)"
        parts.append(f"about {money(guess)} USD{limit}")
    if unknown:
        parts.append(f"cost unknown for {', '.join(unknown)} (prices: gives them one)")
    if budget.tokens is not None:
        parts.append(f"budget for all sessions: {count(budget.tokens)} tokens")
    return [" · ".join(parts)] if parts else []


def _why(counts: Counts, exists: bool) -> str:
    if not counts.owed:
        return ""
    left = counts.owed - counts.new - counts.again
    parts = [
        f"{count(counts.new)} new in the plan" if counts.new and exists else "",
        f"{count(left)} not run yet" if left > 0 else "",
        f"{many(counts.again, 'dead letter')} owed again" if counts.again else "",
    ]
    said = ", ".join(p for p in parts if p)
    return f" ({said})" if said else " (a new sweep)"


async def _session(prepared: Prepared, placement: Placement, clock: SystemClock) -> SessionEnd:
    spec = SweepSpec(
        book=prepared.book,
        directory=prepared.directory.absolute(),
        fleet=new_name("f"),
        preamble=prepared.preamble,
    )
    with Console(clock.monotonic) as console:
        backend = _backend(spec, placement, console.say)
        grace_s = prepared.book.config.engine.grace_s
        return await run_session(backend, console, grace_s=grace_s, door=spec.directory)


def _backend(spec: SweepSpec, placement: Placement, report: Callable[[str], None]) -> Backend:
    if placement.workers is None and placement.address is None:
        from runner.dispatch.inprocess import InProcessBackend

        return InProcessBackend(spec, report)
    from runner.dispatch.ray_backend import RayBackend  # ray: a second to import

    return RayBackend(
        spec,
        report,
        workers=placement.workers or 2,
        address=placement.address,
        each=placement.each,
    )


def _stopped(end: SessionEnd, config: SweepConfig) -> str:
    models = dict(end.progress.stopped_models) if end.progress else dict[str, str]()
    keys = {m.name: m.api_key_env for m in called(config)}
    lines = [
        f"models.{name}: {why}"
        + (f" [key in {keys[name]}]" if keys.get(name) and _of_key(why) else "")
        for name, why in models.items()
    ] or [end.ended.detail]
    again = "Fix this and run the same command again"
    if end.progress is not None and end.progress.failed:
        dead = many(end.progress.failed, "job")
        again += f", with --retry-failed: {dead} failed of it (failures/) and would stay so"
    lines.append(f"No job was answered. {again}.")
    return "\n".join(lines)


def _of_key(reason: str) -> bool:
    """Return whether a model stopped for what another key, or its owner's account, would mend."""
    return any(reason.startswith(FAILURES[kind].cause) for kind in _KEYS_BUSINESS)


async def _outcome(prepared: Prepared, end: SessionEnd | None, elapsed_s: float | None) -> Outcome:
    # Imported at the end: pyarrow.dataset and DuckDB would delay the first request by a second.
    from runner.record.query import open_tables
    from runner.report.counts import count_cells

    plan = prepared.book.plan
    state = await load_state(open_store(prepared.directory))
    seeds = {cell.number: cell.seeds for cell in plan.cells}
    states: dict[EndState, int] = {}
    await prepared.directory.refresh()
    with open_tables(Path(prepared.directory)) as tables:
        for counts in count_cells(tables, seeds, state.dead, [], frozenset()).values():
            for name, number in counts.states.items():
                states[name] = states.get(name, 0) + number
    last = end.progress if end else None
    return Outcome(
        directory=str(prepared.directory),
        planned=plan.jobs,
        states=states,
        elapsed_s=elapsed_s,
        attempts=sum(m.requests for m in last.called) if last else 0,
        failed_attempts=sum(sum(m.retries.values()) for m in last.called) if last else 0,
        repeated=last.lost_calls if last else 0,
        stopped=_reason(end),
        resume_with=_higher(end),
        stopped_models=last.stopped_models if last else {},
        money=_money(last),
    )


def _money(last: Progress | None) -> tuple[str, ...]:
    if last is None:
        return ()
    cached = saved(last.called)
    return (*spent(last), cached) if cached else tuple(spent(last))


def _higher(end: SessionEnd | None) -> str:
    """Return how to raise a budget that is used up."""
    if end is None or end.ended.reason != "budget" or end.progress is None:
        return ""
    return " ".join(end.progress.budget.higher())


def _reason(end: SessionEnd | None) -> str | None:
    if end is None or end.ended.reason == "done":
        return None
    return end.ended.detail or end.ended.reason
