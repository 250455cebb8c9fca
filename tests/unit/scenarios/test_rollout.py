import pytest

from runner.core.values import EndState, Job, Reply, Usage
from runner.scenarios.rollout import MAX_CONTINUATIONS
from tests.support.configurations import book_of

THINKING = {"type": "thinking", "thinking": "hm", "signature": "s"}


def reply(text="ok", *blocks, state=EndState.ANSWERED, continues=False):
    content = (*blocks, {"type": "text", "text": text}) if text else blocks
    return Reply(
        content=content,
        stop_reason="pause_turn" if continues else "end_turn",
        end_state=state,
        usage=Usage(),
        model="m",
        continues=continues,
    )


def rollout(turns=2, **keys):
    later = [f"turn {i} for {{{{ seed }}}}" for i in range(1, turns)]
    return book_of(axes={}, user="turn 0", turns=later, **keys).rollout(Job(0, 5))


def said(r):
    return [(m["role"], m["content"]) for m in r.conversation().messages]


def test_single_turn_ends_with_its_answer():
    r = rollout(1)
    assert said(r) == [("user", "turn 0")]
    assert r.answer(reply()) is True
    with pytest.raises(RuntimeError, match="ended"):
        r.answer(reply())


def test_turns_keep_every_block_of_the_answers():
    r = rollout(3)
    assert r.answer(reply("a", THINKING)) is False
    assert r.answer(reply("b")) is False
    assert said(r) == [
        ("user", "turn 0"),
        ("assistant", [THINKING, {"type": "text", "text": "a"}]),
        ("user", "turn 1 for 5"),
        ("assistant", [{"type": "text", "text": "b"}]),
        ("user", "turn 2 for 5"),
    ]
    assert r.answer(reply("c")) is True


@pytest.mark.parametrize("state", [EndState.TRUNCATED, EndState.REFUSED, EndState.EMPTY])
def test_rollout_when_an_answer_is_cut_refused_or_empty_ends_early(state):
    assert rollout(3).answer(reply("x", state=state)) is True


def test_rollout_when_a_tool_is_called_ends_since_nothing_answers_it():
    call = {"type": "tool_use", "id": "1", "name": "t", "input": {}}
    assert rollout(3).answer(reply("", call)) is True


def test_paused_turn_is_sent_back_as_one_message_and_is_no_turn():
    r = rollout(2)
    assert r.answer(reply("a", THINKING, continues=True)) is False
    assert r.answer(reply("b", continues=True)) is False
    parts = [THINKING, {"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    assert said(r) == [("user", "turn 0"), ("assistant", parts)]
    assert r.answer(reply("c")) is False
    whole = [*parts, {"type": "text", "text": "c"}]
    assert said(r) == [("user", "turn 0"), ("assistant", whole), ("user", "turn 1 for 5")]
    assert r.answer(reply("d")) is True


def test_paused_turn_when_it_never_ends_is_bounded():
    r = rollout(2)
    for _ in range(MAX_CONTINUATIONS):
        assert r.answer(reply("a", continues=True)) is False
    assert r.answer(reply("a", continues=True)) is True


def test_paused_turn_when_empty_cannot_be_sent_back_and_ends():
    assert rollout(2).answer(reply("", continues=True)) is True


def test_conversations_that_were_handed_out_do_not_change_later():
    r = rollout(3)
    first = r.conversation()
    r.answer(reply("a", continues=True))
    paused = r.conversation()
    before = [dict(m) for m in paused.messages]
    r.answer(reply("b"))
    assert len(first.messages) == 1
    assert [dict(m) for m in paused.messages] == before


def test_static_prompt_is_shared_between_jobs():
    book = book_of(user="{{ tone }} {{ topic }}")
    assert book.rollout(Job(0, 1)).conversation() is book.rollout(Job(0, 2)).conversation()
