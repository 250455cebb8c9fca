"""`key=value` from the command line onto the tree: `models.m1.max_tokens=800`.

Items of `models` and `scenarios` go by name, items of other lists by position (`turns[0]` is
written `turns.0`). Values are YAML; one that is no YAML is taken as the text it is. Keys that the
schema does not know are let through here and refused, with the nearest name, where all keys are.
"""

from __future__ import annotations

from runner.config.source import COMMAND_LINE, Problems, Where, nearest
from runner.config.yaml_tree import Node, YamlError, parse

_WHERE = Where(COMMAND_LINE)


def apply_override(tree: Node, text: str, problems: Problems) -> Node:
    """Return the tree with one override applied; what is wrong with it goes into the problems."""
    key, equals, value = text.partition("=")
    key = key.strip()
    if not equals or not key or key.startswith(".") or key.endswith(".") or ".." in key:
        problems.add(
            _WHERE, repr(text), "not of the form key=value, as in models.m1.max_tokens=800."
        )
        return tree
    if key.split(".")[0] == "extends" or key.endswith(".path"):
        problems.add(_WHERE, key, "cannot be overridden. Write it into a configuration file.")
        return tree
    return _set(tree, key, _value(value), at="", problems=problems)


def _value(text: str) -> Node:
    try:
        return _at_command_line(parse(text, COMMAND_LINE))
    except YamlError:
        return Node(text, _WHERE)


def _at_command_line(node: Node) -> Node:
    if isinstance(node.value, dict):
        return Node({k: _at_command_line(v) for k, v in node.value.items()}, _WHERE)
    if isinstance(node.value, list):
        return Node([_at_command_line(v) for v in node.value], _WHERE)
    return Node(node.value, _WHERE)


def _set(node: Node, rest: str, value: Node, *, at: str, problems: Problems) -> Node:
    if isinstance(node.value, list):
        return _set_item(node, rest, value, at=at, problems=problems)
    entries = dict(node.entries)
    key, further = _split(rest, entries)
    if not further:
        entries[key] = value
    else:
        inner = entries.get(key, Node({}, _WHERE))
        entries[key] = _set(inner, further, value, at=f"{at}{key}.", problems=problems)
    return Node(entries, node.where)


def _set_item(node: Node, rest: str, value: Node, *, at: str, problems: Problems) -> Node:
    items = node.items
    names = {_name(item, i): i for i, item in enumerate(items)}
    name, further = _split(rest, names)
    if name not in names:
        problems.add(_WHERE, f"{at}{rest}", f"there is no {at}{name}. {nearest(name, names)}")
        return node
    changed = list(items)
    i = names[name]
    inner = f"{at}{name}."
    changed[i] = _set(items[i], further, value, at=inner, problems=problems) if further else value
    return Node(changed, node.where)


def _name(item: Node, position: int) -> str:
    name = item.entries.get("name")
    return str(name.value) if name is not None else str(position)


def _split(rest: str, known: dict[str, Node] | dict[str, int]) -> tuple[str, str]:
    """Split off the first key; a known name that contains dots (`gpt-4.1`) counts as one key."""
    fitting = [k for k in known if rest == k or rest.startswith(f"{k}.")]
    key = max(fitting, key=len) if fitting else rest.partition(".")[0]
    return key, rest[len(key) + 1 :]
