"""Breakpoints: where they go, and that they change neither what is said nor the digest."""

from __future__ import annotations

import json
from typing import Any

import pytest

from runner.config.schema import ModelConfig, ProviderKind
from runner.core.values import Conversation, Shared
from runner.providers.caching import minimum_tokens
from runner.providers.codec import ModelCodec

LONG = "A line of the briefing that everybody reads.\n" * 200
TOOLS: list[Any] = [{"name": "send", "description": "x" * 9000, "input_schema": {"type": "object"}}]


def body(conversation: Conversation, **model: Any) -> dict[str, Any]:
    codec = ModelCodec(ModelConfig(name="m", **({"model": "claude-sonnet-5"} | model)))
    return json.loads(codec.prepare(conversation, 3).body)


def talk(
    user: str, shared: int, system: str | None = None, of_system: int | None = None, **more: Any
) -> Conversation:
    said: list[Any] = [{"role": "user", "content": user}]
    size = len(system or "") if of_system is None else of_system
    return Conversation(system=system, messages=said, shared=Shared(size, shared), **more)


def texts(blocks: Any) -> str:
    return blocks if isinstance(blocks, str) else "".join(b["text"] for b in blocks)


def marks(payload: dict[str, Any]) -> list[dict[str, Any]]:
    blocks = [
        *payload.get("tools", []),
        *(payload["system"] if isinstance(payload.get("system"), list) else []),
        *(b for m in payload["messages"] if isinstance(m["content"], list) for b in m["content"]),
    ]
    return [b for b in blocks if "cache_control" in b]


def test_message_is_cut_after_the_last_line_break_before_the_seed():
    user = f"{LONG}Case number 3, please."
    payload = body(talk(user, len(LONG) + len("Case number ")))
    head, tail = payload["messages"][0]["content"]
    assert (head["text"], tail["text"]) == (LONG, "Case number 3, please.")
    assert head["cache_control"] == {"type": "ephemeral"}
    assert "cache_control" not in tail


def test_message_without_line_breaks_is_cut_at_the_seed():
    user = "word " * 2000 + "3 end"
    head, tail = body(talk(user, 10_000))["messages"][0]["content"]
    assert (len(head["text"]), tail["text"]) == (10_000, "3 end")


def test_message_that_all_seeds_share_is_one_block():
    payload = body(talk(LONG, len(LONG)))
    assert [b["text"] for b in payload["messages"][0]["content"]] == [LONG]


def test_system_is_marked_where_the_seed_begins_the_message():
    payload = body(talk("3: go on", 0, system=LONG))
    assert payload["system"][0]["cache_control"]
    assert payload["messages"][0]["content"] == "3: go on"


def test_tools_are_marked_where_the_seed_begins_the_system_text():
    payload = body(talk("go on", 0, system="3 is you", of_system=0, tools=TOOLS))
    assert payload["tools"][-1]["cache_control"]
    assert "cache_control" not in TOOLS[-1], "the scenario's own tools stay as they are"


@pytest.mark.parametrize("mode", ["auto", "5m", "1h", "off"])
def test_marks_change_neither_text_nor_digest(mode):
    conversation = talk(f"{LONG}Case 3.", len(LONG) + 5, system=LONG)
    codec = ModelCodec(ModelConfig(model="claude-sonnet-5", cache=mode))
    prepared, plain = (
        codec.prepare(conversation, 3),
        ModelCodec(ModelConfig(model="claude-sonnet-5", cache="off")).prepare(conversation, 3),
    )
    sent = json.loads(prepared.body)
    assert texts(sent["system"]) == LONG
    assert texts(sent["messages"][0]["content"]) == f"{LONG}Case 3."
    assert prepared.digest == plain.digest
    assert prepared.cache_s == {"auto": 300, "5m": 300, "1h": 3600, "off": None}[mode]
    assert [b["cache_control"].get("ttl") for b in marks(sent)] == {
        "off": [], "1h": ["1h"]
    }.get(mode, [None])  # fmt: skip


def test_prefix_below_the_minimum_of_its_model_is_sent_as_it_is():
    conversation = talk(LONG, len(LONG))  # 9,000 characters: about 2,570 tokens
    assert marks(body(conversation, model="claude-sonnet-5"))
    assert not marks(body(conversation, model="claude-haiku-5-5"))
    assert (minimum_tokens("claude-opus-4-5-20251101"), minimum_tokens("mine")) == (4096, 1024)


def test_other_wires_and_unscripted_conversations_are_not_marked():
    conversation = talk(LONG, len(LONG))
    assert not marks(body(conversation, provider=ProviderKind.openai))
    said: list[Any] = [{"role": "user", "content": LONG}]
    assert not marks(body(Conversation(system=None, messages=said)))
