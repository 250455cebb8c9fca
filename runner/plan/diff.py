"""Compares a recorded plan with a new one: what is new, unchanged, changed and vanished.

A cell is its digest. A recorded digest that the new plan lacks has *changed* where the new plan
has another cell under the same name, else it has *vanished*.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from runner.plan.cells import Cell, Plan

Parts = Callable[[int], Mapping[str, str]]
"""Cell number to what went into its digest: identity key to a short printable value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangedKey:
    """One identity key in which a cell differs; None: the key is not there."""

    key: str
    before: str | None
    after: str | None

    def __str__(self) -> str:
        """Write `key (before → after)`, without values where they are only digests."""
        if all(value is None or value.startswith("#") for value in (self.before, self.after)):
            return self.key
        return f"{self.key} ({self.before or 'absent'} → {self.after or 'absent'})"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangedCell:
    """A recorded cell whose name now stands for other requests."""

    recorded: Cell
    now: Cell
    keys: tuple[ChangedKey, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """What a new plan is against a recorded one."""

    new: tuple[Cell, ...]
    """Cells of the new plan under names that are not recorded."""
    unchanged: tuple[Cell, ...]
    """Cells of the new plan whose digest is recorded; their seeds may have grown."""
    renamed: tuple[tuple[Cell, Cell], ...]
    """(recorded, now): the same requests under another name; also among `unchanged`."""
    changed: tuple[ChangedCell, ...]
    vanished: tuple[Cell, ...]

    @property
    def compatible(self) -> bool:
        """Return whether every recorded cell is in the new plan."""
        return not self.changed and not self.vanished


def assign_numbers(
    digests: Iterable[str], recorded: Mapping[str, int], next_number: int = 0
) -> dict[str, int]:
    """Return the stable number of every cell: recorded ones keep theirs, new ones follow.

    Args:
        digests: of the new plan, in its order.
        recorded: digest to number of the recorded cells.
        next_number: a bound above every number ever used, superseded cells included.
    """
    free = max(next_number, 1 + max(recorded.values(), default=-1))
    numbers: dict[str, int] = {}
    for digest in digests:
        known = recorded.get(digest)
        numbers[digest] = free if known is None else known
        free += known is None
    return numbers


def compare(recorded: Plan, recorded_parts: Parts, plan: Plan, parts: Parts) -> Difference:
    """Compare a new plan with the recorded one.

    Args:
        recorded: the plan as stored in the sweep.
        recorded_parts: its identity keys, as stored.
        plan: the new plan; cells with a recorded digest carry the recorded number.
        parts: the new plan's identity keys.
    """
    before = {cell.digest: cell for cell in recorded.cells}
    digests = {cell.digest for cell in plan.cells}
    gone = {_name(c): c for c in recorded.cells if c.digest not in digests}
    unchanged = tuple(c for c in plan.cells if c.digest in before)
    changed: list[ChangedCell] = []
    new: list[Cell] = []
    for cell in plan.cells:
        if cell.digest in before:
            continue
        old = gone.pop(_name(cell), None)
        if old is None:
            new.append(cell)
        else:
            keys = _changed_keys(recorded_parts(old.number), parts(cell.number))
            changed.append(ChangedCell(recorded=old, now=cell, keys=keys))
    pairs = tuple((before[c.digest], c) for c in unchanged)
    return Difference(
        new=tuple(new),
        unchanged=unchanged,
        renamed=tuple((old, now) for old, now in pairs if _name(old) != _name(now)),
        changed=tuple(changed),
        vanished=tuple(gone.values()),
    )


def _name(cell: Cell) -> tuple[str, str, str]:
    return cell.scenario, cell.condition, cell.model


def _changed_keys(before: Mapping[str, str], after: Mapping[str, str]) -> tuple[ChangedKey, ...]:
    return tuple(
        ChangedKey(key=key, before=before.get(key), after=after.get(key))
        for key in sorted({*before, *after})
        if before.get(key) != after.get(key)
    )


def explain(difference: Difference, limit: int = 8) -> list[str]:
    """Return lines that name the recorded cells that changed or vanished, and the keys.

    Cells that differ in the same way share a line, so that a changed `max_tokens` of 900 cells
    is one line.

    Args:
        difference: of `compare`.
        limit: lines at most; a last one counts what is left out.
    """
    groups: dict[str, list[str]] = {}
    for change in difference.changed:
        keys = ", ".join(str(k) for k in change.keys) or "identity_version"
        groups.setdefault(f"changed: {keys}", []).append(change.recorded.name)
    for cell in difference.vanished:
        groups.setdefault("not in the configuration any more", []).append(cell.name)
    lines = [
        f"{names[0]}{f' and {len(names) - 1} more' if len(names) > 1 else ''}: {what}"
        for what, names in groups.items()
    ]
    left_out = len(lines) - limit
    return lines if left_out <= 0 else [*lines[:limit], f"and {left_out} more kinds of change"]
