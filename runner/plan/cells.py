"""The plan: a table of cells with seed ranges. Jobs are found by arithmetic, never listed.

Owns the shape of a cell and the dispatch order of cells. What goes into a cell's digest is
`runner.scenarios`; which jobs are still owed is `owed.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from runner.core.facts import Scalar
from runner.core.seeds import SeedSet


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """Condition × model, with the seeds planned for it."""

    number: int
    """Stable over plan versions: append-only, never used again."""
    digest: str
    """64 hex digits."""
    scenario: str
    condition: str
    """Readable name, e.g. `tone=blunt,topic=budget`."""
    axes: Mapping[str, Scalar]
    """Bound axes; one object shared by all models of the condition."""
    model: str
    """Model name in the configuration."""
    seeds: SeedSet
    prompt_digest: str
    """Digest of the rendered messages and tools alone: groups prompts between models."""

    @property
    def name(self) -> str:
        """Return the name by which messages call the cell."""
        return cell_name(self.scenario, self.condition, self.model)


def cell_name(scenario: str, condition: str, model: str) -> str:
    """Return `scenario[condition] × model`."""
    return f"{scenario}[{condition}] × {model}" if condition else f"{scenario} × {model}"


class Plan:
    """A version of the plan: its cells in dispatch order.

    Memory grows with cells only. Dispatch order is by model, and inside a model such that cells
    that share a prompt prefix are adjacent.
    """

    __slots__ = ("_by_model", "_by_number", "cells", "jobs", "next_number", "seed_block", "version")

    def __init__(
        self, cells: Sequence[Cell], *, seed_block: int, version: int = 1, next_number: int = 0
    ) -> None:
        """Take cells in dispatch order.

        Args:
            cells: of each model adjacent; numbers distinct.
            seed_block: seeds of a cell that run before the next block of any cell starts.
            version: 1-based; raised by each plan that differs from the one before.
            next_number: at least this is the number that the next new cell gets, for numbers
                that cells of earlier versions used.

        Raises:
            ValueError: a number occurs twice, or the block is not positive.
        """
        if seed_block < 1:
            msg = f"seed_block must be at least 1, got {seed_block}"
            raise ValueError(msg)
        self.cells = tuple(cells)
        self.seed_block = seed_block
        self.version = version
        self.jobs = sum(len(c.seeds) for c in self.cells)
        self._by_number = {c.number: c for c in self.cells}
        if len(self._by_number) != len(self.cells):
            msg = "a cell number occurs twice in the plan"
            raise ValueError(msg)
        by_model: dict[str, list[Cell]] = {}
        for cell in self.cells:
            by_model.setdefault(cell.model, []).append(cell)
        self._by_model = {model: tuple(of_model) for model, of_model in by_model.items()}
        self.next_number = max(next_number, 1 + max(self._by_number, default=-1))

    @property
    def models(self) -> tuple[str, ...]:
        """Return the names of the models, in dispatch order."""
        return tuple(self._by_model)

    def cell(self, number: int) -> Cell:
        """Return a cell by its number; KeyError where the plan has none."""
        return self._by_number[number]

    def of_model(self, model: str) -> tuple[Cell, ...]:
        """Return a model's cells in dispatch order; empty for an unknown model."""
        return self._by_model.get(model, ())

    def __contains__(self, number: object) -> bool:
        return number in self._by_number
