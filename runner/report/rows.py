"""Rows of a report: one per cell, from plan and counts, and their sums. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce

from runner.core.facts import Scalar
from runner.core.seeds import SeedSet
from runner.core.values import EndState
from runner.plan.blocks import Seeds, complete_blocks, first_blocks
from runner.plan.cells import Cell, Plan
from runner.report.rates import CellCounts, HeadlineRate, add, headline
from runner.report.spread import NOWHERE, Spread, spread_beside


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportRow:
    """One condition of one model, or all of a model's conditions of a scenario together."""

    scenario: str
    condition: str | None
    """None: all conditions together."""
    model: str
    cell: int | None
    digest: str | None
    counts: CellCounts
    headline: HeadlineRate | None
    """None without a grader. Of several conditions together only events and n mean something:
    its interval would take answers to different prompts for draws from one rate."""
    label: str = ""
    """The axes that vary in its scenario, `threat=none,leverage=affair`; empty where none does."""
    family: str = ""
    axes: Mapping[str, Scalar] | None = None
    prompt: str = ""
    """Digest of the rendered prompt, equal between models."""
    independent: bool = True
    """False where too many answers are equal byte for byte: then n says little, and no interval."""
    spread: Spread = NOWHERE
    """Of the same condition and model over the stories of the family."""


def counted_seeds(plan: Plan, ended: Mapping[int, Seeds]) -> dict[int, SeedSet]:
    """Return the seeds of each cell that a table may count: of complete blocks only."""
    blocks = complete_blocks(plan, ended)
    cache: dict[tuple[SeedSet, int], SeedSet] = {}
    out: dict[int, SeedSet] = {}
    for cell in plan.cells:
        key = (cell.seeds, blocks[cell.model].complete)
        if key not in cache:
            cache[key] = first_blocks(cell.seeds, key[1], plan.seed_block)
        out[cell.number] = cache[key]
    return out


def report_rows(
    cells: Sequence[Cell],
    counts: Mapping[int, CellCounts],
    level: float,
    *,
    families: Mapping[str, str] | None = None,
    dependent: frozenset[int] = frozenset(),
) -> tuple[ReportRow, ...]:
    """Return one row per cell, in the order of the plan.

    Args:
        cells: of the plan.
        counts: by cell number.
        level: coverage of intervals.
        families: scenario to its family, itself where absent.
        dependent: cells whose answers repeat each other.
    """
    varying = varying_axes(cells)
    rows = [
        ReportRow(
            scenario=cell.scenario,
            label=",".join(f"{a}={v}" for a, v in cell.axes.items() if a in varying[cell.scenario]),
            condition=cell.condition,
            model=cell.model,
            cell=cell.number,
            digest=cell.digest,
            counts=counts[cell.number],
            headline=headline(counts[cell.number], level),
            family=(families or {}).get(cell.scenario, cell.scenario),
            axes=cell.axes,
            prompt=cell.prompt_digest,
            independent=cell.number not in dependent,
        )
        for cell in cells
    ]
    return with_spread(rows)


def with_spread(rows: Sequence[ReportRow]) -> tuple[ReportRow, ...]:
    """Return the rows with the spread between stories: over those of a family, model and condition.

    Rows of several conditions together are compared with each other.
    """
    keys = [
        (r.family, r.model, None if r.axes is None else frozenset(r.axes.items())) for r in rows
    ]
    rates = [row.headline.rate.value if row.headline else None for row in rows]
    spreads = spread_beside(keys, rates)
    return tuple(replace(row, spread=each) for row, each in zip(rows, spreads, strict=True))


def varying_axes(cells: Iterable[Cell]) -> dict[str, frozenset[str]]:
    """Return, per scenario, the axes of which its cells have more than one level."""
    levels: dict[str, dict[str, set[object]]] = {}
    for cell in cells:
        found = levels.setdefault(cell.scenario, {})
        for axis, level in cell.axes.items():
            found.setdefault(axis, set()).add(level)
    return {s: frozenset(a for a, v in axes.items() if len(v) > 1) for s, axes in levels.items()}


def totals(rows: Sequence[ReportRow], level: float) -> tuple[ReportRow, ...]:
    """Return the sums per scenario and model, in order of first appearance."""
    groups: dict[tuple[str, str], list[ReportRow]] = {}
    for row in rows:
        groups.setdefault((row.scenario, row.model), []).append(row)
    out: list[ReportRow] = []
    for (scenario, model), members in groups.items():
        summed = reduce(add, (m.counts for m in members))
        out.append(
            ReportRow(
                scenario=scenario,
                condition=None,
                model=model,
                cell=None,
                digest=None,
                counts=summed,
                headline=headline(summed, level),
                family=members[0].family,
            )
        )
    return with_spread(out)


def whole_of(rows: Sequence[CellCounts]) -> CellCounts:
    """Return the sum of all cells."""
    return reduce(add, rows, CellCounts(planned=0, states=dict[EndState, int]()))
