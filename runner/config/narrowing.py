"""What a sweep's entry keeps of a scenario's file: levels of axes, and perturbations. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from runner.config.schema import PROMPT_AXIS
from runner.config.source import Problems, nearest
from runner.config.yaml_tree import Node


def narrow_axes(
    axes: Node, wanted: Node, key: str, problems: Problems, *, has_prompts: bool
) -> Node:
    """Return a file's axes with the levels that a sweep names; faults are noted."""
    kept = dict(axes.entries)
    for axis, levels in wanted.entries.items():
        at = f"{key}.axes.{axis}"
        if axis not in kept and axis == PROMPT_AXIS and has_prompts:
            kept[axis] = levels
            continue
        if axis not in kept:
            text = f"no axis of the scenario's file. {nearest(axis, kept)}"
            problems.add(levels.where, at, text)
            continue
        names = [str(n.value) for n in levels.items] or [*levels.entries]
        whole = kept[axis]
        there = [*whole.entries] or [str(n.value) for n in whole.items]
        for name in names:
            if name not in there:
                text = f"{name} is no level of this axis. {nearest(name, there)}"
                problems.add(levels.where, at, text)
        if not names:
            problems.add(levels.where, at, "keeps no level. List those to keep.")
        if whole.entries:
            value = {k: v for k, v in whole.entries.items() if k in names}
            kept[axis] = Node(value, levels.where)
        else:
            kept[axis] = Node([n for n in whole.items if str(n.value) in names], levels.where)
    return Node(kept, wanted.where)


def keep_perturbations(
    entries: Mapping[str, Node], kept: Node, key: str, problems: Problems
) -> dict[str, Node]:
    """Keep the perturbations named; variables of others stay at their first variant."""
    given = entries.get("perturbations", Node({}, kept.where))
    names = [str(n.value) for n in kept.items]
    at = f"{key}.perturbations"
    if not isinstance(kept.value, list):
        text = "needs a list of names to keep; [] for none."
        problems.add(kept.where, at, text)
    for name in names:
        if name not in given.entries:
            text = f"{name} is no perturbation of the scenario. {nearest(name, given.entries)}"
            problems.add(kept.where, at, text)
    variables = dict(entries.get("variables", Node({}, kept.where)).entries)
    for name, one in given.entries.items():
        variants = one.entries.get("variants")
        if name not in names and variants is not None:
            variables |= next(iter(variants.entries.values()), variants).entries
    return {
        "perturbations": Node({n: v for n, v in given.entries.items() if n in names}, kept.where),
        "variables": Node(variables, kept.where),
    }


def narrow_filters(entries: Mapping[str, Node], whole: Node, kept: Node) -> dict[str, Node]:
    """Return `exclude`, `include` and `controls` without levels that the narrowed axes no longer have."""
    gone = {a: _labels(n) - _labels(kept.entries[a]) for a, n in whole.entries.items()}
    filters: dict[str, Node] = {}
    for kind in ("exclude", "include", "controls"):
        node = entries.get(kind)
        if node is not None and node.items:
            pruned = [left for n in node.items if (left := _without_levels(n, gone)) is not None]
            # No entry of `include` left must not come to mean that everything is included.
            filters[kind] = Node(pruned, node.where) if pruned or kind != "include" else node
    return filters


def _labels(levels: Node) -> set[str]:
    return {*levels.entries} or {str(n.value) for n in levels.items}


def _without_levels(entry: Node, gone: Mapping[str, set[str]]) -> Node | None:
    """Return an entry without these levels; None where it can match nothing any more."""
    left: dict[str, Node] = {}
    for axis, value in entry.entries.items():
        wanted = value.items or [value]
        still = [n for n in wanted if str(n.value) not in gone.get(axis, ())]
        if not still:
            return None
        left[axis] = Node(still, value.where) if value.items else value
    return Node(left, entry.where)
