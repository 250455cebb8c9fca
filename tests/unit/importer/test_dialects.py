"""Messages as other tools write them, in Messages API form."""

import pytest

from runner.importer.dialects import read_conversation
from runner.importer.draft import Unusable

CALL = {"type": "tool_use", "id": "c1", "name": "look", "input": {"at": "sky"}}
RESULT = {"type": "tool_result", "tool_use_id": "c1", "content": "blue"}
EXPECTED = (
    {"role": "user", "content": "What colour?"},
    {"role": "assistant", "content": [{"type": "text", "text": "I look."}, CALL]},
    {"role": "user", "content": [RESULT]},
)
OPENAI = [
    {"role": "developer", "content": "Be brief."},
    {"role": "user", "content": [{"type": "text", "text": "What colour?"}]},
    {
        "role": "assistant",
        "content": "I look.",
        "tool_calls": [
            {
                "id": "c1",
                "type": "function",
                "function": {"name": "look", "arguments": '{"at": "sky"}'},
            }
        ],
    },
    {"role": "tool", "tool_call_id": "c1", "content": "blue"},
]
INSPECT = [
    {"role": "system", "content": "Be brief.", "source": "input"},
    {"role": "user", "content": "What colour?"},
    {
        "role": "assistant",
        "content": [
            {"type": "reasoning", "reasoning": "hm"},
            {"type": "text", "text": "I look."},
        ],
        "tool_calls": [{"id": "c1", "function": "look", "arguments": {"at": "sky"}}],
    },
    {"role": "tool", "tool_call_id": "c1", "function": "look", "content": "blue"},
]
MESSAGES = [{"role": "system", "content": "Be brief."}, *EXPECTED]
SHARE = [
    {"from": "system", "value": "Be brief."},
    {"from": "human", "value": "What colour?"},
    {
        "from": "gpt",
        "value": "I look.",
        "function_call": {"name": "look", "arguments": {"at": "sky"}},
    },
    {"from": "function", "name": "look", "value": "blue"},
]


@pytest.mark.parametrize("messages", [OPENAI, INSPECT, MESSAGES], ids=["chat", "inspect", "blocks"])
def test_conversation_of_each_tool_reads_the_same(messages):
    said = read_conversation(messages)
    assert said.system == "Be brief."
    assert said.messages == EXPECTED


def test_conversation_without_ids_pairs_calls_with_their_answers():
    said = read_conversation(SHARE)
    assert said.messages[1]["content"][1]["id"] == "call-1"
    assert said.messages[2]["content"][0] == {**RESULT, "tool_use_id": "call-1"}


def test_conversation_when_reasoning_is_left_out_says_so():
    assert "reasoning" in read_conversation(INSPECT).notes[0]


def test_conversation_joins_neighbours_of_one_role():
    said = read_conversation([{"role": "user", "content": "a"}, {"role": "user", "content": "b"}])
    assert said.messages == (
        {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
    )


@pytest.mark.parametrize(
    "tool",
    [
        {"name": "look", "description": "d", "input_schema": {"type": "object"}},
        {
            "type": "function",
            "function": {"name": "look", "description": "d", "parameters": {"type": "object"}},
        },
        {"name": "look", "description": "d", "parameters": {"type": "object"}},
    ],
)
def test_tools_of_each_form_read_the_same(tool):
    said = read_conversation([{"role": "user", "content": "x"}], [tool])
    assert said.tools == ({"name": "look", "description": "d", "input_schema": {"type": "object"}},)


@pytest.mark.parametrize(
    ("messages", "what"),
    [
        ([], "no messages"),
        ("text", "no messages"),
        (["text"], "message 1 is no object"),
        ([{"content": "x"}], "message 1 has no role"),
        ([{"role": "critic", "content": "x"}], "the role 'critic'"),
        ([{"role": "assistant", "content": "x"}], "begins with the assistant"),
        ([{"role": "system", "content": "x"}], "nothing but a system prompt"),
        ([{"role": "user", "content": " "}], "message 1 (user) is empty"),
        ([{"role": "user", "content": 3}], "neither text nor a list"),
        ([{"role": "user", "content": [{"type": "image", "source": {}}]}], "a part of type image"),
        ([*MESSAGES, {"role": "system", "content": "x"}], "a system prompt amid"),
        ([*MESSAGES[:3], {"role": "user", "content": "and?"}], "is not answered"),
        ([{"role": "user", "content": "x"}, {"role": "tool", "content": "y"}], "answer to no call"),
        ([*MESSAGES[:2], {"role": "user", "content": [RESULT]}], "which there is not"),
        ([*OPENAI[:2], {"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "{"}}]}],
         "without a name or JSON arguments"),
    ],
)  # fmt: skip
def test_conversation_when_it_cannot_be_sent_says_why(messages, what):
    with pytest.raises(Unusable) as caught:
        read_conversation(messages)
    assert what in str(caught.value)
