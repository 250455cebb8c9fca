"""Messages as other tools write them, to Messages API form. Pure.

Known are the forms of chat completions (`tool_calls`, `tool_call_id`, `function_call`, role `developer`),
the Messages API (blocks), Inspect (`tool_calls` with `function` as a name) and ShareGPT (`from`, `value`).
Nothing is guessed: what has no place in a request makes the conversation unusable, and says so.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, cast

from runner.importer.draft import Conversation, Message, Unusable

Block = dict[str, Any]

_ROLES = {
    **dict.fromkeys(("user", "human"), "user"),
    **dict.fromkeys(("assistant", "gpt", "model", "bot", "ai", "chatgpt"), "assistant"),
    **dict.fromkeys(("system", "developer"), "system"),
    **dict.fromkeys(("tool", "function", "ipython", "observation"), "tool"),
}
_TEXT_PARTS = ("text", "input_text", "output_text")
_THOUGHTS = ("reasoning", "thinking", "redacted_thinking")


def read_conversation(messages: object, tools: object = None, system: str = "") -> Conversation:
    """Return a list of messages in Messages API form.

    Args:
        messages: as another tool wrote them.
        tools: that the model is offered, in any of the known forms.
        system: a system prompt that stands beside the messages.

    Raises:
        Unusable: a message cannot be sent as it was meant.
    """
    if not isinstance(messages, list | tuple) or not messages:
        msg = "no messages: a list of {role, content} is needed"
        raise Unusable(msg)
    reader = _Reader(system)
    for number, message in enumerate(cast("Sequence[object]", messages), 1):
        if not isinstance(message, Mapping):
            msg = f"message {number} is no object"
            raise Unusable(msg)
        reader.take(cast("Mapping[str, Any]", message), number)
    if not reader.messages:
        msg = "nothing but a system prompt: the model is asked nothing"
        raise Unusable(msg)
    return Conversation(
        system="\n\n".join(reader.system),
        messages=tuple(reader.messages),
        tools=read_tools(tools),
        notes=tuple(dict.fromkeys(reader.notes)),
    )


class _Reader:
    def __init__(self, system: str) -> None:
        self.system = [system] if system.strip() else []
        self.messages: list[dict[str, Any]] = []
        self.notes: list[str] = []
        self._open: dict[str, str] = {}
        """Calls without an answer so far: id to tool."""
        self._calls = 0

    def take(self, message: Mapping[str, Any], number: int) -> None:
        said = message.get("role", message.get("from", message.get("speaker")))
        if said is None:
            msg = f"message {number} has no role"
            raise Unusable(msg)
        role = _ROLES.get(str(said).lower())
        if role is None:
            msg = f"message {number} has the role {said!r}, which no API knows"
            raise Unusable(msg)
        content: object = message.get("content", message.get("value", message.get("text")))
        match role:
            case "system":
                if self.messages:
                    msg = f"message {number} is a system prompt amid the conversation"
                    raise Unusable(msg)
                self.system.append(_only_text(self._blocks(content, number), number))
            case "tool":
                self._append("user", [self._result(message, content, number)], number)
            case "assistant":
                blocks = [*self._blocks(content, number), *self._tool_uses(message, number)]
                self._append(role, blocks, number)
            case _:
                blocks = self._blocks(content, number)
                results = any(block["type"] == "tool_result" for block in blocks)
                if self._open and not results:
                    msg = f"the tool call before message {number} is not answered"
                    raise Unusable(msg)
                self._append(role, blocks, number)

    def _append(self, role: str, blocks: list[Block], number: int) -> None:
        if not blocks:
            msg = f"message {number} ({role}) is empty"
            raise Unusable(msg)
        if not self.messages and role != "user":
            msg = "the conversation begins with the assistant"
            raise Unusable(msg)
        for block in blocks:
            if block["type"] == "tool_use":
                self._open[block["id"]] = block["name"]
            elif (
                block["type"] == "tool_result"
                and self._open.pop(block["tool_use_id"], None) is None
            ):
                msg = f"message {number} answers the call {block['tool_use_id']!r}, which there is not"
                raise Unusable(msg)
        last = self.messages[-1] if self.messages else None
        if last is not None and last["role"] == role:  # no API wants two of one role
            last["content"] = [*_as_blocks(last["content"]), *blocks]
            return
        plain = len(blocks) == 1 and blocks[0]["type"] == "text"
        self.messages.append({"role": role, "content": blocks[0]["text"] if plain else blocks})

    def _blocks(self, content: object, number: int) -> list[Block]:
        if content is None:
            return []
        if isinstance(content, str):
            return [{"type": "text", "text": content}] if content.strip() else []
        if not isinstance(content, list | tuple):
            msg = f"message {number} holds neither text nor a list of parts"
            raise Unusable(msg)
        blocks: list[Block] = []
        for part in cast("Sequence[object]", content):
            blocks += self._part(_object(part) or {"type": "text", "text": part}, number)
        return blocks

    def _part(self, part: Mapping[str, Any], number: int) -> list[Block]:
        kind = str(part.get("type", "text"))
        if kind in _TEXT_PARTS:
            text = part.get("text")
            if not isinstance(text, str):
                msg = f"message {number} holds a text that is none"
                raise Unusable(msg)
            return [{"type": "text", "text": text}] if text.strip() else []
        if kind in _THOUGHTS:
            self.notes.append(
                "reasoning of the assistant was left out: no API takes another model's"
            )
            return []
        if kind == "tool_use" and isinstance(part.get("input"), Mapping):
            return [self._use(part.get("id"), part.get("name"), part["input"], number)]
        if kind == "tool_result":
            return [self._result(part, part.get("content"), number)]
        msg = f"message {number} holds a part of type {kind}: only text and tools can be imported"
        raise Unusable(msg)

    def _tool_uses(self, message: Mapping[str, Any], number: int) -> list[Block]:
        calls: list[object] = list(message.get("tool_calls") or ())
        if isinstance(message.get("function_call"), Mapping):
            calls.append({"function": message["function_call"]})
        blocks: list[Block] = []
        for call in calls:
            found = _object(call)
            function: object = found.get("function")
            inner = _object(function) or found
            name = inner.get("name") or (function if isinstance(function, str) else None)
            blocks.append(self._use(found.get("id"), name, inner.get("arguments"), number))
        return blocks

    def _use(self, call_id: object, name: object, given: object, number: int) -> Block:
        if isinstance(given, str):
            try:
                given = json.loads(given or "{}")
            except ValueError:
                given = None
        if (
            not isinstance(name, str)
            or not name
            or not isinstance(given or {}, Mapping)
            or given is None
        ):
            msg = f"message {number} holds a tool call without a name or JSON arguments"
            raise Unusable(msg)
        self._calls += 1
        known = call_id if isinstance(call_id, str) and call_id else f"call-{self._calls}"
        return {
            "type": "tool_use",
            "id": known,
            "name": name,
            "input": dict(cast("Mapping[str, Any]", given)),
        }

    def _result(self, message: Mapping[str, Any], content: object, number: int) -> Block:
        call_id = message.get("tool_call_id", message.get("tool_use_id"))
        if not call_id:  # by the name of the tool, else the oldest call that is open
            tool = message.get("name", message.get("function"))
            fitting = [key for key, name in self._open.items() if tool in (None, name)]
            if not fitting:
                msg = f"message {number} is a tool's answer to no call"
                raise Unusable(msg)
            call_id = fitting[0]
        text = _only_text(self._blocks(content, number), number)
        block: Block = {"type": "tool_result", "tool_use_id": str(call_id), "content": text}
        if message.get("is_error") or message.get("error"):
            block["is_error"] = True
        return block


def _object(value: object) -> Mapping[str, Any]:
    """Return a value if it is an object, else an empty one."""
    return cast("Mapping[str, Any]", value) if isinstance(value, Mapping) else {}


def _only_text(blocks: Sequence[Block], number: int) -> str:
    if any(block["type"] != "text" for block in blocks):
        msg = f"message {number} holds more than text where only text can stand"
        raise Unusable(msg)
    return "\n\n".join(block["text"] for block in blocks)


def _as_blocks(content: str | Sequence[Block]) -> list[Block]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else [*content]


def read_tools(tools: object) -> tuple[Mapping[str, Any], ...]:
    """Return tools as `{name, description, input_schema}`.

    Raises:
        Unusable: a tool of another kind (a server's own, for instance).
    """
    if not isinstance(tools, list | tuple):
        return ()
    out: list[Mapping[str, Any]] = []
    for tool in cast("Sequence[object]", tools):
        found = _object(tool)
        inner = _object(found.get("function")) or found
        schema: object = inner.get("input_schema", inner.get("parameters"))
        if not isinstance(inner.get("name"), str):
            msg = "a tool has no name: only tools with a JSON schema can be imported"
            raise Unusable(msg)
        if not isinstance(schema, Mapping):
            schema = {"type": "object", "properties": {}}
        out.append(
            {
                "name": inner["name"],
                "description": str(inner.get("description") or ""),
                "input_schema": dict(cast("Mapping[str, Any]", schema)),
            }
        )
    return tuple(out)


def text_of(message: Message) -> str | None:
    """Return a message's text, None where it is more than one text."""
    content: object = message["content"]
    if isinstance(content, str):
        return content
    blocks = cast("Sequence[Block]", content)
    texts = [b["text"] for b in blocks if b["type"] == "text"]
    return "\n\n".join(texts) if len(texts) == len(blocks) else None
