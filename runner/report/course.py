"""What beside the messages a record says of its course: how it ended, what varied, who else spoke. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, cast

from runner.observe.amounts import count, many
from runner.observe.terminal import clean, one_line
from runner.report.screen import Line, Style, rule

Row = Mapping[str, object]


def course_lines(row: Row) -> Iterator[Line]:
    """Yield how a rollout went, as far as its row says more than its messages.

    Args:
        row: of transcripts/, by column.
    """
    facts: list[str] = []
    ended = row.get("ended_by")
    if ended:
        turns = cast("int", row.get("turns") or 0)
        facts.append(f"ended by {ended} after {many(turns, 'turn')}")
    varied = _mapping(row, "perturbations")
    if varied:
        drawn = ", ".join(f"{name} {_drawn(value)}" for name, value in varied.items())
        facts.append(f"varied with the seed: {drawn}")
    usage = _mapping(row, "role_usage")
    facts += [
        f"{one_line(role, 60)} ({one_line(str(used['model'] or row.get('model')), 60)}): "
        f"{many(used['calls'], 'call')}, {count(used['input_tokens'])} tokens in, "
        f"{count(used['output_tokens'])} out"
        for role, used in usage.items()
    ]
    if facts:
        yield rule("course")
        yield from (Line("  " + one_line(fact, 400)) for fact in facts)
    yield from _looks(row)
    yield from _words_of_others(row)


def _drawn(value: object) -> str:
    if isinstance(value, list):
        return "-".join(str(v) for v in cast("list[object]", value))
    return str(value) or "none"


def _looks(row: Row) -> Iterator[Line]:
    looks = _list(row, "safeguards")
    if looks:
        yield rule("safeguards")
    for look in looks:
        said = (
            f"  turn {look['turn'] + 1} {look['side']}: {look['safeguard']} says {look['verdict']}"
        )
        if look["topic"]:
            said += f" ({look['topic']})"
        blocks = look["verdict"] == "block"
        yield Line("  " + one_line(said, 400), Style.WARNING if blocks else Style.FAINT)


def _words_of_others(row: Row) -> Iterator[Line]:
    """Yield what models in other roles wrote; those of safeguards stand among the looks."""
    for call in _list(row, "role_calls"):
        if str(call["role"]).startswith("safeguard_"):
            continue
        yield rule(f"{call['role']} (played by {call['model']}) in turn {call['turn'] + 1}")
        text = "".join(str(block.get("text", "")) for block in call["content"])
        yield from (Line(line, Style.MODEL) for line in clean(text).strip("\n").split("\n"))


def _mapping(row: Row, column: str) -> dict[str, Any]:
    return cast("dict[str, Any]", json.loads(str(row[column]))) if row.get(column) else {}


def _list(row: Row, column: str) -> list[dict[str, Any]]:
    return cast("list[dict[str, Any]]", json.loads(str(row[column]))) if row.get(column) else []
