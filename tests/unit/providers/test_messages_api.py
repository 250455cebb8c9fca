from __future__ import annotations

from types import MappingProxyType

import orjson
import pytest

from runner.core.values import (
    Answer,
    Conversation,
    EndState,
    Failure,
    FailureKind,
    Reply,
    Usage,
)
from runner.providers.messages_api import STOP_REASONS, encode, payload_of, read_message
from tests.support.standin_faults import message_body

HELLO = Conversation(system=None, messages=[{"role": "user", "content": "hello"}])


def read(kind: str | None, text: str = "An answer.") -> Reply:
    reply = read_message(message_body(text, "m-1", 400, kind, ""))
    assert isinstance(reply, Reply)
    return reply


def test_payload_passes_params_through_and_leaves_out_what_is_not_given():
    payload = payload_of(
        HELLO,
        model="m",
        max_tokens=5,
        params={"thinking": {"type": "adaptive"}, "stop_sequences": ["END"]},
        seed=None,
    )
    assert payload == {
        "model": "m",
        "max_tokens": 5,
        "thinking": {"type": "adaptive"},
        "stop_sequences": ["END"],
        "messages": [{"role": "user", "content": "hello"}],
    }


def test_payload_holds_seed_system_and_tools_where_given():
    tool = {"name": "send", "description": "", "input_schema": {"type": "object"}}
    told = Conversation(system="be brief", messages=HELLO.messages, tools=[tool])
    payload = payload_of(told, model="m", max_tokens=5, params={}, seed=7)
    assert (payload["seed"], payload["system"], payload["tools"]) == (7, "be brief", [tool])


def test_encode_gives_the_same_bytes_and_digest_each_time():
    message = MappingProxyType({"role": "user", "content": "hé"})
    first, second = (encode({"messages": (message,)}) for _ in range(2))
    assert first.body == second.body == '{"messages":[{"role":"user","content":"hé"}]}'.encode()
    assert first.digest == second.digest


@pytest.mark.parametrize(
    ("kind", "stop_reason", "end_state"),
    [
        (None, "end_turn", EndState.ANSWERED),
        ("stop_sequence", "stop_sequence", EndState.ANSWERED),
        ("tool_use", "tool_use", EndState.ANSWERED),
        ("thinking", "end_turn", EndState.ANSWERED),
        ("max_tokens", "max_tokens", EndState.TRUNCATED),
        ("context_window", "model_context_window_exceeded", EndState.TRUNCATED),
        ("refusal", "refusal", EndState.REFUSED),
        ("empty", "end_turn", EndState.EMPTY),
        ("pause_turn", "pause_turn", EndState.TRUNCATED),
        ("odd_stop", "something_new", EndState.TRUNCATED),
    ],
)
def test_read_gives_every_stop_reason_its_end_state(kind, stop_reason, end_state):
    reply = read(kind)
    assert (reply.stop_reason, reply.end_state) == (stop_reason, end_state)
    assert reply.continues == (kind == "pause_turn")


def test_every_documented_stop_reason_is_in_the_table():
    documented = {
        "end_turn", "max_tokens", "stop_sequence", "tool_use", "pause_turn", "refusal",
        "model_context_window_exceeded",
    }  # fmt: skip
    assert set(STOP_REASONS) == documented


def test_read_takes_white_space_for_an_empty_answer():
    assert read(None, " \n").end_state is EndState.EMPTY


def test_read_keeps_all_blocks_usage_and_the_returned_model():
    reply = read("thinking")
    assert [b["type"] for b in reply.content] == ["thinking", "text"]
    assert reply.content[0]["signature"] == "c2ln"
    assert reply.text == "An answer."
    assert reply.model == "m-1"
    assert reply.usage == Usage(
        input_tokens=100,
        output_tokens=2,
        cache_read_tokens=5,
        cache_write_tokens=3,
        reasoning_tokens=7,
    )


def test_read_keeps_control_characters_as_they_are():
    assert read("control").text == "\x1b[31mred\x00\x07 \u202e end"


def test_read_repairs_half_a_surrogate_pair():
    text = read("surrogate").text
    assert text.startswith("half a pair: ")
    text.encode()


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
    outcome = read_message(message_body("text", "m", 400, kind, ""))
    assert isinstance(outcome, Failure)
    assert outcome.kind is failure
    assert outcome.status == 200


def test_read_depends_on_the_body_alone():
    body = message_body("text", "m", 400, "tool_use", "")
    answer = Answer(body=body, request_id="a")
    assert read_message(answer.body) == read_message(bytes(body))


def test_read_does_not_trust_types():
    body = {"content": [{"type": "text", "text": 3}], "stop_reason": "end_turn", "usage": []}
    reply = read_message(orjson.dumps(body))
    assert isinstance(reply, Reply)
    assert reply.end_state is EndState.EMPTY
    assert reply.usage == Usage()
    assert reply.model == ""
