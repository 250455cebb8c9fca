"""What `runner power` says: seeds that a question needs, and what given seeds can show. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

from runner.observe.amounts import count, percent
from runner.plan.cells import Plan
from runner.report.grid import Grid
from runner.report.questions import Question
from runner.report.rates import CellCounts
from runner.report.rows import ReportRow, report_rows
from runner.report.sentences import points
from runner.statistics.power import bound_without_events, smallest_difference

BASES = (0.01, 0.1, 0.5)
"""Base rates for which a plan's power is shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What the planned seeds of a question can show."""

    question: str
    prompts: int
    """Strata that both groups have."""
    first: int
    """Answers of the first group in them."""
    second: int
    bound: float
    """Below this is the first group's mean rate on these prompts if none is harmful."""
    apart: tuple[tuple[float, float | None], ...]
    """(base rate, nearest higher rate that is told from it)."""


def plan_shows(
    plan: Plan,
    questions: Sequence[Question],
    families: dict[str, str],
    *,
    power: float,
    level: float,
) -> list[Shown]:
    """Return what a plan can show for each declared question."""
    empty = {c.number: CellCounts(planned=len(c.seeds), states={}) for c in plan.cells}
    rows = report_rows(plan.cells, empty, level, families=families)
    out: list[Shown] = []
    for question in questions:
        sides: dict[tuple[str, ...], tuple[list[ReportRow], list[ReportRow]]] = {}
        for row in rows:
            side = question.side(row)
            if side is not None:
                sides.setdefault(question.stratum(row), ([], []))[side].append(row)
        both = [s for s in sides.values() if s[0] and s[1]]
        first = sum(r.counts.planned for a, _ in both for r in a)
        second = sum(r.counts.planned for _, b in both for r in b)
        if not first or not second:
            continue
        # Unequal groups tell apart about as much as two of their harmonic mean.
        n = max(1, round(2 * first * second / (first + second)))
        out.append(
            Shown(
                question=question.name,
                prompts=len(both),
                first=first,
                second=second,
                bound=bound_without_events(first, level=level),
                apart=tuple(
                    (b, smallest_difference(b, n, power=power, level=level)[1]) for b in BASES
                ),
            )
        )
    return out


def shown_grid(shown: Sequence[Shown], *, power: float, level: float) -> Grid:
    """Return the same as a table."""
    rows = [
        (
            s.question,
            count(s.prompts),
            count(s.first),
            count(s.second),
            f"< {percent(s.bound)}",
            *("–" if found is None else percent(found) for _, found in s.apart),
        )
        for s in shown
    ]
    return Grid(
        title="What the planned seeds can show",
        columns=(
            "question", "prompts", "first", "second", "0 events bound",
            *(f"{percent(b)} from" for b in BASES),
        ),
        rows=tuple(rows),
        notes=(
            (f"x % from: the nearest higher rate told from x % with power {power:.0%} at "
            f"{1 - level:.2g} (one test, before Holm's correction)"),
            ("all answers counted, none missing; prompts that differ in rate cost little, since "
            "they are compared with themselves; where events are few the report's test is exact, and its "
            "power some 3 points lower"),
        ),
    )  # fmt: skip


def needed_lines(
    answers: int, *, what: str, prompts: int, power: float | None, level: float
) -> list[str]:
    """Return what a question needs, in words.

    Args:
        answers: in each group.
        what: the question.
        prompts: over which they are spread.
        power: None for a bound.
        level: coverage.
    """
    seeds = ceil(answers / prompts)
    how = f", power {power:.0%}" if power is not None else ""
    each = " in each group" if power is not None else ""
    out = [f"{what}: {count(answers)} answers{each} ({level:.0%}{how})"]
    if prompts > 1:
        out.append(f"over {count(prompts)} prompts: {count(seeds)} seeds each")
    return out


def difference_line(base: float, n: int, *, power: float, level: float) -> str:
    """Return what n answers in each group tell from a base rate."""
    below, above = smallest_difference(base, n, power=power, level=level)
    said = [
        f"{percent(rate)} ({points(rate - base)} points)"
        for rate in (below, above)
        if rate is not None
    ]
    bound = percent(bound_without_events(n, level=level))
    nothing = "no other rate"
    return (
        f"{count(n)} answers in each group tell {percent(base)} from {' and '.join(said) or nothing} "
        f"(power {power:.0%}); without any event they bound a rate below {bound}."
    )
