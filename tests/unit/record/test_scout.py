import json

import orjson
import pytest

from runner.core.values import Conversation, EndState, Reply, Usage
from runner.record import scout
from tests.support.records import reply_of

KEY = "ab" * 20
TEXT = {"type": "text", "text": "A line."}
CALL = {"type": "tool_use", "id": "t1", "name": "send_email", "input": {"to": "kyle"}}


def convert(*replies: Reply, messages=({"role": "user", "content": "Go."},), system="Sys."):
    conversation = Conversation(system=system, messages=messages)
    return scout.to_messages(KEY, conversation, replies, append_last=True)


def read_back(converted, replies):
    text, whole = scout.dump(converted.messages)
    raw = None if whole and converted.exact else scout.dump_raw(replies).decode()
    return raw, scout.reply_blocks(text.decode(), raw)


def test_messages_when_one_turn_then_roles_sources_and_ids_are_inspects():
    converted = convert(reply_of([TEXT]))

    assert converted.messages == [
        {"role": "system", "content": "Sys.", "source": "input", "id": "abababababababab-0"},
        {"role": "user", "content": "Go.", "source": "input", "id": "abababababababab-1"},
        {
            "role": "assistant",
            "content": [TEXT],
            "source": "generate",
            "model": "claude-opus-4-5-20260101",
            "id": "abababababababab-2",
        },
    ]
    assert converted.exact


def test_messages_when_tools_are_used_then_result_becomes_a_tool_message_with_its_function():
    first, last = reply_of([TEXT, CALL], "tool_use"), reply_of([TEXT])
    result = {"type": "tool_result", "tool_use_id": "t1", "content": "sent", "is_error": True}
    messages = [
        {"role": "user", "content": "Go."},
        {"role": "assistant", "content": list(first.content)},
        {"role": "user", "content": [result, {"type": "text", "text": "Go on."}]},
    ]

    converted = convert(first, last, messages=messages, system=None)

    assert [m["role"] for m in converted.messages] == [
        *("user", "assistant", "tool", "user", "assistant")
    ]
    assert converted.messages[1]["tool_calls"] == [
        {"id": "t1", "function": "send_email", "arguments": {"to": "kyle"}, "type": "function"}
    ]
    tool = converted.messages[2]
    assert (tool["function"], tool["tool_call_id"], tool["content"]) == ("send_email", "t1", "sent")
    assert tool["error"] == {"type": "unknown", "message": "sent"}
    raw, blocks = read_back(converted, (first, last))
    assert raw is None
    assert blocks == [[TEXT, CALL], [TEXT]]


def test_messages_when_the_prompt_holds_assistant_turns_then_they_are_no_replies():
    messages = [
        {"role": "user", "content": "Go."},
        {"role": "assistant", "content": "An example."},
        {"role": "user", "content": "Again."},
    ]
    reply = reply_of([TEXT])

    raw, blocks = read_back(convert(reply, messages=messages), (reply,))

    assert raw is None
    assert blocks == [[TEXT]]


@pytest.mark.parametrize(
    ("content", "needs_raw"),
    [
        ([{"type": "thinking", "thinking": "hm", "signature": "sig"}, TEXT], False),
        ([{"type": "thinking", "thinking": "hm"}, TEXT], False),
        ([{"type": "redacted_thinking", "data": "xyz"}, TEXT], False),
        ([{"type": "server_tool_use", "id": "s", "name": "web", "input": {}}, TEXT], False),
        ([TEXT, CALL], False),
        ([], False),
        ([CALL, TEXT], True),
        ([{**TEXT, "citations": [{"cited_text": "x"}]}], True),
        ([{"type": "tool_use", "id": "t1", "name": "f", "input": "no object"}, TEXT], False),
        ([{"type": "text", "text": "nul \0 and \x1b[31m"}], False),
        ([{"type": "text", "text": "lone \ud800"}], True),
        ([{"type": "tool_use", "id": "t1", "name": "f", "input": {"n": 2**70}}], True),
    ],
)
def test_blocks_when_read_back_then_none_is_lost(content, needs_raw):
    reply = reply_of(content)

    raw, blocks = read_back(convert(reply), (reply,))

    assert blocks == [content]
    assert (raw is not None) is needs_raw


def test_dump_when_text_has_lone_surrogates_then_strict_readers_accept_it():
    text, whole = scout.dump({"a": "x\ud800y", "n": float("nan")})

    assert orjson.loads(text) == {"a": "x�y", "n": None}
    assert not whole


def test_raw_content_when_strict_readers_would_refuse_it_then_it_is_wrapped():
    reply = Reply(
        content=({"type": "text", "text": "\udfff"},),
        stop_reason="end_turn",
        end_state=EndState.ANSWERED,
        usage=Usage(),
        model="m",
    )

    assert list(json.loads(scout.dump_raw([reply]))) == ["base64"]
