"""Whatever a server sends, reading it gives a value, and the value can be kept and replayed."""

from __future__ import annotations

import json
import pickle

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.core.values import RECORDED_STATES, Conversation, Failure, FailureKind, Reply
from runner.providers.classify import FAILURES, classify
from runner.providers.headers import MAX_MESSAGE, Redactor, error_facts
from runner.providers.messages_api import read_message
from runner.providers.openai_chat import chat_payload, read_chat
from tests.support.standin_faults import ANSWER_FAULTS, chat_body, message_body

KEY = "planted-key-0123456789"
READERS = {"anthropic": (read_message, message_body), "openai": (read_chat, chat_body)}

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
names = st.sampled_from(
    ["content", "stop_reason", "usage", "model", "choices", "message", "finish_reason", "error",
     "type", "text", "tool_calls", "function", "arguments", "details", "input_tokens", "refusal",
     "prompt_tokens_details", "cached_tokens", "reasoning", "code", "id", "name"]
)  # fmt: skip
shapes = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=6)
)


def check(outcome: Reply | Failure) -> None:
    assert pickle.loads(pickle.dumps(outcome)) == outcome or "nan" in repr(outcome)
    if isinstance(outcome, Reply):
        assert outcome.end_state in RECORDED_STATES
        assert isinstance(outcome.text, str)
    else:
        assert len(outcome.message) <= MAX_MESSAGE


@pytest.mark.parametrize("wire", READERS)
@given(shape=shapes)
def test_read_of_any_json_is_a_reply_or_a_failure(wire, shape):
    check(READERS[wire][0](json.dumps(shape).encode()))


@pytest.mark.parametrize("wire", READERS)
@given(body=st.binary(max_size=200))
def test_read_of_any_bytes_is_a_reply_or_a_failure(wire, body):
    check(READERS[wire][0](body))


@pytest.mark.parametrize("wire", READERS)
@given(kind=st.sampled_from(sorted(ANSWER_FAULTS)), cut=st.integers(0, 2000))
def test_read_of_a_body_cut_anywhere_is_never_an_answer(wire, kind, cut):
    read, make = READERS[wire]
    whole = make("An answer.", "m", 400, kind, "")
    if cut < len(whole):
        assert isinstance(read(whole[:cut]), Failure)


@given(
    st.none() | st.integers(-1, 10_000),
    st.none()
    | st.sampled_from(["api_error", "not_found_error", "invalid_request_error"])
    | st.text(),
    st.none() | st.text(),
    st.text(),
)
def test_classify_of_anything_is_a_row_of_the_table(status, error_type, error_code, message):
    assert classify(status, error_type, error_code, message) in FAILURES


@given(st.integers(500, 599))
def test_classify_of_every_server_error_is_tried_again(status):
    assert FAILURES[classify(status)].retry


@given(st.binary(max_size=300))
def test_error_facts_of_any_bytes_are_text(body):
    assert isinstance(error_facts(body)[2], str)


@given(st.text(), st.text(), st.integers(0, 3))
def test_redactor_never_lets_the_key_through(before, after, copies):
    text = before + KEY * copies + after
    assert KEY not in Redactor(KEY).text(text)
    assert KEY.encode() not in Redactor(KEY).body(text.encode("utf-8", "replace"))


@given(st.text(max_size=600))
def test_redactor_leaves_no_control_code(text):
    cleaned = Redactor(None).text(text)
    assert len(cleaned) <= MAX_MESSAGE
    assert not any(ord(c) < 32 or 0x7F <= ord(c) < 0xA0 for c in cleaned)


tool_inputs = st.dictionaries(st.text(), st.integers(-(2**53), 2**53) | st.text(), max_size=3)


@given(st.lists(tool_inputs, min_size=1, max_size=3), st.text(min_size=1))
def test_chat_form_of_an_assistant_turn_reads_back_as_it_was(inputs, text):
    blocks = [{"type": "text", "text": text}] + [
        {"type": "tool_use", "id": f"c{i}", "name": "f", "input": given_}
        for i, given_ in enumerate(inputs)
    ]
    turn = Conversation(system=None, messages=[{"role": "assistant", "content": blocks}])
    sent = chat_payload(turn, model="m", max_tokens=1, params={}, seed=None)["messages"][0]
    choice = {"message": sent, "finish_reason": "tool_calls"}
    try:
        body = orjson.dumps({"choices": [choice]})
    except orjson.JSONEncodeError:
        return  # half a surrogate pair, which no request can carry
    reply = read_chat(body)
    assert isinstance(reply, Reply)
    assert list(reply.content) == blocks


def test_failure_kinds_that_readers_give_are_tried_again():
    for kind in (FailureKind.TRUNCATED_RESPONSE, FailureKind.BAD_RESPONSE):
        assert FAILURES[kind].retry
