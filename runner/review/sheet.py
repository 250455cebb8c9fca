"""A record as a labeller sees it: its turns with actions marked; no model, condition or verdict. Pure.

All text is a hostile input: control and bidirectional codes are taken out here, and the page puts the
rest into text nodes only. Long texts keep their beginning and end.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import cast

from runner.observe.amounts import count
from runner.report.screen import Line, Style
from runner.report.transcript import MARKS, Cut, conversation_lines

HEAD, TAIL = 30_000, 10_000
"""Characters of one text that are shown, from its beginning and from its end."""
_WHO = {"system": "system", "user": "user", "tool": "tool result"}


def sheet(messages: str, cut: Cut) -> tuple[list[dict[str, object]], bool]:
    """Return the blocks of a page, and whether a text was too long to be shown whole.

    Args:
        messages: a conversation in Inspect's ChatMessage form (JSON).
        cut: takes an answer apart.

    Returns:
        Blocks `{"who", "own", "parts": [{"style", "text"}]}`; `own` is what the model wrote.
    """
    whole = cast("list[Mapping[str, object]]", json.loads(messages))
    shown = cast("list[Mapping[str, object]]", shortened(whole))
    out: list[dict[str, object]] = []
    turn = 0
    for message in shown:
        role = str(message.get("role"))
        own = role == "assistant" and message.get("source") != "input"
        turn += own
        # Its first line is a heading of its own.
        lines = conversation_lines(json.dumps([message]), cut, full=True)[1:]
        parts = [
            {"style": str(style), "text": _text(style, members)}
            for style, members in groupby(lines, key=lambda line: line.style)
        ]
        who = f"model, turn {turn}" if own else _WHO.get(role, "assistant, as given")
        out.append({"who": who, "own": own, "parts": parts})
    return out, shown != whole


def _text(style: Style, lines: Iterable[Line]) -> str:
    """Return lines without the marks that a terminal needs and a page has colours for."""
    mark = next((mark for mark, marked in MARKS.values() if marked is style), "")
    return "\n".join(line.text.removeprefix(mark) for line in lines)


def shortened(value: object) -> object:
    """Return JSON whose texts keep 30,000 characters of their beginning and 10,000 of their end."""
    if isinstance(value, str) and len(value) > HEAD + TAIL:
        left = count(len(value) - HEAD - TAIL)
        return f"{value[:HEAD]}\n… {left} characters are left out here …\n{value[-TAIL:]}"
    if isinstance(value, list):
        return [shortened(v) for v in cast("Sequence[object]", value)]
    if isinstance(value, dict):
        return {k: shortened(v) for k, v in cast("dict[str, object]", value).items()}
    return value
