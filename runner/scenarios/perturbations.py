"""Seeded perturbations: what of a condition varies with the seed, by definition and on purpose.

    perturbations:
      names: {variants: {farrow: {engineer: Desmond Farrow}, holm: {engineer: Astrid Holm}}}
      mail_order: {order: mails}
      times: {shift_minutes: [-25, 0, 40]}
      missing: {drop: [aside, footer]}

Four kinds. `variants` draws one of several sets of variables (names, roles, wording, output
format); `order` permutes the items of a group; `shift_minutes` moves every time of day together;
`drop` leaves out one named line, or none. Each draws by its own name from the seed and nothing
else (`core.identity.draw`), so that the same seed means the same for every model and a new
perturbation moves no other. What was drawn stands in every row.

In texts: `{{ item('mails') }}` begins an item of a group and `{{ end_items('mails') }}` ends the last
one; `{{ line('aside') }}` names the rest of its line; `{{ clock('15:52') }}` is a time of day. In an
environment's setup: the list of the group's name is permuted (its dates stay where they are, so
mail remains in order of time), entries with `line: aside` are named lines, and `now`, `date` and `at`
are times.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from runner.core.facts import Scalar
from runner.core.identity import draw, draw_unit
from runner.scenarios.findings import Findings

KINDS = ("variants", "order", "shift_minutes", "drop")
_TIME = "%Y-%m-%d %H:%M"
_TIMES = frozenset({"now", "date", "at"})


@dataclass(frozen=True, slots=True)
class Perturbations:
    """What a scenario varies; all empty by default."""

    labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    """Variants by perturbation."""
    variables: Mapping[str, tuple[str, tuple[Scalar, ...]]] = field(
        default_factory=dict[str, tuple[str, tuple[Scalar, ...]]]
    )
    """Variable to the perturbation that sets it, and its value in each variant."""
    orders: Mapping[str, str] = field(default_factory=dict[str, str])
    """Group to the perturbation that permutes it."""
    shifts: tuple[str, tuple[int, ...]] | None = None
    """The perturbation that moves times, and by how many minutes."""
    drops: Mapping[str, tuple[str, tuple[str, ...]]] = field(
        default_factory=dict[str, tuple[str, tuple[str, ...]]]
    )
    """Line to the perturbation that may drop it, and all lines of that one."""

    def __bool__(self) -> bool:
        """Return whether anything is varied."""
        return bool(self.labels or self.orders or self.shifts or self.drops)

    def drawn(self, seed: int, sizes: Mapping[str, int]) -> dict[str, object]:
        """Return what each perturbation drew for a seed.

        Args:
            seed: of the job.
            sizes: items of each group of a condition.
        """
        found: dict[str, object] = {
            name: draw(name, seed, labels) for name, labels in self.labels.items()
        }
        for group, name in self.orders.items():
            found[name] = permutation(name, seed, sizes.get(group, 0))
        if self.shifts is not None:
            found[self.shifts[0]] = draw(self.shifts[0], seed, self.shifts[1])
        for name, lines in self.drops.values():
            found[name] = dropped(name, seed, lines)
        return found

    def applied(self, setup: Any, seed: int) -> Any:
        """Return an environment's setup, filled for a seed, with order, times and lines varied."""
        minutes = 0 if self.shifts is None else draw(self.shifts[0], seed, self.shifts[1])
        return self._varied(setup, seed, minutes) if self else setup

    def _varied(self, value: Any, seed: int, minutes: int) -> Any:
        if isinstance(value, Mapping):
            out: dict[str, Any] = {}
            for key, item in cast("Mapping[str, Any]", value).items():
                if minutes and key in _TIMES and isinstance(item, str):
                    out[key] = _moved(item, minutes)
                    continue
                ordered = item
                if key in self.orders and isinstance(item, list):
                    items = cast("list[Any]", item)
                    ordered = _permuted(items, permutation(self.orders[key], seed, len(items)))
                out[key] = self._varied(ordered, seed, minutes)
            return out
        if isinstance(value, list):
            items = [i for i in cast("list[Any]", value) if not self._is_dropped(i, seed)]
            return [self._varied(item, seed, minutes) for item in items]
        return value

    def _is_dropped(self, item: Any, seed: int) -> bool:
        line = cast("Mapping[str, Any]", item).get("line") if isinstance(item, Mapping) else None
        if not isinstance(line, str) or line not in self.drops:
            return False
        name, lines = self.drops[line]
        return dropped(name, seed, lines) == line


