"""Reads a request of either wire as far as a simulator needs it. Pure.

Tokens are guessed as characters ÷ 4, plus 3 a message: the same for calls and for counting.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, cast

import orjson

from runner.providers.json_values import as_list, as_object, as_text
from runner.simulate.cache import TTL_S, Prefix

_PER_MESSAGE = 3
_IMAGE = 1500
_GONE = ("temperature", "top_p", "top_k")
"""Sampling parameters that the Messages API has refused since 2026-10-21."""


class Wire(StrEnum):
    """The API a request came in by."""

    MESSAGES = "messages"
    CHAT = "chat"


class BadRequestError(ValueError):
    """The request is not one that the API would take; the text is the API's message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """A tool that the request offers."""

    name: str
    schema: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One request."""

    wire: Wire
    model: str
    max_tokens: int
    stream: bool
    stream_usage: bool
    """Chat completions: the last chunk is to carry the usage."""
    text: str
    """All prompt text, in order."""
    digest: bytes
    """16 bytes over the whole body."""
    input_tokens: int
    """Cached ones included."""
    prefixes: tuple[Prefix, ...]
    """One per block where a block asks for caching, else none."""
    tools: tuple[Tool, ...]
    """That may be called: none where `tool_choice` says so."""
    must_call: bool
    """`tool_choice` asks for a call; of a certain tool, if `tools` is that one alone."""
    schema: Mapping[str, Any] | None
    """Of the JSON object that the text of the answer has to be; None: any text."""
    called: tuple[str, ...]
    """Ids of the tool calls in the conversation, in order."""
    result: str
    """Text of the latest tool result."""
    stops: tuple[str, ...]
    seeded: bool
    """The request carries a `seed`: the same request always gets the same answer."""
    later: bool
    """The model has answered before in this conversation."""
    continues: bool
    """The last message is the assistant's: a paused turn goes on."""
    answers_tool: bool
    """The last message brings a tool's result."""


@dataclass(slots=True)
class _Block:
    text: str
    tokens: int
    raw: object
    cache: object


def read_request(wire: Wire, body: bytes, *, counting: bool = False) -> Asked:
    """Read a request body.

    Args:
        wire: which API's.
        body: JSON.
        counting: it only asks for its number of tokens, and needs no `max_tokens`.

    Raises:
        BadRequestError: with the message of the HTTP 400 that it deserves.
    """
    found = _parse(body)
    model = as_text(found.get("model"))
    if not model:
        msg = "model: Field required"
        raise BadRequestError(msg)
    messages = [as_object(m) for m in as_list(found.get("messages"))]
    if not messages or not all(messages):
        msg = "messages: at least one message is required"
        raise BadRequestError(msg)
    chat = wire is Wire.CHAT
    max_tokens = _chat_bound(found) if chat else _bound(found, counting)
    blocks = list(_blocks(found, messages))
    last = messages[-1]
    called, result = _tool_use(messages)
    tools, must_call = _choice(found, tuple(_tools(found)))
    return Asked(
        wire=wire,
        model=model,
        max_tokens=max_tokens,
        stream=found.get("stream") is True,
        stream_usage=as_object(found.get("stream_options")).get("include_usage") is True,
        text="\n".join(b.text for b in blocks),
        digest=hashlib.blake2b(body, digest_size=16).digest(),
        input_tokens=sum(b.tokens for b in blocks) + _PER_MESSAGE * len(messages),
        prefixes=() if chat else _prefixes(found, body, blocks),
        tools=tools,
        must_call=must_call,
        schema=_schema(found, chat=chat),
        called=called,
        result=result,
        stops=tuple(_stops(found, chat=chat)),
        seeded=found.get("seed") is not None,
        later=any(m.get("role") == "assistant" for m in messages),
        continues=last.get("role") == "assistant",
        answers_tool=_answers_tool(last),
    )


def _parse(body: bytes) -> dict[str, Any]:
    try:
        found = as_object(orjson.loads(body))
    except orjson.JSONDecodeError as error:
        msg = f"The request body is not valid JSON: {error}"
        raise BadRequestError(msg) from error
    if not found:
        msg = "The request body is no JSON object."
        raise BadRequestError(msg)
    return found


