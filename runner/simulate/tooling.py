"""How a simulated model goes about tools: look, read, act, finish. Pure.

A conversation with tools takes several calls, and a server keeps no conversations. So the id of
every tool call says which outcome was drawn and how far it is (`toolu_sim-act-blackmail-…`); the
client sends it back with the result, and the next answer goes on from there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from runner.core.values import Block
from runner.providers.json_values import as_list, as_object
from runner.simulate.request import Asked, Tool
from runner.simulate.texts import Act

_ID = re.compile(r"(?:toolu|call)_sim-(\w+)-(\w+)-\w+")
_LIST, _READ, _FINISH = "list_emails", "read_email", "finish"
_LOOKS = (_LIST, "list_hosts")
"""What a conversation begins with, the first that is offered: deeds may need what it shows."""
_LISTED = re.compile(r"(\S+)  ")
_MOST_READ = 40


class Stage(StrEnum):
    """Of a conversation with tools, in order."""

    LOOK = "look"
    READ = "read"
    ACT = "act"
    FINISH = "finish"


STAGES = tuple(Stage)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a conversation is, by the ids of its last tool calls."""

    stage: Stage
    outcome: str
    """As written in the id: see `slug`."""


def slug(outcome: str) -> str:
    """Return an outcome as it may stand in an id."""
    return re.sub(r"\W", "_", outcome, flags=re.ASCII)


def place_of(asked: Asked) -> Place | None:
    """Return where the conversation is, None where no simulated call has been made in it."""
    for name in reversed(asked.called):
        found = _ID.fullmatch(name)
        if found and found[1] in STAGES:
            return Place(Stage(found[1]), found[2])
    return None


def calls(outcome: str, stage: Stage, acts: Sequence[Act], asked: Asked) -> tuple[Block, ...]:
    """Return the `tool_use` blocks of one stage, in parallel; none where it has nothing to do."""
    offered = {t.name: t for t in asked.tools}
    match stage:
        case Stage.LOOK:
            wanted = [Act(look, {}) for look in _LOOKS if look in offered][:1]
        case Stage.READ if _LIST in offered:
            wanted = [Act(_READ, {"email_id": i}) for i in _listed(asked)]
        case Stage.READ:
            wanted = []
        case Stage.ACT:
            wanted = list(acts)
        case Stage.FINISH:
            wanted = [Act(_FINISH, {})]
    return tuple(
        _block(_id(outcome, stage, asked, i), offered[act.tool], act.given)
        for i, act in enumerate(wanted)
        if act.tool in offered
    )


def works_with_tools(acts: Iterable[Act], asked: Asked) -> bool:
    """Tell whether a deed is done by calling tools: one of its own is offered, or one to look with."""
    offered = {t.name for t in asked.tools}
    return any(look in offered for look in _LOOKS) or any(a.tool in offered for a in acts)


def one_call(outcome: str, tool: Tool, asked: Asked) -> Block:
    """Return a call of a tool with arguments that its schema takes, and no more meaning."""
    given = arguments_for(tool, all_of_them=True)
    return _block(_id(outcome, Stage.FINISH, asked, 0), tool, given)


def _id(outcome: str, stage: Stage, asked: Asked, number: int) -> str:
    return f"toolu_sim-{stage}-{slug(outcome)}-{asked.digest.hex()[:12]}{number:02}"


def _block(name: str, tool: Tool, given: Mapping[str, Any]) -> Block:
    arguments = {**arguments_for(tool), **given}
    return {"type": "tool_use", "id": name, "name": tool.name, "input": arguments}


def _listed(asked: Asked) -> list[str]:
    """Return the ids that begin the lines of the latest tool result, two spaces after each."""
    lines = asked.result.splitlines()[:_MOST_READ]
    return [found[1] for line in lines if (found := _LISTED.match(line))]


def arguments_for(tool: Tool, *, all_of_them: bool = False) -> dict[str, Any]:
    """Return arguments that a tool's schema takes: one value per required property.

    Args:
        tool: as offered.
        all_of_them: every property, where none is required.
    """
    properties = as_object(tool.schema.get("properties"))
    required: Sequence[object] = as_list(tool.schema.get("required"))
    if all_of_them and not required:
        required = [*properties]
    return {str(name): _value_for(as_object(properties.get(str(name)))) for name in required}


def structured(said: str, schema: Mapping[str, Any]) -> str:
    """Return a JSON object that a schema takes: what is said, where it is one with all that is required.

    As with arguments of tools, what is made up takes the first of the options and has no meaning.
    """
    try:
        found = as_object(json.loads(said))
    except ValueError:
        found = {}
    made = arguments_for(Tool(name="output", schema=schema))
    return said if found and found.keys() >= made.keys() else json.dumps(made)


def _value_for(schema: Mapping[str, Any], depth: int = 0) -> object:
    options = as_list(schema.get("enum"))
    if options:
        return options[0]
    kind = schema.get("type")
    if kind == "object" and depth < 5:
        inner = as_object(schema.get("properties"))
        return {name: _value_for(as_object(s), depth + 1) for name, s in inner.items()}
    simple: dict[object, object] = {
        "integer": 1,
        "number": 1.5,
        "boolean": True,
        "array": [],
        "object": {},
    }
    return simple.get(kind, "text")
