"""How a plan reads on a screen. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import replace
from math import ceil

from rich.table import Table

from runner.observe.amounts import count, many, money, short
from runner.pipeline.command import factors, outside_line
from runner.pipeline.estimating import ASK_ABOVE_USD
from runner.pipeline.planning import Planned
from runner.plan.estimate import (
    CHARACTERS_PER_TOKEN,
    EPISODE_CALLS,
    GUESSED_OUTPUT_TOKENS,
    JUDGE,
    JUDGE_TOKENS,
    RESULT_TOKENS,
    ROLES,
    TESTED,
    ModelEstimate,
    of_sweep,
    total_cost_usd,
)


def heading(planned: Planned) -> list[str]:
    """Return the lines above the table: what is planned, recorded, new and owed."""
    plan, counts = planned.prepared.book.plan, planned.prepared.counts
    jobs, cells = many(plan.jobs, "job"), many(len(plan.cells), "cell")
    parts = [f"recorded {count(counts.recorded)}", f"owed {count(counts.owed)}"]
    if counts.dead:
        parts.insert(1, f"dead letters {count(counts.dead)}")
    if planned.prepared.exists and counts.new:
        parts.append(f"of these new {count(counts.new)}")
    return [
        f"{planned.loaded.config.name}   {factors(plan)} = {jobs} in {cells}",
        f"{planned.loaded.config.output}: {' · '.join(parts)}",
        *([outside_line(counts.outside)] if counts.outside else []),
    ]


def table(estimates: Sequence[ModelEstimate]) -> Table:
    """Return one row per model and what it is called for, of what is owed; judges stand apart."""
    grid = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    grid.add_column("model")
    cached = any(e.cached_tokens for e in estimates)
    grouped = any(e.group not in ("", e.model) for e in estimates)
    guessed = "" if all(e.from_jobs for e in estimates) else " (guess)"
    if grouped:
        grid.add_column("quota group")
    names = ["jobs", "calls", f"in tok{guessed}"]
    names += ["of it cached"] if cached else []
    first = "guess" if guessed else "as recorded"
    names += [f"out tok ({first} | ceiling)", f"cost USD ({first} | ceiling)"]
    for name in names:
        grid.add_column(name, justify="right", no_wrap=True, min_width=len(name))
    sweep = of_sweep(estimates)
    for one in sweep:
        grid.add_row(_label(one), *_cells(one, cached=cached, grouped=grouped))
    if len(sweep) > 1:
        grid.add_row("total", *_cells(_total(sweep), cached=cached, grouped=grouped))
    for one in estimates:
        if one.purpose == JUDGE:
            grid.add_row(_label(one), *_cells(one, cached=cached, grouped=grouped))
    return grid


def next_lines(planned: Planned, typed: Sequence[str]) -> list[str]:
    """Return how the numbers were come by, and what to type next.

    Args:
        planned: the plan.
        typed: configuration and overrides as the user typed them.
    """
    where = shlex.join(typed)
    lines = _sources(planned.estimates)
    guess, unknown = total_cost_usd(of_sweep(planned.estimates))
    if not planned.prepared.counts.owed:
        directory = shlex.quote(str(planned.loaded.config.output))
        return [*lines, f"all is done. next: runner report {directory}"]
    if unknown:
        lines.append(
            f"no price is known for {', '.join(unknown)}: give one under `prices:` to see "
            "what it costs"
        )
    budget = planned.loaded.config.budget.usd
    capped = f" budget.usd={ceil(guess)}" if guess > ASK_ABOVE_USD and budget is None else ""
    if budget is not None and guess > budget:
        lines.append(f"more than the budget of {money(budget)} USD: it will stop there")
    return [*lines, f"next: runner try {where} -n 2   or   runner sweep {where}{capped}"]


def _sources(estimates: Sequence[ModelEstimate]) -> list[str]:
    seen = [e for e in estimates if e.from_jobs]
    guessed = [e for e in estimates if not e.from_jobs]
    lines: list[str] = []
    if guessed:
        whose = "" if not seen else " of " + ", ".join(_label(e) for e in guessed)
        parts = [f"a token is {CHARACTERS_PER_TOKEN} characters"]
        if any(e.purpose != JUDGE for e in guessed):
            parts.append(f"an answer {GUESSED_OUTPUT_TOKENS} tokens or max_tokens")
        if any(e.episodes for e in guessed):
            parts.append(
                f"an episode {EPISODE_CALLS} calls, its scripted turns or end.turns, each with what came before it and "
                f"{RESULT_TOKENS} tokens of results"
            )
        if any(e.purpose == ROLES for e in guessed):
            parts.append(
                "a role answers once in a job, a safeguard's model once for each call and side"
            )
        if any(e.purpose == JUDGE for e in guessed):
            parts.append(f"a judge {JUDGE_TOKENS} tokens")
        lines.append(f"guesses{whose}: {', '.join(parts)}; retries not counted")
    if seen:
        told = ", ".join(f"{_label(e)} {many(e.from_jobs, 'job')}" for e in seen)
        lines.append(f"calls and lengths from recorded rows: {told}; retries not counted")
    if any(e.purpose == JUDGE for e in estimates):
        lines.append(
            "judges are called by runner grade, for each job here that is owed: not in the total"
        )
    sources = dict.fromkeys(e.price_source for e in estimates if e.price_source)
    return [*lines, f"prices: {'; '.join(sources)}"] if sources else lines


def _total(estimates: Sequence[ModelEstimate]) -> ModelEstimate:
    costs = [e.cost_usd for e in estimates if e.cost_usd is not None]
    ceilings = [e.cost_usd_ceiling for e in estimates if e.cost_usd_ceiling is not None]
    return replace(
        estimates[0],
        model="total",
        group="",
        owed=sum(e.owed for e in estimates),
        calls=sum(e.calls for e in estimates),
        input_tokens=sum(e.input_tokens for e in estimates),
        cached_tokens=sum(e.cached_tokens for e in estimates),
        output_tokens=sum(e.output_tokens for e in estimates),
        output_tokens_ceiling=sum(e.output_tokens_ceiling for e in estimates),
        cost_usd=sum(costs) if costs else None,
        cost_usd_ceiling=sum(ceilings) if ceilings else None,
    )


def _label(one: ModelEstimate) -> str:
    return one.model if one.purpose == TESTED else f"{one.model} ({one.purpose})"


def _cells(one: ModelEstimate, *, cached: bool, grouped: bool) -> tuple[str, ...]:
    cost = "unknown"
    if one.cost_usd is not None and one.cost_usd_ceiling is not None:
        cost = f"{money(one.cost_usd)} | {money(one.cost_usd_ceiling)}"
    return (
        *((one.group,) if grouped else ()),
        count(one.owed) if one.purpose == TESTED else "",
        *(count(one.calls), short(one.input_tokens)),
        *((short(one.cached_tokens),) if cached else ()),
        *(f"{short(one.output_tokens)} | {short(one.output_tokens_ceiling)}", cost),
    )
