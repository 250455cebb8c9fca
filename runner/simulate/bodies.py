"""Response bodies and stream events of both wires. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson

from runner.simulate.answers import SimulatedAnswer
from runner.simulate.cache import CacheUse

_FINISH = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "max_tokens": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}
_PIECE_CHARACTERS = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """Everything a body says."""

    request_id: str
    model: str
    answer: SimulatedAnswer
    input_tokens: int
    """Uncached and not written to the cache."""
    cache: CacheUse
    created: int
    """Unix seconds."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a stream."""

    at: float
    """Share of the generation after which it is sent, 0…1."""
    data: bytes


def message_body(told: Told) -> bytes:
    """Return a `message`."""
    answer = told.answer
    body = _message(told)
    body["content"] = answer.content
    body["stop_reason"] = answer.stop_reason
    body["stop_sequence"] = answer.stop_sequence
    body["usage"]["output_tokens"] = answer.output_tokens
    if answer.stop_reason == "refusal":
        body["stop_details"] = _REFUSAL
    return orjson.dumps(body)


_REFUSAL = {"type": "refusal", "category": None, "explanation": "simulated"}


def _message(told: Told) -> dict[str, Any]:
    cache = told.cache
    return {
        "id": f"msg_{told.request_id}",
        "type": "message",
        "role": "assistant",
        "model": told.model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {
            "input_tokens": told.input_tokens,
            "output_tokens": min(1, told.answer.output_tokens),
            "cache_creation_input_tokens": cache.written,
            "cache_read_input_tokens": cache.read,
            "cache_creation": {
                "ephemeral_5m_input_tokens": cache.written_5m,
                "ephemeral_1h_input_tokens": cache.written_1h,
            },
            "output_tokens_details": {"thinking_tokens": 0},
            "service_tier": "standard",
        },
    }


def message_events(told: Told) -> Iterator[Piece]:
    """Yield the events of a streamed message."""
    yield Piece(0.0, sse("message_start", {"message": _message(told)}))
    yield Piece(0.0, sse("ping", {}))
    answer = told.answer
    sizes = [max(1, len(_written(block))) for block in answer.content]
    whole, done = sum(sizes) or 1, 0
    for i, (block, size) in enumerate(zip(answer.content, sizes, strict=True)):
        yield Piece(
            done / whole, sse("content_block_start", {"index": i, "content_block": _start(block)})
        )
        text = _written(block)
        for at in range(0, len(text), _PIECE_CHARACTERS):
            piece = text[at : at + _PIECE_CHARACTERS]
            told_at = (done + at + len(piece)) / whole
            delta = _delta(block, piece)
            yield Piece(told_at, sse("content_block_delta", {"index": i, "delta": delta}))
        done += size
        yield Piece(done / whole, sse("content_block_stop", {"index": i}))
    end: dict[str, Any] = {
        "stop_reason": answer.stop_reason,
        "stop_sequence": answer.stop_sequence,
    }
    if answer.stop_reason == "refusal":
        end["stop_details"] = _REFUSAL
    usage = {"output_tokens": answer.output_tokens}
    yield Piece(1.0, sse("message_delta", {"delta": end, "usage": usage}))
    yield Piece(1.0, sse("message_stop", {}))


def sse(event: str, fields: dict[str, Any]) -> bytes:
    """Return one event of a Messages API stream."""
    return b"event: %b\ndata: %b\n\n" % (event.encode(), orjson.dumps({"type": event, **fields}))


def _written(block: dict[str, Any]) -> str:
    if block["type"] == "tool_use":
        return orjson.dumps(block["input"]).decode()
    return block["text"]


def _start(block: dict[str, Any]) -> dict[str, Any]:
    if block["type"] == "tool_use":
        return {**block, "input": {}}
    return {"type": "text", "text": ""}


def _delta(block: dict[str, Any], piece: str) -> dict[str, Any]:
    if block["type"] == "tool_use":
        return {"type": "input_json_delta", "partial_json": piece}
    return {"type": "text_delta", "text": piece}


def chat_body(told: Told) -> bytes:
    """Return a `chat.completion`."""
    content, calls = _chat_parts(told.answer)
    message: dict[str, Any] = {"role": "assistant", "content": content}
    if calls:
        message["tool_calls"] = calls
    choice = {"index": 0, "message": message, "finish_reason": _finish(told.answer)}
    body = _chat(told, "chat.completion", [choice])
    body["usage"] = _chat_usage(told)
    return orjson.dumps(body)


def chat_events(told: Told, *, usage: bool) -> Iterator[Piece]:
    """Yield the chunks of a streamed completion."""
    content, calls = _chat_parts(told.answer)
    yield Piece(0.0, _chunk(told, {"role": "assistant", "content": ""}))
    text = content or ""
    for at in range(0, len(text), _PIECE_CHARACTERS):
        piece = text[at : at + _PIECE_CHARACTERS]
        yield Piece((at + len(piece)) / len(text), _chunk(told, {"content": piece}))
    if calls:
        listed = [{"index": i, **call} for i, call in enumerate(calls)]
        yield Piece(1.0, _chunk(told, {"tool_calls": listed}))
    yield Piece(1.0, _chunk(told, {}, _finish(told.answer)))
    if usage:
        body = _chat(told, "chat.completion.chunk", [])
        body["usage"] = _chat_usage(told)
        yield Piece(1.0, b"data: %b\n\n" % orjson.dumps(body))
    yield Piece(1.0, b"data: [DONE]\n\n")


def _chunk(told: Told, delta: dict[str, Any], finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return b"data: %b\n\n" % orjson.dumps(_chat(told, "chat.completion.chunk", [choice]))


def _chat(told: Told, kind: str, choices: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "id": f"chatcmpl-{told.request_id}",
        "object": kind,
        "created": told.created,
        "model": told.model,
        "choices": choices,
    }


def _finish(answer: SimulatedAnswer) -> str:
    return _FINISH[answer.stop_reason]


def _chat_parts(answer: SimulatedAnswer) -> tuple[str | None, list[dict[str, Any]]]:
    text = "".join(b["text"] for b in answer.content if b["type"] == "text")
    calls = [
        {
            "id": b["id"],
            "type": "function",
            "function": {"name": b["name"], "arguments": orjson.dumps(b["input"]).decode()},
        }
        for b in answer.content
        if b["type"] == "tool_use"
    ]
    return text or None, calls


def _chat_usage(told: Told) -> dict[str, Any]:
    prompt = told.input_tokens + told.cache.read + told.cache.written
    return {
        "prompt_tokens": prompt,
        "completion_tokens": told.answer.output_tokens,
        "total_tokens": prompt + told.answer.output_tokens,
        "prompt_tokens_details": {"cached_tokens": told.cache.read},
        "completion_tokens_details": {"reasoning_tokens": 0},
    }
