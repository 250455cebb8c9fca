"""Prompt caching of the Messages API: where the breakpoint goes, and when it is worth one. Pure.

The part of a first request that all seeds of a condition share (tools, system text, and the user
message up to where the seed enters it) ends in a breakpoint. Where that is in the middle of a text,
the text is sent as two blocks, cut after the last line break before the seed where that loses
little, so that no word is cut. What is said stays the same, character for character.

Facts as of August 2026 (vendor's pages on prompt caching; `shared/reference/api.md` section 5): a
prefix shorter than the model's minimum is not cached, silently; an entry can be read once the first
response that has it has begun; it lives for its time-to-live from its last use.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import orjson

from runner.config.schema import ModelConfig, ProviderKind
from runner.core.values import Shared

TTL_S: Mapping[str, float] = MappingProxyType({"5m": 300.0, "1h": 3600.0})
_AUTO = "5m"
"""Blocks of a condition go out together, and its next block finds the entry again or writes it
anew: an hour would cost more at each write and gain only where a round takes longer than 5 m."""

MINIMUM_TOKENS: tuple[tuple[str, int], ...] = (
    ("claude-opus-5", 512),
    ("claude-fable-5", 512),
    ("claude-mythos-5", 512),
    ("claude-sonnet-5", 1024),
    ("claude-opus-4-8", 1024),
    ("claude-sonnet-4", 1024),
    ("claude-opus-4-7", 2048),
    ("claude-opus-4-6", 4096),
    ("claude-opus-4-5", 4096),
    ("claude-haiku", 4096),
)
"""Beginning of a model id to the shortest prefix that is cached, August 2026. The pages that give
the minimums of the 5.1, 5.2 and 5.5 models were not read: their family's number stands for them."""
MINIMUM_ELSEWHERE = 1024
"""For ids that the table does not know (gateways, simulators)."""
CHARACTERS_PER_TOKEN = 3.5
"""Rather few: a mark on a prefix that turns out too short costs nothing."""
_CUT_WITHIN = 0.1
"""Share of a text that a cut after a line break may leave uncached."""


def minimum_tokens(model_id: str) -> int:
    """Return the shortest prefix, in tokens, that the API caches for a model."""
    return next((n for start, n in MINIMUM_TOKENS if model_id.startswith(start)), MINIMUM_ELSEWHERE)


def ttl_of(mode: str) -> str | None:
    """Return the time-to-live that a `cache:` key asks for; None for `off`."""
    return None if mode == "off" else _AUTO if mode == "auto" else mode


def worth_caching(characters: int, model_id: str) -> bool:
    """Return whether a shared beginning of so many characters may be cached at all."""
    return characters / CHARACTERS_PER_TOKEN >= minimum_tokens(model_id)


def asks_to_cache(model: ModelConfig) -> bool:
    """Return whether the runner asks a model's server to cache prefixes that are long enough."""
    return model.provider is ProviderKind.anthropic and ttl_of(model.cache) is not None


def caches(model: ModelConfig, shared_characters: int) -> bool:
    """Return whether the runner has a model's server cache a prefix of so many characters."""
    return asks_to_cache(model) and worth_caching(shared_characters, model.model)


def marked(payload: Mapping[str, Any], shared: Shared, ttl: str) -> dict[str, Any] | None:
    """Return a request payload with its breakpoint, or None where the prefix is too short.

    Args:
        payload: of `payload_of`, for a conversation that begins with a scripted user message.
        shared: what the seeds of its condition share.
        ttl: `5m` or `1h`.
    """
    tools, system = payload.get("tools"), payload.get("system")
    characters = shared.system + shared.message + (len(orjson.dumps(tools)) if tools else 0)
    if not worth_caching(characters, str(payload.get("model"))):
        return None
    mark = {"type": "ephemeral"} if ttl == _AUTO else {"type": "ephemeral", "ttl": ttl}
    out = dict(payload)
    first, *rest = payload["messages"]
    if shared.message and isinstance(first["content"], str):
        content = _cut(first["content"], shared.message, mark)
        if content is not None:
            out["messages"] = [{**first, "content": content}, *rest]
            return out
    if isinstance(system, str) and shared.system:
        content = _cut(system, shared.system, mark)
        if content is not None:
            out["system"] = content
            return out
    if tools:
        out["tools"] = [*tools[:-1], {**tools[-1], "cache_control": mark}]
        return out
    return None


def _cut(text: str, shared: int, mark: Mapping[str, str]) -> list[dict[str, Any]] | None:
    """Return a text as blocks, the first one marked; None where the first would say nothing."""
    at = shared
    if at < len(text):
        line = text.rfind("\n", 0, at) + 1
        at = line if line >= at * (1 - _CUT_WITHIN) else at
    head, tail = text[:at], text[at:]
    if not head.strip():  # the API takes no block without text
        return None
    if not tail.strip():
        head, tail = text, ""
    blocks: list[dict[str, Any]] = [{"type": "text", "text": head, "cache_control": mark}]
    return [*blocks, {"type": "text", "text": tail}] if tail else blocks
