"""Messages before the first user text, and prompts that were written elsewhere."""

import pytest

from runner.config.schema import ProviderKind
from runner.core.errors import ConfigError
from runner.core.values import Job
from runner.scenarios.lint import lint
from tests.support.configurations import book_of, model, scenario, sweep
from tests.support.stages import reply

PLAIN = {"axes": {}, "system": None, "variables": {}}
ASKED = [{"role": "user", "content": "One {{ seed }}"}, {"role": "assistant", "content": "Two"}]
CALL = {"type": "tool_use", "id": "c1", "name": "look", "input": {}}
RESULT = {"type": "tool_result", "tool_use_id": "c1", "content": "blue"}


def messages(book, seed=0):
    return list(book.rollout(Job(0, seed)).conversation().messages)


def test_history_comes_before_user_and_is_filled_in_for_the_seed():
    book = book_of(**PLAIN, history=ASKED, user="Three {{ seed }}", turns=["Four"])
    assert [m["content"] for m in messages(book, 7)] == ["One 7", "Two", "Three 7"]
    rollout = book.rollout(Job(0, 7))
    assert not rollout.answer(reply(text="Said"))
    assert [m["role"] for m in rollout.conversation().messages] == [
        *("user", "assistant", "user", "assistant", "user")
    ]


def test_history_when_it_ends_with_the_user_takes_the_text_in():
    history = [*ASKED, {"role": "user", "content": "x"}]
    assert messages(book_of(**PLAIN, history=history, user="y"))[-1]["content"] == [
        {"type": "text", "text": "x"},
        {"type": "text", "text": "y"},
    ]


def test_history_is_part_of_the_identity_and_of_the_prompt():
    books = [
        book_of(**PLAIN, history=[ASKED[0], {"role": "assistant", "content": said}], user="x")
        for said in ("Two", "Too")
    ]
    first, second = (book.plan.cell(0) for book in books)
    assert first.digest != second.digest
    assert first.prompt_digest != second.prompt_digest
    said = books[0].identity_parts(0)["messages"]
    assert [m["role"] for m in said] == ["user", "assistant", "user"]
    assert books[0].parts(0)["messages.history"] != books[1].parts(0)["messages.history"]


def test_history_when_the_user_says_nothing_is_a_prefill_which_lint_holds_against_models():
    claude = {"provider": ProviderKind.anthropic, "base_url": None}
    given = scenario(**PLAIN, history=ASKED, user="")
    assert [m["role"] for m in messages(book_of(**PLAIN, history=ASKED, user=""))] == [
        "user",
        "assistant",
    ]
    models = [
        model("new", model="claude-opus-5", **claude),
        model("old", model="claude-opus-4-5", **claude),
    ]
    (found,) = lint(sweep(scenarios=[given], models=models))
    assert found.key == "scenarios.tone.history"
    assert "claude-opus-5 (new) answers 400" in found.what
    assert "leave the model out" in found.fix


@pytest.mark.parametrize(
    ("history", "key", "what"),
    [
        ([{"role": "system", "content": "x"}], "[0].role", "neither user nor assistant"),
        ([{"role": "assistant", "content": "x"}], "[0].role", "begins with the user"),
        ([{"role": "user", "content": "x", "name": "y"}], "[0]", "unknown key name"),
        ([{"role": "user"}], "[0].content", "neither a text nor a list"),
        ([{"role": "user", "content": []}], "[0].content", "is empty"),
        ([{"role": "user", "content": [CALL]}], "[0].content[0]", "has no place here"),
        ([{"role": "user", "content": [{"type": "text"}]}], "[0].content[0].text", "is missing"),
        ([{"role": "user", "content": [RESULT]}], "[0].content", "answers no call before it"),
    ],
)
def test_history_when_it_cannot_be_meant_names_the_place(history, key, what):
    with pytest.raises(ConfigError) as caught:
        book_of(**PLAIN, history=history, user="x")
    assert f"scenarios.tone.history{key}: " in str(caught.value)
    assert what in str(caught.value)


def test_prompts_are_literal_and_their_keys_are_variables():
    given = [
        {"id": "a", "user": "{{ seed }} $x", "target": "1"},
        {"id": "b", "user": "", "history": [*ASKED[:1]], "target": "2"},
    ]
    book = book_of(**PLAIN | {"system": "{{ system }}"}, prompts=given, user="{{ user }}",
                   grading={"target": "{{ target }}"})  # fmt: skip
    assert [c.condition for c in book.plan.cells] == ["prompt=a", "prompt=b"]
    assert messages(book) == [{"role": "user", "content": "{{ seed }} $x"}]
    said = book.rollout(Job(1, 3)).conversation()
    assert said.messages == ({"role": "user", "content": "One {{ seed }}"},)
    assert said.system is None
    assert book.grading(1) == {"target": "2"}


@pytest.mark.parametrize(
    ("given", "what"),
    [
        ([{"id": "a b", "user": "x"}], "prompts[0].id: 'a b'"),
        ([{"id": "a", "user": "x"}, {"id": "a", "user": "y"}], "occurs twice"),
        ([{"id": "a", "user": 3}], "prompts[0].user: is no text"),
        ([{"id": "a", "user": "x", "seed": 1}], "cannot be the name of a variable"),
        ([{"id": "a", "user": "x", "tools": [{"name": "f"}]}], "is no list of {name"),
        ([{"id": "a", "user": "\ufdd0"}], "U+FDD0"),
        ([{"id": "a", "user": "\ud800"}], "surrogate"),
        (
            [{"id": "a", "history": [{"role": "tool", "content": "x"}]}],
            "neither user nor assistant",
        ),
        ([3], "a prompt is an object"),
        ("nowhere.jsonl", "cannot be read"),
    ],
)
def test_prompts_when_one_cannot_be_meant_names_it(given, what):
    with pytest.raises(ConfigError) as caught:
        book_of(**PLAIN, prompts=given, user="{{ user }}")
    assert what in str(caught.value)


def test_prompts_file_when_a_line_is_wrong_names_file_and_line(tmp_path):
    path = tmp_path / "p.jsonl"
    path.write_text('{"id": "a", "user": "x"}\n{"id": "a", "user": "y"}\n{oops\n')
    with pytest.raises(ConfigError) as caught:
        book_of(**PLAIN, prompts=str(path), user="{{ user }}")
    assert f"{path}:2: id: the id 'a' occurs twice (the first: {path}:1)" in str(caught.value)
    assert f"{path}:3: no JSON" in str(caught.value)
