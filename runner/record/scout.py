"""Conversations in the form that Inspect Scout reads, and back: pure functions over JSON values.

Content blocks in Messages API form become Inspect's `ChatMessage` list. Every block is kept: text,
thinking (with its signature), tool calls; a block of any other type is carried whole in a `data`
part. Where Inspect's form cannot hold a reply without loss (further keys on a text block such as
citations, text after a tool call, a tool input that is no object) `converted.exact` is False and
the row carries the reply's blocks in `raw_content` as well. `reply_blocks` reads them back.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import orjson

from runner.core.json_bytes import dumps
from runner.core.values import Block, Conversation, Reply

MAX_LEVELS = 100
"""Of nesting in a message that JSON encoders refuse as it is."""

Message = dict[str, Any]
Part = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Converted:
    """A conversation as Inspect messages."""

    messages: list[Message]
    exact: bool
    """The replies' blocks can be read back from the messages without loss."""


def to_messages(
    key: str, conversation: Conversation, replies: Sequence[Reply], *, append_last: bool
) -> Converted:
    """Convert a rollout.

    Args:
        key: the job key; message ids are its first 16 digits and the message's position.
        conversation: what was sent last; earlier replies are part of it.
        replies: every reply of the rollout, in order.
        append_last: the last reply is not part of the conversation and ends it.
    """
    out: list[Message] = []
    exact = True
    names: dict[str, str] = {}
    if conversation.system is not None:
        out.append({"role": "system", "content": conversation.system, "source": "input"})
    inside = list(replies[:-1] if append_last else replies)
    given = sum([m["role"] == "assistant" for m in conversation.messages]) - len(inside)
    seen = 0
    for message in conversation.messages:
        if message["role"] == "assistant":
            reply = inside[seen - given] if seen >= given else None
            seen += 1
            exact &= _append_assistant(out, message["content"], reply, names)
        else:
            _append_user(out, message["content"], names)
    if append_last and replies:
        exact &= _append_assistant(out, replies[-1].content, replies[-1], names)
    prefix = key[:16]
    for i, message in enumerate(out):
        message["id"] = f"{prefix}-{i}"
    return Converted(out, exact)


def _append_assistant(
    out: list[Message],
    content: str | Sequence[Block],
    reply: Reply | None,
    names: dict[str, str],
) -> bool:
    blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
    parts, calls, exact = _parts(blocks)
    message: Message = {"role": "assistant", "content": parts}
    if calls:
        message["tool_calls"] = calls
        names.update((call["id"], call["function"]) for call in calls)
    if reply is None:
        message["source"] = "input"
        out.append(message)
        return True
    message["source"] = "generate"
    message["model"] = reply.model
    out.append(message)
    # A rollout may send a reply back in other words (stripped thinking): then keep the original.
    return exact and (content is reply.content or _same(blocks, reply.content))


def _same(blocks: Sequence[Block], content: Sequence[Block]) -> bool:
    try:
        return len(blocks) == len(content) and all(
            a is b or a == b for a, b in zip(blocks, content, strict=True)
        )
    except RecursionError:
        return False


def _parts(blocks: Iterable[Block]) -> tuple[list[Part], list[dict[str, Any]], bool]:
    """Return (content parts, tool calls, whether both hold the blocks without loss)."""
    parts: list[Part] = []
    calls: list[dict[str, Any]] = []
    exact = True
    for block in blocks:
        call = _tool_call(block)
        if call is not None:
            exact = exact and len(block) == 4
            calls.append(call)
            continue
        part, whole = _part(block)
        exact = exact and whole and not calls
        parts.append(part)
    return parts, calls, exact


def _tool_call(block: Block) -> dict[str, Any] | None:
    if block.get("type") != "tool_use" or not isinstance(block.get("input"), dict):
        return None
    name, call_id = block.get("name"), block.get("id")
    if not isinstance(name, str) or not isinstance(call_id, str):
        return None
    return {"id": call_id, "function": name, "arguments": block["input"], "type": "function"}


def _part(block: Block) -> tuple[Part, bool]:
    kind = block.get("type")
    if kind == "text" and isinstance(block.get("text"), str):
        return {"type": "text", "text": block["text"]}, len(block) == 2
    if kind == "thinking" and isinstance(block.get("thinking"), str):
        part = {"type": "reasoning", "reasoning": block["thinking"]}
        if isinstance(block.get("signature"), str):
            part["signature"] = block["signature"]
        return part, len(block) == len(part)
    if kind == "redacted_thinking" and isinstance(block.get("data"), str):
        part = {"type": "reasoning", "reasoning": block["data"], "redacted": True}
        return part, len(block) == 2
    return {"type": "data", "data": block}, True


def _append_user(
    out: list[Message], content: str | Sequence[Block], names: Mapping[str, str]
) -> None:
    if isinstance(content, str):
        out.append({"role": "user", "content": content, "source": "input"})
        return
    parts: list[Part] = []
    for block in content:
        if block.get("type") == "tool_result":
            out.append(_tool_message(block, names))
        else:
            parts.append(_input_part(block))
    if parts:
        out.append({"role": "user", "content": parts, "source": "input"})


def _tool_message(block: Block, names: Mapping[str, str]) -> Message:
    content: str | Sequence[Block] = block.get("content") or ""
    call_id = str(block.get("tool_use_id"))
    message: Message = {
        "role": "tool",
        "content": content if isinstance(content, str) else [_input_part(b) for b in content],
        "tool_call_id": call_id,
    }
    if call_id in names:
        message["function"] = names[call_id]
    if block.get("is_error"):
        text = content if isinstance(content, str) else "".join(b.get("text", "") for b in content)
        message["error"] = {"type": "unknown", "message": text}
    return message


