"""YAML text to a tree of nodes that know their file and line, and values back to YAML text.

The subset is deliberate: a word is text unless it is `true`, `false`, `null`, `~`, nothing, or a
number as YAML 1.2 and JSON write it. So `on`, `yes`, `1:30` and `2024-01-02` stay text, and
reading and writing agree on every value (YAML 1.1 would turn each of them into something else).
Keys are text and unique. Anchors and `<<` merges work; an anchor inside itself is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import cast

import yaml

from runner.config.source import Where

Scalar = str | int | float | bool | None
Plain = Scalar | list["Plain"] | dict[str, "Plain"]

_RESOLVERS = (
    ("bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), "tTfF"),
    ("null", re.compile(r"^(?:~|null|Null|NULL|)$"), ["~", "n", "N", ""]),
    ("int", re.compile(r"^[-+]?(?:0|[1-9][0-9]*)$"), "-+0123456789"),
    (
        "float",
        re.compile(
            r"^(?:[-+]?(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?"
            r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$"
        ),
        "-+.0123456789",
    ),
    ("merge", re.compile(r"^<<$"), "<"),
)


@dataclass(frozen=True, slots=True)
class Node:
    """A value and where it was written."""

    value: Scalar | list[Node] | dict[str, Node]
    where: Where

    def plain(self) -> Plain:
        """Return the value without positions."""
        if isinstance(self.value, dict):
            return {k: v.plain() for k, v in self.value.items()}
        if isinstance(self.value, list):
            return [v.plain() for v in self.value]
        return self.value

    @property
    def entries(self) -> dict[str, Node]:
        """The entries of a mapping; of anything else, none."""
        return self.value if isinstance(self.value, dict) else {}

    @property
    def items(self) -> list[Node]:
        """The items of a list; of anything else, none."""
        return self.value if isinstance(self.value, list) else []


def name_of(item: Node) -> str | None:
    """Return the name of a list item, None where it has none."""
    name = item.entries.get("name")
    return name.value if name is not None and isinstance(name.value, str) else None


class YamlError(Exception):
    """Text that is not in the subset; carries the place and what is wrong."""

    def __init__(self, where: Where, text: str) -> None:
        super().__init__(where, text)
        self.where = where
        self.text = text


class _Loader(yaml.CSafeLoader):  # libyaml's parser: the same nodes and marks, six times as fast
    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012  # replaces PyYAML's class attribute


class _Dumper(yaml.SafeDumper):
    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012  # as above

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002  # PyYAML's signature
        """Write shared values out each time."""
        return True


_NOT_PLAIN = re.compile(
    r"[^\n\x20-\x7e\xa1-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]|[\u2028\u2029]"
)
_NOT_BLOCK = re.compile(r"[ \t]\n|^\s|[^\S\n]\Z")


def _represent_text(dumper: yaml.SafeDumper, data: str) -> yaml.ScalarNode:
    style = None
    if _NOT_PLAIN.search(data):
        style = '"'  # control characters and odd line ends survive only as escapes
    elif "\n" in data and not _NOT_BLOCK.search(data):
        style = "|"  # prompts are read by people
    return dumper.represent_scalar("tag:yaml.org,2002:str", data, style=style)


for _tag, _pattern, _first in _RESOLVERS:
    for _class in (_Loader, _Dumper):
        _class.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", _pattern, list(_first))
_Dumper.add_representer(str, _represent_text)


def parse(text: str, file: str) -> Node:
    """Read one YAML document.

    Raises:
        YamlError: not YAML, more than one document, duplicate or non-text keys, an unknown tag.
    """
    try:
        root = cast("yaml.Node | None", yaml.compose(text, Loader=_Loader))  # pyright: ignore[reportUnknownMemberType]  # stub without types
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = Where(file, mark.line + 1 if mark else 0)
        raise YamlError(where, f"not YAML: {error.problem or error.context}.") from error
    except yaml.YAMLError as error:  # characters that YAML does not allow carry no mark
        raise YamlError(Where(file), f"not YAML: {str(error).splitlines()[0]}.") from error
    if root is None:
        return Node(None, Where(file, 1))
    return _Builder(file).node(root, Where(file, root.start_mark.line + 1))


def write(value: Plain) -> str:
    """Write values so that `parse` reads exactly them."""
    return yaml.dump(
        value,
        Dumper=_Dumper,
        sort_keys=False,
        allow_unicode=True,
        width=100,
        default_flow_style=False,
    )


class _Builder:
    def __init__(self, file: str) -> None:
        self._file = file
        self._open: set[int] = set()

    def node(self, node: yaml.Node, where: Where) -> Node:
        if isinstance(node, yaml.ScalarNode):
            if node.style == "|":
                where = replace(where, text_line=node.start_mark.line + 2)
            return Node(self._scalar(node), where)
        if id(node) in self._open:
            raise YamlError(where, "an anchor that contains itself.")
        self._open.add(id(node))
        try:
            if isinstance(node, yaml.SequenceNode):
                return Node([self.node(v, self._at(v)) for v in node.value], where)
            return Node(self._mapping(node), where)
        finally:
            self._open.discard(id(node))

    def _at(self, node: yaml.Node) -> Where:
        return Where(self._file, node.start_mark.line + 1)

    def _scalar(self, node: yaml.ScalarNode) -> Scalar:
        text = str(node.value)
        match node.tag.removeprefix("tag:yaml.org,2002:"):
            case "str" | "merge":
                return text
            case "bool":
                return text.lower() == "true"
            case "null":
                return None
            case "int" if len(text) < 400:
                return int(text)
            case "float":
                return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))
            case tag:
                raise YamlError(
                    self._at(node), f"tag {tag} is not supported. Write the plain value."
                )

    def _mapping(self, node: yaml.Node) -> dict[str, Node]:
        own: dict[str, Node] = {}
        merged: dict[str, Node] = {}
        for key_node, value_node in node.value:
            where = self._at(key_node)
            if key_node.tag == "tag:yaml.org,2002:merge":
                for entry in self._merge_sources(value_node):
                    merged = {**entry, **merged}
                continue
            if key_node.tag != "tag:yaml.org,2002:str":
                shown = getattr(key_node, "value", "")
                if not isinstance(shown, str):
                    raise YamlError(where, "not YAML: a text that begins with { or [ needs quotes.")
                raise YamlError(where, f"the key {shown!r} is no text. Put it in quotes.")
            key = str(key_node.value)
            if key in own:
                text = f"the key {key} is written twice (first in line {own[key].where.line}). Remove one."
                raise YamlError(where, text)
            own[key] = self.node(value_node, where)
        return {**merged, **own}

    def _merge_sources(self, node: yaml.Node) -> Iterator[dict[str, Node]]:
        sources = node.value if isinstance(node, yaml.SequenceNode) else [node]
        for source in sources:
            built = self.node(source, self._at(source))
            if not isinstance(built.value, dict):
                raise YamlError(built.where, "`<<` merges mappings only.")
            yield built.value
