"""How a plan reads on a screen. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from rich.table import Table

from runner.observe.amounts import count, many, short
from runner.pipeline.command import factors, outside_line
from runner.pipeline.planning import Planned
from runner.plan.estimate import CHARACTERS_PER_TOKEN, GUESSED_OUTPUT_TOKENS, ModelEstimate


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
    """Return one row per model, for what is owed."""
    grid = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    grid.add_column("model")
    for name in ("jobs", "owed", "calls", "in tok (guess)", "out tok (guess | ceiling)"):
        grid.add_column(name, justify="right")
    for one in estimates:
        grid.add_row(one.model, *_cells(*_numbers(one)))
    if len(estimates) > 1:
        sums = [sum(v) for v in zip(*(_numbers(one) for one in estimates), strict=True)]
        grid.add_row("total", *_cells(*sums))
    return grid


def next_lines(planned: Planned, typed: Sequence[str]) -> list[str]:
    """Return how the numbers were come by, and what to type next.

    Args:
        planned: the plan.
        typed: configuration and overrides as the user typed them.
    """
    where = shlex.join(typed)
    lines = [
        (
            f"guesses: a token is {CHARACTERS_PER_TOKEN} characters, an answer {GUESSED_OUTPUT_TOKENS} "
            "tokens or max_tokens; retries not counted"
        ),
    ]
    if planned.prepared.counts.owed:
        return [*lines, f"next: runner try {where} -n 2   or   runner sweep {where}"]
    return [
        *lines,
        f"all is done. next: runner report {shlex.quote(str(planned.loaded.config.output))}",
    ]


def _numbers(one: ModelEstimate) -> tuple[int, int, int, int, int, int]:
    ceiling = one.output_tokens_ceiling
    return one.jobs, one.owed, one.calls, one.input_tokens, one.output_tokens, ceiling


def _cells(*numbers: int) -> tuple[str, ...]:
    jobs, owed, calls, inputs, outputs, ceiling = numbers
    tokens = (short(inputs), f"{short(outputs)} | {short(ceiling)}")
    return (count(jobs), count(owed), count(calls), *tokens)
