"""Plans of made-up cells, for tests of the plan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from runner.core.seeds import SeedSet
from runner.plan.cells import Cell, Plan


def cell(
    number: int,
    seeds: SeedSet | int = 4,
    *,
    model: str = "m",
    condition: str | None = None,
    digest: str | None = None,
    axes: Mapping[str, str] | None = None,
) -> Cell:
    """Return a cell whose digest follows from its number unless given."""
    name = condition if condition is not None else f"n={number}"
    return Cell(
        number=number,
        digest=digest or f"{number:064x}",
        scenario="s",
        condition=name,
        axes=axes if axes is not None else {"n": str(number)},
        model=model,
        seeds=SeedSet.of([(0, seeds)]) if isinstance(seeds, int) else seeds,
        prompt_digest=f"{number:064x}",
    )


def plan(cells: Sequence[Cell], block: int = 2) -> Plan:
    """Return a plan of these cells."""
    return Plan(cells, seed_block=block)