def permutation(name: str, seed: int, size: int) -> list[int]:
    """Return the order that a named choice gives to so many items."""
    return sorted(range(size), key=lambda i: draw_unit(f"{name} {i}", seed))


def dropped(name: str, seed: int, lines: Sequence[str]) -> str:
    """Return the line that a named choice drops for a seed, "" for none."""
    return draw(name, seed, ["", *lines])


def _moved(text: str, minutes: int) -> str:
    try:
        return (
            datetime.strptime(text, _TIME).replace(tzinfo=UTC) + timedelta(minutes=minutes)
        ).strftime(_TIME)
    except (ValueError, OverflowError):
        return text  # said where the environment reads it


def _permuted(items: list[Any], order: Sequence[int]) -> list[Any]:
    """Permute, leaving dates in their places."""
    out: list[Any] = []
    for place, source in enumerate(order):
        item, here = items[source], items[place]
        if isinstance(item, Mapping) and "date" in item and "date" in here:
            item = {**cast("Mapping[str, Any]", item), "date": here["date"]}
        out.append(item)
    return out


def read_perturbations(given: Mapping[str, Any], key: str, findings: Findings) -> Perturbations:
    """Read the definitions; faults are noted under `key` and what is faulty left out."""
    labels: dict[str, tuple[str, ...]] = {}
    variables: dict[str, tuple[str, tuple[Scalar, ...]]] = {}
    orders: dict[str, str] = {}
    shifts: tuple[str, tuple[int, ...]] | None = None
    drops: dict[str, tuple[str, tuple[str, ...]]] = {}
    for name, value in given.items():
        where = f"{key}.{name}"
        kind, what = _kind(value)
        if kind == "variants" and isinstance(what, Mapping) and what:
            found = _variants(cast("Mapping[str, Any]", what), where, findings)
            labels[name] = tuple(str(label) for label in cast("Mapping[str, Any]", what))
            variables |= {variable: (name, values) for variable, values in found.items()}
        elif kind == "order" and isinstance(what, str):
            orders[what] = name
        elif (
            kind == "shift_minutes"
            and isinstance(what, list)
            and _all(cast("list[object]", what), int)
            and shifts is None
        ):
            shifts = (name, tuple(cast("list[int]", what)))
        elif kind == "drop" and isinstance(what, list) and _all(cast("list[object]", what), str):
            lines = tuple(cast("list[str]", what))
            drops |= dict.fromkeys(lines, (name, lines))
        else:
            fix = (
                "Write one of variants: {label: {variable: value}}, order: group, shift_minutes: "
                "[minutes] (once a scenario), drop: [lines]"
            )
            findings.error(where, "is no perturbation", fix)
    return Perturbations(labels, variables, orders, shifts, drops)


def _kind(value: object) -> tuple[str, object]:
    if isinstance(value, Mapping):
        entries = cast("Mapping[str, object]", value)
        if len(entries) == 1:
            return next(iter(entries.items()))
    return "", None


def _all(items: list[object], kind: type) -> bool:
    return bool(items) and all(isinstance(i, kind) and not isinstance(i, bool) for i in items)


def _variants(
    given: Mapping[str, Any], where: str, findings: Findings
) -> dict[str, tuple[Scalar, ...]]:
    first = next(iter(given.values()))
    names = list(cast("Mapping[str, Any]", first)) if isinstance(first, Mapping) else []
    for label, sets in given.items():
        if not isinstance(sets, Mapping) or sorted(cast("Mapping[str, Any]", sets)) != sorted(
            names
        ):
            what = f"{label} sets other variables than the first variant"
            findings.error(f"{where}.variants.{label}", what, "Let every variant set the same ones")
            return {}
        values = cast("Mapping[str, object]", sets)
        for name, value in values.items():
            if not isinstance(value, str | int | float):
                what = f"{name} is no text, number or boolean"
                findings.error(f"{where}.variants.{label}.{name}", what)
                return {}
    return {name: tuple(sets[name] for sets in given.values()) for name in names}
