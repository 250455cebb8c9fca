"""A plan as a table: plain columns that `record` writes as Parquet, and back.

One row per cell, in dispatch order. Columns: `version`, `seed_block`, `next_number` (the same in
every row), `number`, `digest`, `scenario`, `condition`, `axes` (JSON object), `model`, `seeds`
(inclusive ranges), `prompt_digest`, `condition_parts` and `role_parts` (JSON objects: identity
key to a short printable value; a value that starts with `#` is the digest of a long one).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import orjson

from runner.core.errors import RecordError
from runner.core.facts import Scalar
from runner.core.seeds import SeedSet
from runner.plan.cells import Cell, Plan

COLUMNS: Mapping[str, type] = {
    "version": int,
    "seed_block": int,
    "next_number": int,
    "number": int,
    "digest": str,
    "scenario": str,
    "condition": str,
    "axes": str,
    "model": str,
    "seeds": str,
    "prompt_digest": str,
    "condition_parts": str,
    "role_parts": str,
}
"""Name and type of every column."""

Columns = dict[str, list[int] | list[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredPlan:
    """A plan read back from its table."""

    plan: Plan
    parts_json: Mapping[int, tuple[str, str]]
    """Cell number to (condition_parts, role_parts) as stored."""

    @property
    def numbers(self) -> dict[str, int]:
        """Return digest to cell number, for `build_book`."""
        return {cell.digest: cell.number for cell in self.plan.cells}

    def parts(self, number: int) -> Mapping[str, str]:
        """Return the identity keys of a cell, for `compare`."""
        of_condition, of_roles = self.parts_json[number]
        return {**_object(of_condition), **_object(of_roles)}


def plan_rows(plan: Plan, parts_json: Callable[[int], tuple[str, str]]) -> Columns:
    """Return the plan as columns.

    Args:
        plan: the plan.
        parts_json: cell number to (condition_parts, role_parts), each a JSON object.
    """
    cells = plan.cells
    parts = [parts_json(cell.number) for cell in cells]
    axes: dict[int, str] = {}  # by object: models share the mapping of a condition
    seeds: dict[SeedSet, str] = {}
    for cell in cells:
        axes.setdefault(id(cell.axes), orjson.dumps(dict(cell.axes)).decode())
        seeds.setdefault(cell.seeds, str(cell.seeds))
    return {
        "version": [plan.version] * len(cells),
        "seed_block": [plan.seed_block] * len(cells),
        "next_number": [plan.next_number] * len(cells),
        "number": [c.number for c in cells],
        "digest": [c.digest for c in cells],
        "scenario": [c.scenario for c in cells],
        "condition": [c.condition for c in cells],
        "axes": [axes[id(c.axes)] for c in cells],
        "model": [c.model for c in cells],
        "seeds": [seeds[c.seeds] for c in cells],
        "prompt_digest": [c.prompt_digest for c in cells],
        "condition_parts": [of_condition for of_condition, _ in parts],
        "role_parts": [of_roles for _, of_roles in parts],
    }


def from_rows(columns: Mapping[str, Sequence[object]]) -> StoredPlan:
    """Read a plan back from its columns.

    Raises:
        RecordError: a column is missing, has values of another type, or the table is empty.
    """
    _check(columns)
    seeds: dict[str, SeedSet] = {}
    axes: dict[str, Mapping[str, Scalar]] = {}
    cells: list[Cell] = []
    parts: dict[int, tuple[str, str]] = {}
    try:
        for row in zip(*(columns[name] for name in list(COLUMNS)[3:]), strict=True):
            number, digest, scenario, condition, axes_text, model, seed_text, prompt, *rest = row
            if seed_text not in seeds:
                seeds[cast("str", seed_text)] = SeedSet.parse(cast("str", seed_text))
            if axes_text not in axes:
                axes[cast("str", axes_text)] = orjson.loads(cast("str", axes_text))
            cell = Cell(
                number=cast("int", number),
                digest=cast("str", digest),
                scenario=cast("str", scenario),
                condition=cast("str", condition),
                axes=axes[cast("str", axes_text)],
                model=cast("str", model),
                seeds=seeds[cast("str", seed_text)],
                prompt_digest=cast("str", prompt),
            )
            cells.append(cell)
            parts[cell.number] = cast("tuple[str, str]", tuple(rest))
        version, block, following = (cast("int", columns[k][0]) for k in list(COLUMNS)[:3])
        plan = Plan(cells, seed_block=block, version=version, next_number=following)
    except ValueError as error:
        msg = f"the plan table cannot be read: {error}"
        raise RecordError(msg) from None
    return StoredPlan(plan=plan, parts_json=parts)


def _check(columns: Mapping[str, Sequence[object]]) -> None:
    missing = [name for name in COLUMNS if name not in columns]
    if missing:
        msg = f"the plan table lacks the columns {', '.join(missing)}"
        raise RecordError(msg)
    if not len(columns["number"]):
        msg = "the plan table holds no cell"
        raise RecordError(msg)
    for name, kind in COLUMNS.items():
        if not all(isinstance(value, kind) for value in columns[name]):
            msg = f"the plan table's column {name} holds a value that is no {kind.__name__}"
            raise RecordError(msg)


def _object(text: str) -> dict[str, str]:
    return cast("dict[str, str]", orjson.loads(text))
