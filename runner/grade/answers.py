"""What the model said in a recorded conversation, as graders see it. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import cast

from runner.core.errors import RecordError
from runner.grade.verdict import Submission, ToolCall


def submission(messages: str, *, cut: bool, where: str) -> Submission:
    """Return the text and the tool calls of every turn that the model generated.

    Reasoning parts are left out: a grader that judges reasoning has to ask for it by its view.

    Args:
        messages: JSON list in Inspect's ChatMessage form, as in the `messages` column.
        cut: the row's end state is truncated.
        where: names the row in an error.

    Raises:
        RecordError: no such JSON.
    """
    texts: list[str] = []
    calls: list[ToolCall] = []
    try:
        for message in _listed(messages):
            if message["role"] != "assistant" or message.get("source") == "input":
                continue
            texts.append(text_of(message["content"]))
            for call in cast("list[Mapping[str, object]]", message.get("tool_calls") or []):
                arguments = call.get("arguments")
                calls.append(
                    ToolCall(
                        name=str(call["function"]),
                        arguments=cast("Mapping[str, object]", arguments)
                        if isinstance(arguments, Mapping)
                        else {},
                    )
                )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        msg = f"{where}: its messages cannot be read ({error}). Check with runner verify."
        raise RecordError(msg) from error
    return Submission(text="\n\n".join(t for t in texts if t), calls=calls, cut=cut)


def _listed(messages: str) -> list[Mapping[str, object]]:
    found: object = json.loads(messages)
    if isinstance(found, list):
        return cast("list[Mapping[str, object]]", found)
    msg = "no list of messages"
    raise TypeError(msg)


def text_of(content: object) -> str:
    """Return the text of a message's content: a string, or its text parts joined."""
    if isinstance(content, str):
        return content
    parts = cast("Iterable[Mapping[str, object]]", content)
    return "".join(str(p["text"]) for p in parts if p.get("type") == "text")
