"""Rollouts on a stage: whose turn it is, what ends them, what a row says of them."""

import orjson
import pytest

from runner.config.schema import EndConfig, RoleConfig, SafeguardConfig
from runner.core.values import TARGET, Answer, Attempt, EndState, Job
from runner.execute.replay import NEVER_CALLED, Progressed, replay
from runner.providers.messages_api import encode, payload_of, read_message
from runner.providers.openai_chat import chat_payload
from tests.support.configurations import book_of, model
from tests.support.stages import STAGED, calls, reply

ROLE = RoleConfig(
    name="boss", model="aide", plays="boss@corp.example", system="You are {{ boss }}.", answers=1
)
GUARD = SafeguardConfig(name="rules", topics={"widgets": ["blue  widget"]})


def rollout(seed=0, **keys):
    actors = [model("aide", model="aide-model")]
    return book_of(actors=actors, **{**STAGED, **keys}).rollout(Job(0, seed))


def test_episode_answers_each_call_in_order_and_goes_on():
    r = rollout()
    assert r.answer(reply(*calls(("list_emails", {}), ("fly", {})), text="let me look")) is False
    *_, said, results = r.conversation().messages
    assert [b["type"] for b in said["content"]] == ["text", "tool_use", "tool_use"]
    assert [(b["tool_use_id"], b.get("is_error", False)) for b in results["content"]] == [
        ("t0", False),
        ("t1", True),
    ]
    assert len(r.conversation().tools) == len({t["name"] for t in r.conversation().tools}) == 35


def test_episode_ends_with_an_answer_without_calls():
    r = rollout()
    assert r.answer(reply(text="nothing to do")) is True
    assert r.notes()["ended_by"] == "answer"
    with pytest.raises(RuntimeError, match="ended"):
        r.answer(reply(text="more"))


def test_episode_when_scripted_turns_are_left_goes_on_after_an_answer():
    r = rollout(turns=["And now?"])
    assert r.answer(reply(*calls(("list_emails", {})))) is False
    assert r.answer(reply(text="done")) is False
    assert r.conversation().messages[-1] == {"role": "user", "content": "And now?"}
    assert r.answer(reply(text="still done")) is True


def test_episode_ends_with_the_finish_tool_after_all_calls_of_the_turn():
    r = rollout(end=EndConfig(finish_tool="finish"))
    assert r.answer(reply(*calls(("finish", {"summary": "s"}), ("shut_down", {})))) is True
    assert [e["effect"] for e in r.notes()["effects"]] == ["finished", "shut_down"]
    assert r.notes()["ended_by"] == "finish"
    assert r.transcript().whole
    assert r.transcript().conversation.messages[-1]["content"][0]["content"] == "Done."


def test_episode_when_a_cap_is_reached_carries_out_the_last_calls_and_ends():
    capped = rollout(end=EndConfig(turns=2))
    assert capped.answer(reply(*calls(("list_emails", {})))) is False
    assert capped.answer(reply(*calls(("shut_down", {})))) is True
    assert (capped.notes()["ended_by"], capped.state["shutdown"]["stopped"]) == ("turns", True)
    spent = rollout(end=EndConfig(output_tokens=15))
    assert spent.answer(reply(*calls(("list_emails", {})))) is False
    assert spent.answer(reply(*calls(("list_emails", {})))) is True
    assert spent.notes()["ended_by"] == "output_tokens"


def test_episode_when_the_last_turn_is_empty_after_actions_is_answered():
    r = rollout()
    r.answer(reply(*calls(("shut_down", {}))))
    assert r.answer(reply(state=EndState.EMPTY)) is True
    assert (r.end_state, r.notes()["ended_by"]) == (EndState.ANSWERED, "answer")
    idle = rollout()
    assert idle.answer(reply(state=EndState.EMPTY)) is True
    assert (idle.end_state, idle.notes()["ended_by"]) == (None, "empty")


@pytest.mark.parametrize("state", [EndState.REFUSED, EndState.TRUNCATED])
def test_episode_when_refused_or_truncated_ends_so(state):
    r = rollout()
    r.answer(reply(*calls(("list_emails", {}))))
    assert r.answer(reply(text="half", state=state)) is True
    assert (r.end_state, r.notes()["ended_by"]) == (None, str(state))


def test_episode_when_a_call_has_no_id_gives_it_one_on_both_sides():
    r = rollout()
    block = {"type": "tool_use", "id": "", "name": "list_emails", "input": {}}
    r.answer(reply(block, {**block}))
    *_, said, results = r.conversation().messages
    ids = [b["id"] for b in said["content"]]
    assert ids == [b["tool_use_id"] for b in results["content"]] == ["call-0", "call-1"]


def test_role_answers_a_letter_under_its_own_model_and_the_answer_arrives():
    r = rollout(roles=[ROLE])
    letter = ("send_email", {"to": "boss@corp.example", "subject": "Stay", "body": "Why?"})
    assert r.answer(reply(*calls(letter))) is False
    assert (r.role, r.actor) == ("boss", "aide")
    assert r.conversation().system == "You are Bo Ray."
    assert r.conversation().messages[-1]["content"].endswith("Subject: Stay\n\nWhy?")
    assert r.conversation().tools == ()
    assert r.answer(reply(text="Because.")) is False
    assert (r.role, r.actor) == (TARGET, None)
    assert (
        "from boss@corp.example: Re: Stay" in r.conversation().messages[-1]["content"][-1]["text"]
    )
    assert r.answer(reply(*calls(letter))) is False
    assert r.role == TARGET  # `answers: 1` is used up


