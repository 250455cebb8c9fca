"""What the model said in a recorded conversation, as graders see it. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import cast

from runner.core.errors import RecordError
from runner.grade.verdict import Submission, ToolCall, Turn

Message = Mapping[str, object]


def messages_of(messages: str, where: str) -> list[Message]:
    """Return a `messages` column's value as a list.

    Raises:
        RecordError: no such JSON.
    """
    try:
        found: object = json.loads(messages)
    except ValueError as error:
        raise RecordError(_unreadable(where, error)) from error
    if isinstance(found, list) and all(isinstance(m, dict) for m in cast("list[object]", found)):
        return cast("list[Message]", found)
    raise RecordError(_unreadable(where, "no list of messages"))


def submission(
    messages: Sequence[Message], *, cut: bool, where: str, withheld: bool = False
) -> Submission:
    """Return what the model generated: text, reasoning and tool calls of every turn.

    Args:
        messages: in Inspect's ChatMessage form.
        cut: the row's end state is truncated.
        withheld: the row's end state is blocked: its last answer reached nobody and is left out.
        where: names the row in an error.

    Raises:
        RecordError: a message is not of that form.
    """
    turns: list[Turn] = []
    try:
        for message in messages:
            if message["role"] != "assistant" or message.get("source") == "input":
                continue
            content = message["content"]
            calls = cast("list[Message]", message.get("tool_calls") or [])
            turns.append(
                Turn(
                    text=text_of(content),
                    reasoning=reasoning_of(content),
                    calls=tuple(_call(call) for call in calls),
                )
            )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise RecordError(_unreadable(where, error)) from error
    if withheld:
        turns = turns[:-1]
    return Submission(
        text="\n\n".join(t.text for t in turns if t.text),
        calls=tuple(c for t in turns for c in t.calls),
        cut=cut,
        turns=tuple(turns),
    )


def text_of(content: object) -> str:
    """Return the text of a message's content: a string, or its text parts joined."""
    if isinstance(content, str):
        return content
    parts = cast("Iterable[Message]", content)
    return "".join(str(p["text"]) for p in parts if p.get("type") == "text")


def reasoning_of(content: object) -> str:
    """Return the reasoning parts of a message's content, joined; redacted ones are left out."""
    if isinstance(content, str):
        return ""
    parts = cast("Iterable[Message]", content)
    return "".join(
        str(p.get("reasoning", ""))
        for p in parts
        if p.get("type") == "reasoning" and not p.get("redacted")
    )


def _call(call: Message) -> ToolCall:
    arguments = call.get("arguments")
    known = cast("Message", arguments) if isinstance(arguments, Mapping) else dict[str, object]()
    return ToolCall(name=str(call["function"]), arguments=known)


def _unreadable(where: str, error: object) -> str:
    return f"{where}: its messages cannot be read ({error}). Check with runner verify."