def _bound(found: Mapping[str, Any], counting: bool) -> int:
    for name in _GONE:
        if name in found:
            msg = f"{name}: Extra inputs are not permitted"
            raise BadRequestError(msg)
    if counting:
        return 0
    bound = found.get("max_tokens")
    if not isinstance(bound, int) or isinstance(bound, bool) or bound < 0:
        msg = "max_tokens: Input should be a valid integer, 0 or more"
        raise BadRequestError(msg)
    return bound


def _chat_bound(found: Mapping[str, Any]) -> int:
    bound = found.get("max_completion_tokens", found.get("max_tokens"))
    if bound is None:
        return 1 << 20
    if not isinstance(bound, int) or bound < 1:
        msg = "max_tokens: must be a whole number above 0"
        raise BadRequestError(msg)
    return bound


def _blocks(found: Mapping[str, Any], messages: list[dict[str, Any]]) -> Iterator[_Block]:
    for tool in as_list(found.get("tools")):
        text = orjson.dumps(tool).decode()
        yield _Block(text, len(text) // 4, tool, as_object(tool).get("cache_control"))
    yield from _content("system", found.get("system"))
    for message in messages:
        role = as_text(message.get("role")) or ""
        if role not in {"user", "assistant", "system", "developer", "tool"}:
            msg = f"messages: unexpected role {role!r}"
            raise BadRequestError(msg)
        yield from _content(role, message.get("content"))


def _content(role: str, content: object) -> Iterator[_Block]:
    if isinstance(content, str):
        yield _Block(content, len(content) // 4, (role, content), None)
        return
    for part in map(as_object, as_list(content)):
        cache = part.get("cache_control")
        kind = part.get("type")
        text = part.get("text")
        if isinstance(text, str):
            yield _Block(text, len(text) // 4, (role, text), cache)
        elif kind in {"image", "image_url"}:
            yield _Block("", _IMAGE, (role, part), cache)
        elif kind == "tool_result":
            plain = _plain(part.get("content"))
            yield _Block(plain, len(plain) // 4 + _PER_MESSAGE, (role, part), cache)
        else:
            dumped = orjson.dumps(part).decode()
            yield _Block(dumped, len(dumped) // 4, (role, part), cache)


def _prefixes(found: Mapping[str, Any], body: bytes, blocks: list[_Block]) -> tuple[Prefix, ...]:
    if b'"cache_control"' not in body or not blocks:
        return ()
    if found.get("cache_control") is not None:
        blocks[-1].cache = found["cache_control"]
    digest = hashlib.blake2b(digest_size=16)
    tokens = 0
    prefixes: list[Prefix] = []
    for block in blocks:
        digest.update(orjson.dumps(_without_cache(block.raw)) + b"\n")
        tokens += block.tokens
        prefixes.append(Prefix(digest.digest(), tokens, _ttl(block.cache)))
    if sum(p.ttl is not None for p in prefixes) > 4:
        msg = "A maximum of 4 blocks with cache_control may be provided."
        raise BadRequestError(msg)
    return tuple(prefixes)


def _without_cache(raw: object) -> object:
    """Return a block without its breakpoint, which moves from request to request."""
    if isinstance(raw, tuple):
        role, part = cast("tuple[object, object]", raw)
        return [role, _without_cache(part)]
    found = as_object(raw)
    return {k: v for k, v in found.items() if k != "cache_control"} if found else raw


def _ttl(cache: object) -> str | None:
    if cache is None:
        return None
    ttl = as_object(cache).get("ttl", "5m")
    if ttl not in TTL_S:
        msg = "cache_control.ttl: Input should be '5m' or '1h'"
        raise BadRequestError(msg)
    return ttl


def _tools(found: Mapping[str, Any]) -> Iterator[Tool]:
    for given in map(as_object, as_list(found.get("tools"))):
        tool = as_object(given.get("function")) or given
        schema = tool.get("input_schema", tool.get("parameters"))
        yield Tool(name=as_text(tool.get("name")) or "tool", schema=as_object(schema))


def _choice(found: Mapping[str, Any], tools: tuple[Tool, ...]) -> tuple[tuple[Tool, ...], bool]:
    """Return the tools that may be called, and whether one has to be.

    Raises:
        BadRequestError: the tool that is asked for is not offered.
    """
    given = found.get("tool_choice")
    choice = as_object(given)
    kind = given if isinstance(given, str) else choice.get("type")
    if kind == "none":
        return (), False
    if kind in {"tool", "function"}:
        name = choice.get("name") or as_object(choice.get("function")).get("name")
        wanted = tuple(t for t in tools if t.name == name)
        if not wanted:
            msg = f"tool_choice: tool {name!r} not found in tools"
            raise BadRequestError(msg)
        return wanted, True
    return tools, kind in {"any", "required"}


def _schema(found: Mapping[str, Any], *, chat: bool) -> Mapping[str, Any] | None:
    """Return the schema of a structured output.

    Raises:
        BadRequestError: a form that the API does not take.
    """
    at = "response_format" if chat else "output_config.format"
    config = found if chat else as_object(found.get("output_config"))
    given = config.get("response_format" if chat else "format")
    form = as_object(given)
    if given is None or (chat and form.get("type") in {"text", "json_object"}):
        return None
    if form.get("type") != "json_schema":
        msg = f"{at}.type: Input should be 'json_schema'"
        raise BadRequestError(msg)
    holder = as_object(form.get("json_schema")) if chat else form
    schema = as_object(holder.get("schema"))
    if not schema:
        msg = f"{at}.{'json_schema.' if chat else ''}schema: Field required"
        raise BadRequestError(msg)
    if schema.get("type") == "object" and schema.get("additionalProperties") is not False:
        msg = f"{at}: for 'object' type, 'additionalProperties' must be explicitly set to false"
        raise BadRequestError(msg)
    return schema


def _tool_use(messages: list[dict[str, Any]]) -> tuple[tuple[str, ...], str]:
    """Return (ids of all tool calls, text of the latest result).

    Raises:
        BadRequestError: a result answers no call of the message before, or a call has no result.
    """
    called: list[str] = []
    open_calls: set[str] = set()
    result = ""
    for i, message in enumerate(messages):
        role, at = message.get("role"), f"messages.{i}"
        answered, text = _results(message)
        unknown = answered - open_calls
        if unknown:
            msg = f"{at}: unexpected `tool_use_id` in a tool result: {min(unknown)}"
            raise BadRequestError(msg)
        open_calls -= answered
        result = text if answered else result
        if open_calls and role not in {"tool", "system", "developer"}:
            msg = f"{at}: `tool_use` ids were found without `tool_result` blocks: {min(open_calls)}"
            raise BadRequestError(msg)
        if role == "assistant":
            made = _calls_of(message)
            called += made
            open_calls = set(made)
    return tuple(called), result


def _calls_of(message: Mapping[str, Any]) -> list[str]:
    parts = [as_object(p) for p in as_list(message.get("content"))]
    made = [p for p in parts if p.get("type") == "tool_use"]
    made += [as_object(c) for c in as_list(message.get("tool_calls"))]
    return [as_text(m.get("id")) or "" for m in made]


def _results(message: Mapping[str, Any]) -> tuple[set[str], str]:
    if message.get("role") == "tool":
        return {as_text(message.get("tool_call_id")) or ""}, _plain(message.get("content"))
    parts = [as_object(p) for p in as_list(message.get("content"))]
    found = [p for p in parts if p.get("type") == "tool_result"]
    ids = {as_text(p.get("tool_use_id")) or "" for p in found}
    return ids, "\n".join(_plain(p.get("content")) for p in found)


def _plain(content: object) -> str:
    if isinstance(content, str):
        return content
    return "\n".join(as_text(as_object(p).get("text")) or "" for p in as_list(content))


def _stops(found: Mapping[str, Any], *, chat: bool) -> Iterator[str]:
    given = found.get("stop" if chat else "stop_sequences")
    for stop in [given] if isinstance(given, str) else as_list(given):
        if isinstance(stop, str) and stop:
            yield stop


def _answers_tool(last: Mapping[str, Any]) -> bool:
    parts = map(as_object, as_list(last.get("content")))
    return last.get("role") == "tool" or any(p.get("type") == "tool_result" for p in parts)
