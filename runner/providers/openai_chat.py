"""Chat completions' JSON: conversations to and from Messages API form. Pure.

Blocks become content parts, tool calls and tool messages; a reply becomes blocks again, so that
scenarios, records and graders see one form. `thinking` blocks are made from a server's reasoning
field and are not sent back: these servers do not take them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import orjson

from runner.core.values import Block, Conversation, Failure, Reply, Usage
from runner.providers.json_values import as_count, as_list, as_object, as_text
from runner.providers.messages_api import (
    bad_response,
    end_state_of,
    no_stop_reason,
    parse,
)

RESERVED = frozenset({"model", "messages", "tools", "max_tokens", "stream", "stream_options", "n"})
"""Body keys that `params` may not set; `max_completion_tokens` may and replaces `max_tokens`."""

UNPARSABLE_ARGUMENTS = "unparsable_arguments"
"""Key under which a tool call's arguments are kept as text where they are no JSON object."""

_STOP_REASONS: Mapping[str, str] = MappingProxyType(
    {
        "stop": "end_turn",
        "length": "max_tokens",
        "tool_calls": "tool_use",
        "function_call": "tool_use",
        "content_filter": "refusal",
    }
)
"""finish_reason to stop_reason; any other passes as it is and counts as truncated."""


def chat_payload(
    conversation: Conversation,
    *,
    model: str,
    max_tokens: int,
    params: Mapping[str, Any],
    seed: int | None,
) -> dict[str, Any]:
    """Return the body of `POST /chat/completions`; arguments as in `payload_of`.

    Raises:
        ValueError: a content block that chat completions cannot carry.
    """
    payload: dict[str, Any] = {"model": model, "max_tokens": max_tokens, **params}
    if "max_completion_tokens" in params:
        del payload["max_tokens"]
    if seed is not None:
        payload["seed"] = seed
    if conversation.tools:
        payload["tools"] = [_tool(tool) for tool in conversation.tools]
    messages: list[dict[str, Any]] = []
    if conversation.system is not None:
        messages.append({"role": "system", "content": conversation.system})
    for message in conversation.messages:
        messages += _chat_messages(message)
    payload["messages"] = messages
    return payload


def _tool(tool: Mapping[str, Any]) -> dict[str, Any]:
    function = {
        "name": tool["name"],
        "description": tool.get("description", ""),
        "parameters": tool.get("input_schema", {"type": "object", "properties": {}}),
    }
    return {"type": "function", "function": function}


def _chat_messages(message: Mapping[str, Any]) -> list[dict[str, Any]]:
    role, content = message["role"], message["content"]
    if isinstance(content, str):
        return [{"role": role, "content": content}]
    return [_assistant(content)] if role == "assistant" else _user(content)


def _assistant(blocks: Sequence[Block]) -> dict[str, Any]:
    text: list[str] = []
    calls: list[dict[str, Any]] = []
    for block in blocks:
        kind = block["type"]
        if kind == "text":
            text.append(block["text"])
        elif kind == "tool_use":
            calls.append(_call(block))
        elif kind not in {"thinking", "redacted_thinking"}:
            raise ValueError(_cannot_carry(kind))
    message: dict[str, Any] = {"role": "assistant", "content": "".join(text) or None}
    if calls:
        message["tool_calls"] = calls
    elif message["content"] is None:
        message["content"] = ""
    return message


def _call(block: Block) -> dict[str, Any]:
    given = block["input"]
    raw = given.get(UNPARSABLE_ARGUMENTS) if len(given) == 1 else None
    arguments = raw if isinstance(raw, str) else orjson.dumps(given).decode()
    function = {"name": block["name"], "arguments": arguments}
    return {"id": block["id"], "type": "function", "function": function}


def _user(blocks: Sequence[Block]) -> list[dict[str, Any]]:
    """Return tool messages first: they must follow the call they answer."""
    results: list[dict[str, Any]] = []
    parts: list[dict[str, Any]] = []
    for block in blocks:
        kind = block["type"]
        if kind == "tool_result":
            results.append(
                {
                    "role": "tool",
                    "tool_call_id": block["tool_use_id"],
                    "content": _result_text(block),
                }
            )
        elif kind == "text":
            parts.append({"type": "text", "text": block["text"]})
        elif kind == "image":
            parts.append({"type": "image_url", "image_url": {"url": _image_url(block["source"])}})
        else:
            raise ValueError(_cannot_carry(kind))
    if len(parts) == 1 and parts[0]["type"] == "text":
        return [*results, {"role": "user", "content": parts[0]["text"]}]
    return [*results, {"role": "user", "content": parts}] if parts else results


