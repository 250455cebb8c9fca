from __future__ import annotations

from typing import Any

import orjson
import pytest

from runner.core.values import Conversation, EndState, Failure, FailureKind, Reply, Usage
from runner.providers.openai_chat import UNPARSABLE_ARGUMENTS, chat_payload, read_chat
from tests.support.standin_faults import chat_body


def payload(messages: list[dict[str, Any]], **given: Any) -> dict[str, Any]:
    told = Conversation(
        system=given.pop("system", None), messages=messages, tools=given.pop("tools", ())
    )
    settings: dict[str, Any] = {"model": "m", "max_tokens": 9, "params": {}, "seed": None}
    return chat_payload(told, **settings | given)


def read(kind: str | None) -> Reply:
    reply = read_chat(chat_body("An answer.", "m-1", 400, kind, ""))
    assert isinstance(reply, Reply)
    return reply


def read_message(message: dict[str, Any], finish: str = "stop") -> Reply:
    choice = {"message": message, "finish_reason": finish}
    reply = read_chat(orjson.dumps({"choices": [choice], "model": "m"}))
    assert isinstance(reply, Reply)
    return reply


def test_payload_sends_system_first_and_max_tokens():
    made = payload([{"role": "user", "content": "hi"}], system="be brief", seed=4)
    assert made == {
        "model": "m",
        "max_tokens": 9,
        "seed": 4,
        "messages": [
            {"role": "system", "content": "be brief"},
            {"role": "user", "content": "hi"},
        ],
    }


def test_payload_drops_max_tokens_where_params_set_the_newer_key():
    made = payload([], params={"max_completion_tokens": 50, "temperature": 0.5})
    assert "max_tokens" not in made
    assert (made["max_completion_tokens"], made["temperature"]) == (50, 0.5)


def test_payload_turns_tools_calls_and_results_into_the_chat_form():
    made = payload(
        [
            {"role": "user", "content": [{"type": "text", "text": "go"}]},
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "hm"},
                    {"type": "text", "text": "sending"},
                    {"type": "tool_use", "id": "c1", "name": "send", "input": {"to": "a"}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": "c1", "content": "sent"},
                    {"type": "text", "text": "and now?"},
                ],
            },
        ],
        tools=[{"name": "send", "description": "d", "input_schema": {"type": "object"}}],
    )
    assert made["tools"] == [
        {
            "type": "function",
            "function": {"name": "send", "description": "d", "parameters": {"type": "object"}},
        }
    ]
    assert made["messages"] == [
        {"role": "user", "content": "go"},
        {
            "role": "assistant",
            "content": "sending",
            "tool_calls": [
                {
                    "id": "c1",
                    "type": "function",
                    "function": {"name": "send", "arguments": '{"to":"a"}'},
                }
            ],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "sent"},
        {"role": "user", "content": "and now?"},
    ]


def test_payload_sends_images_and_several_parts_as_parts():
    source = {"type": "base64", "media_type": "image/png", "data": "QUJD"}
    made = payload(
        [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "look"},
                    {"type": "image", "source": source},
                ],
            }
        ]
    )
    assert made["messages"][0]["content"] == [
        {"type": "text", "text": "look"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,QUJD"}},
    ]


def test_payload_of_a_block_that_chat_cannot_carry_says_what_to_do():
    with pytest.raises(ValueError, match="provider: anthropic"):
        payload([{"role": "user", "content": [{"type": "document", "source": {}}]}])


def test_payload_of_an_assistant_turn_without_text_is_still_a_message():
    made = payload([{"role": "assistant", "content": [{"type": "thinking", "thinking": "hm"}]}])
    assert made["messages"] == [{"role": "assistant", "content": ""}]


@pytest.mark.parametrize(
    ("kind", "stop_reason", "end_state"),
    [
        (None, "end_turn", EndState.ANSWERED),
        ("tool_use", "tool_use", EndState.ANSWERED),
        ("max_tokens", "max_tokens", EndState.TRUNCATED),
        ("refusal", "refusal", EndState.REFUSED),
        ("empty", "end_turn", EndState.EMPTY),
        ("odd_stop", "something_new", EndState.TRUNCATED),
    ],
)
def test_read_maps_every_finish_reason(kind, stop_reason, end_state):
    reply = read(kind)
    assert (reply.stop_reason, reply.end_state) == (stop_reason, end_state)
    assert not reply.continues


def test_read_counts_cached_input_apart():
    assert read("thinking").usage == Usage(
        input_tokens=100, output_tokens=2, cache_read_tokens=5, reasoning_tokens=7
    )


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
def test_read_makes_a_thinking_block_of_a_reasoning_field(field):
    reply = read_message({"content": "yes", field: "let me see"})
    assert reply.content == (
        {"type": "thinking", "thinking": "let me see"},
        {"type": "text", "text": "yes"},
    )


def test_read_of_a_refusal_field_is_a_refusal_with_its_text():
    reply = read_message({"content": None, "refusal": "I will not."})
    assert reply.end_state is EndState.REFUSED
    assert reply.text == "I will not."


def test_read_of_a_tool_call_under_stop_is_a_tool_use():
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}
    reply = read_message({"content": None, "tool_calls": [call]})
    assert reply.stop_reason == "tool_use"
    assert reply.content == ({"type": "tool_use", "id": "c", "name": "f", "input": {"a": 1}},)


@pytest.mark.parametrize("arguments", ['{"a":', "[1]", "null"])
def test_read_keeps_unparsable_arguments_and_sends_them_back_unchanged(arguments):
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": arguments}}
    (block,) = read_message({"content": None, "tool_calls": [call]}, "tool_calls").content
    assert block["input"] == {UNPARSABLE_ARGUMENTS: arguments}
    (message,) = payload([{"role": "assistant", "content": [block]}])["messages"]
    assert message["tool_calls"] == [call]


def test_read_joins_content_that_comes_in_parts():
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    assert read_message({"content": parts}).text == "ab"


@pytest.mark.parametrize(
    ("kind", "failure"),
    [
        ("null_stop", FailureKind.TRUNCATED_RESPONSE),
        ("cut_json", FailureKind.TRUNCATED_RESPONSE),
        ("not_json", FailureKind.BAD_RESPONSE),
        ("not_a_message", FailureKind.BAD_RESPONSE),
        ("error_200", FailureKind.OVERLOADED),
    ],
)
def test_read_of_an_unusable_body_is_a_failure(kind, failure):
    outcome = read_chat(chat_body("text", "m", 400, kind, ""))
    assert isinstance(outcome, Failure)
    assert outcome.kind is failure