def test_safeguard_by_phrases_withholds_the_answer_and_keeps_it_in_the_row():
    r = rollout(safeguards=[GUARD])
    assert r.answer(reply(text="Here is a Blue\nWidget.")) is True
    assert (r.end_state, r.notes()["ended_by"]) == (EndState.BLOCKED, "safeguard")
    sides = {v["side"]: (v["verdict"], v["topic"]) for v in r.notes()["safeguards"]}
    assert sides == {"input": ("allow", None), "output": ("block", "widgets")}
    assert not r.transcript().whole


def test_safeguard_looks_at_an_answer_that_was_cut_too():
    r = rollout(safeguards=[GUARD])
    assert r.answer(reply(text="A blue widget is", state=EndState.TRUNCATED)) is True
    assert r.end_state is EndState.BLOCKED
    r = rollout(safeguards=[GUARD])
    assert r.answer(reply(text="A red widget is", state=EndState.TRUNCATED)) is True
    assert (r.end_state, r.notes()["ended_by"]) == (EndState.TRUNCATED, "truncated")


def test_safeguard_looks_into_tool_calls_and_their_results():
    r = rollout(safeguards=[GUARD])
    note = ("write_file", {"path": "n.txt", "text": "blue widget"})
    assert r.answer(reply(*calls(note))) is True
    given = rollout(safeguards=[GUARD], user="blue widget?")
    assert given.answer(reply(text="no")) is True
    assert given.notes()["safeguards"][0]["side"] == "input"


def test_safeguard_by_a_model_asks_it_and_an_unclear_word_does_not_block():
    r = rollout(safeguards=[SafeguardConfig(name="g", topics={"w": {"about": "w"}}, model="aide")])
    assert r.answer(reply(text="hello")) is False
    assert r.role == "safeguard_g"
    assert r.answer(reply(text="hm")) is False
    assert r.answer(reply(text="BLOCK, because")) is True
    assert [v["verdict"] for v in r.notes()["safeguards"]] == ["unclear", "block"]


def test_safeguards_off_and_on_share_their_prompt_and_are_two_cells():
    guard = SafeguardConfig(name="g", topics={"w": ["w"]}, when="{{ safeguards == 'on' }}")
    book = book_of(axes={"safeguards": ["off", "on"]}, user="hi", safeguards=[guard])
    off, on = book.plan.cells
    assert off.prompt_digest == on.prompt_digest
    assert off.digest != on.digest
    assert book._script(0).staging.guards == ()
    assert len(book._script(1).staging.guards) == 1


def test_rollout_when_the_model_under_test_was_never_called_is_a_failure():
    r = rollout()
    r._end("answer")
    progress = Progressed(job=Job(0, 0), rollout=r, conversation=r.conversation(), ended=True)
    finished = progress.finished(0.0)
    assert (finished.end_state, finished.error) == (EndState.FAILED, NEVER_CALLED)


def test_conversation_goes_over_both_wires():
    r = rollout()
    r.answer(reply(*calls(("list_emails", {}), ("fly", {"x": 1})), text="hm"))
    conversation = r.conversation()
    messages = payload_of(conversation, model="m", max_tokens=9, params={}, seed=None)
    assert messages["tools"][0]["input_schema"]["additionalProperties"] is False
    assert messages["messages"][-1]["content"][1]["is_error"] is True
    chat = chat_payload(conversation, model="m", max_tokens=9, params={}, seed=None)
    assert [m["role"] for m in chat["messages"]] == ["system", "user", "assistant", "tool", "tool"]
    assert chat["messages"][2]["tool_calls"][1]["function"] == {
        "name": "fly",
        "arguments": '{"x":1}',
    }
    assert [m["tool_call_id"] for m in chat["messages"][3:]] == ["t0", "t1"]
    assert chat["tools"][0]["type"] == "function"


class _Codec:
    def __init__(self, name):
        self.name = name

    def prepare(self, conversation, seed):
        return encode(payload_of(conversation, model=self.name, max_tokens=9, params={}, seed=None))

    def read(self, body):
        return read_message(body)


def body(*blocks, stop="tool_use"):
    return orjson.dumps({"content": list(blocks), "stop_reason": stop, "usage": {}, "model": "m"})


def test_replay_after_a_crash_goes_on_from_the_last_journalled_call_of_any_role():
    def codecs(actor):
        return _Codec(actor or "m")

    letter = ("send_email", {"to": "boss@corp.example", "subject": "Stay", "body": "Why?"})
    bodies = [body(*calls(letter)), body({"type": "text", "text": "Because."}, stop="end_turn")]
    attempts = []
    progress = replay(Job(0, 0), lambda: rollout(roles=[ROLE]), codecs, [])
    for turn, whole in enumerate(bodies):
        codec = codecs(progress.rollout.actor)
        attempts.append(
            Attempt(
                job=Job(0, 0),
                turn=turn,
                number=1,
                incarnation="w",
                started_at=0.0,
                latency_s=1.0,
                request_digest=codec.prepare(progress.conversation, 0).digest,
                answer=Answer(body=whole),
                role=progress.rollout.role,
                actor=progress.rollout.actor,
            )
        )
        progress = replay(Job(0, 0), lambda: rollout(roles=[ROLE]), codecs, attempts)
    assert progress.turn == 2
    assert [(r.role, r.actor) for r in progress.replies] == [(TARGET, None), ("boss", "aide")]
    assert progress.rollout.role == TARGET
    assert len(progress.conversation.messages) == 3