def _result_text(block: Block) -> str:
    content = block.get("content", "")
    if isinstance(content, str):
        return content
    texts: list[str] = []
    for part in content:
        if part["type"] != "text":
            raise ValueError(_cannot_carry(f"{part['type']} inside tool_result"))
        texts.append(part["text"])
    return "\n".join(texts)


def _image_url(source: Mapping[str, str]) -> str:
    if source["type"] == "url":
        return source["url"]
    if source["type"] == "base64":
        return f"data:{source['media_type']};base64,{source['data']}"
    raise ValueError(_cannot_carry(f"image source {source['type']}"))


def _cannot_carry(kind: str) -> str:
    return (
        f"chat completions cannot carry a content block of type {kind}. Use provider: anthropic "
        "for this scenario, or leave the block out."
    )


def read_chat(body: bytes) -> Reply | Failure:
    """Read the body of a `chat.completion`: its first choice, in Messages API form."""
    found = parse(body)
    if isinstance(found, Failure):
        return found
    choice = as_object(next(iter(as_list(found.get("choices"))), None))
    message = as_object(choice.get("message"))
    if not message:
        return bad_response("the body is JSON, but no chat completion: `choices` is missing")
    finish = as_text(choice.get("finish_reason"))
    if finish is None:
        return no_stop_reason()
    content = _blocks(message)
    stop_reason = _STOP_REASONS.get(finish, finish)
    if message.get("refusal"):
        stop_reason = "refusal"
    elif stop_reason == "end_turn" and any(b["type"] == "tool_use" for b in content):
        stop_reason = "tool_use"  # some servers say `stop` after a call
    return Reply(
        content=content,
        stop_reason=stop_reason,
        end_state=end_state_of(stop_reason, content),
        usage=_usage(as_object(found.get("usage"))),
        terms=_terms(found),
        model=as_text(found.get("model")) or "",
    )


def _blocks(message: Mapping[str, Any]) -> tuple[Block, ...]:
    blocks: list[Block] = []
    thought = as_text(message.get("reasoning_content") or message.get("reasoning"))
    if thought:
        blocks.append({"type": "thinking", "thinking": thought})
    blocks += [{"type": "text", "text": text} for text in _texts(message)]
    blocks += [_tool_use(as_object(call)) for call in as_list(message.get("tool_calls"))]
    return tuple(blocks)


def _texts(message: Mapping[str, Any]) -> list[str]:
    content, refusal = message.get("content"), message.get("refusal")
    if isinstance(content, str) and refusal is None:
        return [content] if content else []
    parts = [as_object(part).get("text") for part in as_list(content)] or [content]
    return [text for text in map(as_text, (*parts, refusal)) if text]


def _tool_use(call: Mapping[str, Any]) -> Block:
    function = as_object(call.get("function"))
    given = function.get("arguments")
    raw = as_text(given)
    if raw is not None:
        try:
            given = orjson.loads(raw or "{}")
        except orjson.JSONDecodeError:
            given = None
    return {
        "type": "tool_use",
        "id": as_text(call.get("id")) or "",
        "name": as_text(function.get("name")) or "",
        "input": given if isinstance(given, dict) else {UNPARSABLE_ARGUMENTS: raw or ""},
    }


def _terms(found: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what decides about the price beside tokens and date."""
    tier = as_text(found.get("service_tier"))
    return (f"service_tier={tier}",) if tier and tier not in {"default", "auto"} else ()


def _usage(usage: Mapping[str, Any]) -> Usage:
    details = as_object(usage.get("prompt_tokens_details"))
    cached = as_count(details.get("cached_tokens", usage.get("prompt_cache_hit_tokens")))
    generated = as_object(usage.get("completion_tokens_details"))
    return Usage(
        input_tokens=max(0, as_count(usage.get("prompt_tokens")) - cached),
        output_tokens=as_count(usage.get("completion_tokens")),
        cache_read_tokens=cached,
        reasoning_tokens=as_count(generated.get("reasoning_tokens")),
    )