def _input_part(block: Block) -> Part:
    if block.get("type") == "text" and isinstance(block.get("text"), str):
        return {"type": "text", "text": block["text"]}
    source = block.get("source")
    if block.get("type") == "image" and isinstance(source, dict):
        found = cast("dict[str, Any]", source)
        if found.get("type") == "base64":
            uri = f"data:{found.get('media_type')};base64,{found.get('data')}"
            return {"type": "image", "image": uri}
        if isinstance(found.get("url"), str):
            return {"type": "image", "image": found["url"]}
    return {"type": "data", "data": block}


def dump(value: object) -> tuple[bytes, bool]:
    """Encode JSON that every strict reader accepts.

    Returns:
        The JSON text, and whether readers get the value back without loss: a lone surrogate
        becomes U+FFFD and a non-finite number null, since strict readers refuse both, and they
        round integers beyond 64 bits.
    """
    try:
        return dumps(value, _plain), True
    except TypeError:  # lone surrogates, or integers beyond 64 bits
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=_plain)
        finite = json.loads(text, parse_constant=lambda _: None)
        text = json.dumps(finite, ensure_ascii=False, separators=(",", ":"))
        return clean(text).encode(), False


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(cast("Mapping[str, object]", value))
    if isinstance(value, Sequence):
        return list(cast("Sequence[object]", value))
    msg = f"a {type(value).__name__} has no place in a row"
    raise TypeError(msg)


def shallow(value: object, levels: int = MAX_LEVELS) -> object:
    """Return a JSON value in which what lies too deep for any reader is one string."""
    if levels == 0 and isinstance(value, dict | list | tuple):
        return "(nested too deeply; the whole is in raw_content)"
    if isinstance(value, dict):
        found = cast("dict[str, object]", value)
        return {key: shallow(item, levels - 1) for key, item in found.items()}
    if isinstance(value, list | tuple):
        return [shallow(item, levels - 1) for item in cast("Sequence[object]", value)]
    return value


def clean(text: str) -> str:
    """Return the text with surrogate pairs joined and lone surrogates as U+FFFD."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def answer_digest(replies: Sequence[Reply]) -> str:
    """Return 32 hex digits of the SHA-256 over what the model said: equal answers have equal ones.

    Texts, reasoning and tool calls in their order; ids and signatures, which differ between any two
    responses, are left out.
    """
    said = [_said(block) for reply in replies for block in reply.content]
    try:
        text = dump(said)[0]
    except RecursionError:
        text = dump(shallow(said))[0]
    return hashlib.sha256(text).hexdigest()[:32]


def _said(block: Block) -> object:
    match block.get("type"):
        case "text":
            return ["text", block.get("text")]
        case "thinking":
            return ["thinking", block.get("thinking")]
        case "redacted_thinking":
            return None
        case "tool_use":
            return ["tool_use", block.get("name"), block.get("input")]
        case _:
            return block


def dump_raw(replies: Sequence[Reply]) -> bytes:
    """Encode the blocks of all replies without loss (see `raw_content` in the schema)."""
    blocks = [reply.content for reply in replies]
    text, exact = dump(blocks)
    if exact:
        return text
    ascii_text = json.dumps(blocks, separators=(",", ":"), default=_plain).encode()
    return orjson.dumps({"base64": base64.b64encode(ascii_text).decode()})


def dump_bodies(bodies: Sequence[bytes]) -> bytes:
    """Encode whole response bodies in place of blocks that no JSON encoder takes."""
    return orjson.dumps({"bodies": [base64.b64encode(body).decode() for body in bodies]})


def reply_blocks(messages: str, raw_content: str | None) -> list[list[Block]]:
    """Return the content blocks of each reply of a row, oldest first, as the API gave them.

    Args:
        messages: the row's `messages`.
        raw_content: the row's `raw_content`. Where it holds whole bodies, the blocks come from
            `messages`, cut at `MAX_LEVELS` of nesting.
    """
    if raw_content is not None:
        raw = orjson.loads(raw_content)
        if isinstance(raw, dict) and "bodies" in raw:
            return reply_blocks(messages, None)
        if isinstance(raw, dict):
            raw = json.loads(base64.b64decode(cast("dict[str, str]", raw)["base64"]))
        return cast("list[list[Block]]", raw)
    found = cast("list[Message]", orjson.loads(messages))
    return [_blocks(m) for m in found if m["role"] == "assistant" and m.get("source") == "generate"]


def _blocks(message: Message) -> list[Block]:
    blocks: list[Block] = []
    for part in cast("list[Part]", message["content"]):
        match part["type"]:
            case "text":
                blocks.append({"type": "text", "text": part["text"]})
            case "reasoning" if part.get("redacted"):
                blocks.append({"type": "redacted_thinking", "data": part["reasoning"]})
            case "reasoning":
                block: Block = {"type": "thinking", "thinking": part["reasoning"]}
                if "signature" in part:
                    block["signature"] = part["signature"]
                blocks.append(block)
            case _:
                blocks.append(part["data"])
    calls = cast("list[dict[str, Any]]", message.get("tool_calls", []))
    blocks.extend(
        {"type": "tool_use", "id": c["id"], "name": c["function"], "input": c["arguments"]}
        for c in calls
    )
    return blocks
