"""The Messages API's JSON: request payload and reply. Pure; knows neither SDK nor network.

How each stop reason ends a rollout: `STOP_REASONS`. One that is not in the table (a newer API's)
ends as `truncated`: the answer is kept, graded and flagged, and left out of the second rate that
reports print, which is the careful reading of an answer that may not be whole. A missing one
means that the response broke off.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import orjson

from runner.core.json_bytes import dumps
from runner.core.values import (
    Block,
    Conversation,
    EndState,
    Failure,
    FailureKind,
    Prepared,
    Reply,
    Usage,
)
from runner.providers.classify import classify
from runner.providers.headers import Redactor, error_facts
from runner.providers.json_values import as_count, as_list, as_object, as_text

STOP_REASONS: Mapping[str, EndState] = MappingProxyType(
    {
        "end_turn": EndState.ANSWERED,
        "stop_sequence": EndState.ANSWERED,
        "tool_use": EndState.ANSWERED,
        "max_tokens": EndState.TRUNCATED,
        "model_context_window_exceeded": EndState.TRUNCATED,
        "refusal": EndState.REFUSED,
        "pause_turn": EndState.TRUNCATED,
    }
)
"""Stop reason to the end state of a rollout that ends with it; `answered` becomes `empty` without
text or tool call. A rollout ends with `pause_turn` only if its number of calls is used up."""

RESERVED = frozenset(
    {"model", "messages", "system", "tools", "max_tokens", "stream", "cache_control"}
)
"""Body keys that `params` may not set, because the runner does."""

_NO_SECRETS = Redactor(None)


def encode(
    payload: dict[str, Any], *, plain: dict[str, Any] | None = None, cache_s: float | None = None
) -> Prepared:
    """Serialise a request once, for all of its attempts.

    Args:
        payload: what is sent.
        plain: the same without what concerns only its way, for the digest; None: `payload` is.
        cache_s: see `Prepared`.
    """
    body = dumps(payload, _plain)
    meant = body if plain is None else orjson.dumps(plain, default=_plain)
    digest = hashlib.sha256(meant).hexdigest()
    return Prepared(payload=payload, body=body, digest=digest, cache_s=cache_s)


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
    raise TypeError(type(value).__name__)


def payload_of(
    conversation: Conversation,
    *,
    model: str,
    max_tokens: int,
    params: Mapping[str, Any],
    seed: int | None,
) -> dict[str, Any]:
    """Return the body of `POST /v1/messages`.

    Args:
        conversation: already in Messages API form.
        model: the API's id.
        max_tokens: bound of the answer.
        params: passed through unchanged; no key of RESERVED.
        seed: sent as `seed`, where not None.
    """
    payload: dict[str, Any] = {"model": model, "max_tokens": max_tokens, **params}
    if seed is not None:
        payload["seed"] = seed
    if conversation.system is not None:
        payload["system"] = conversation.system
    if conversation.tools:
        payload["tools"] = conversation.tools
    payload["messages"] = conversation.messages
    return payload


def parse(body: bytes) -> dict[str, Any] | Failure:
    """Return the JSON object of a response body, or the failure that it is.

    A body that is JSON but for half a surrogate pair or a bad byte (models write them) is
    repaired with replacement characters rather than paid for again.
    """
    try:
        whole: object = orjson.loads(body)
    except orjson.JSONDecodeError:
        try:
            loose: object = json.loads(body.decode("utf-8", "replace"))
            text = json.dumps(loose, ensure_ascii=False, allow_nan=False)
            whole = orjson.loads(text.encode("utf-8", "replace"))
        except (ValueError, RecursionError):
            return _unusable(body)
    found = as_object(whole)
    if not found:
        return bad_response("the body is JSON, but no object with anything in it")
    if found.get("error") is not None:
        error_type, error_code, message = error_facts(body)
        return Failure(
            kind=classify(200, error_type, error_code, message),
            message=_NO_SECRETS.text(message),
            status=200,
            error_type=error_type,
            error_code=error_code,
        )
    return found


def _unusable(body: bytes) -> Failure:
    start = body[:200].decode("utf-8", "replace").strip()
    if not start or start.startswith("{"):
        return Failure(
            kind=FailureKind.TRUNCATED_RESPONSE,
            message=f"the answer breaks off after {len(body)} bytes",
            status=200,
        )
    return bad_response(f"the body is no JSON; it begins with {start[:80]!r}")


def bad_response(message: str) -> Failure:
    """Return the failure of an HTTP 200 that holds no usable reply."""
    return Failure(kind=FailureKind.BAD_RESPONSE, message=_NO_SECRETS.text(message), status=200)


def no_stop_reason() -> Failure:
    """Return the failure of a response that ends without saying why."""
    return Failure(
        kind=FailureKind.TRUNCATED_RESPONSE,
        message="the response has no stop reason: it broke off",
        status=200,
    )


def end_state_of(stop_reason: str, content: tuple[Block, ...]) -> EndState:
    """Return how a rollout ends that ends with this reply."""
    state = STOP_REASONS.get(stop_reason, EndState.TRUNCATED)
    if state is EndState.ANSWERED and not any(_says_something(block) for block in content):
        return EndState.EMPTY
    return state


def _says_something(block: Block) -> bool:
    kind = block.get("type")
    if kind == "text":
        text = block.get("text")
        return isinstance(text, str) and bool(text.strip())
    return kind == "tool_use"


def read_message(body: bytes) -> Reply | Failure:
    """Read the body of a `message`; all content blocks are kept as they came."""
    found = parse(body)
    if isinstance(found, Failure):
        return found
    blocks: tuple[Block, ...] = tuple(as_list(found.get("content")))
    if not isinstance(found.get("content"), list) or not all(isinstance(b, dict) for b in blocks):
        return bad_response("the body is JSON, but no message: `content` is missing")
    stop_reason = found.get("stop_reason")
    if not isinstance(stop_reason, str):
        return no_stop_reason()
    return Reply(
        content=blocks,
        stop_reason=stop_reason,
        end_state=end_state_of(stop_reason, blocks),
        usage=_usage(as_object(found.get("usage"))),
        terms=_terms(as_object(found.get("usage"))),
        model=as_text(found.get("model")) or "",
        continues=stop_reason == "pause_turn",
    )


_ORDINARY = frozenset({"standard", "not_available", "global"})


def _terms(usage: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what decides about the price beside tokens and date."""
    names = ("service_tier", "speed", "inference_geo")
    said = ((name, as_text(usage.get(name))) for name in names)
    return tuple(f"{name}={value}" for name, value in said if value and value not in _ORDINARY)


def _usage(usage: Mapping[str, Any]) -> Usage:
    details = as_object(usage.get("output_tokens_details"))
    written = as_object(usage.get("cache_creation"))
    return Usage(
        input_tokens=as_count(usage.get("input_tokens")),
        output_tokens=as_count(usage.get("output_tokens")),
        cache_read_tokens=as_count(usage.get("cache_read_input_tokens")),
        cache_write_tokens=as_count(usage.get("cache_creation_input_tokens")),
        reasoning_tokens=as_count(details.get("thinking_tokens")),
        cache_write_1h_tokens=as_count(written.get("ephemeral_1h_input_tokens")),
    )
