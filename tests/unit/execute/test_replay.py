"""Where journalled answers lead, if a job has more than one history."""

from __future__ import annotations

from runner.core.values import Answer, Attempt, Conversation, Job
from runner.execute.replay import replay
from runner.record.columns import used
from runner.scenarios.rollout import Transcript
from tests.unit.scenarios.test_episode import _Codec, body

JOB = Job(0, 0)


class Counting:
    """A rollout whose requests quote every answer before; it ends after so many turns."""

    role = "target"
    actor = None
    end_state = None

    def __init__(self, turns: int) -> None:
        self._left = turns
        self._said: list[dict[str, object]] = []

    def conversation(self) -> Conversation:
        return Conversation(system=None, messages=list(self._said))

    def transcript(self) -> Transcript:
        return Transcript(self.conversation(), whole=True)

    def notes(self) -> dict[str, object]:
        return {}

    def answer(self, reply) -> bool:
        self._said.append({"role": "assistant", "content": list(reply.content)})
        self._left -= 1
        return self._left == 0


def history(incarnation: str, texts: list[str], turns: int) -> list[Attempt]:
    """Return the attempts of a worker that was answered so."""
    rollout, found = Counting(turns), []
    for turn, text in enumerate(texts):
        answer = body({"type": "text", "text": text}, stop="end_turn")
        digest = _Codec("m").prepare(rollout.conversation(), 0).digest
        found.append(
            Attempt(
                job=JOB,
                turn=turn,
                number=1,
                incarnation=incarnation,
                started_at=0.0,
                latency_s=1.0,
                request_digest=digest,
                answer=Answer(body=answer),
            )
        )
        rollout.answer(_Codec("m").read(answer))
    return found


def said(attempts: list[Attempt], turns: int = 9) -> list[str]:
    progress = replay(JOB, lambda: Counting(turns), lambda _: _Codec("m"), attempts)
    return [reply.content[0]["text"] for reply in progress.replies]


def test_longest_history_goes_on_though_its_turns_were_answered_to_several_workers():
    long = history("w1", ["a", "b", "c"], 9)
    relay = [*long[:1], *(a for a in history("w2", ["a", "b", "c"], 9)[1:])]
    other = history("w3", ["x", "y"], 9)
    # w3 alone came as far as any single worker's last turn but one; the relay's chain is longer.
    assert said([*other, *relay]) == ["a", "b", "c"]
    assert said([*relay, *other]) == ["a", "b", "c"]


def test_worker_that_once_came_far_does_not_draw_a_replay_into_a_history_that_is_short():
    # w1 answered turn 0 twice over its lives: its far turn belongs to the other history.
    far = history("w1", ["a", "b", "c", "d"], 9)[3:]
    short = history("w1", ["x"], 9)
    longer = history("w2", ["p", "q"], 9)
    assert said([*far, *short, *longer]) == ["p", "q"]


def test_history_that_ended_wins_over_one_that_would_have_to_be_paid_further():
    class Ends(Counting):
        def answer(self, reply) -> bool:
            super().answer(reply)
            return reply.content[0]["text"] == "end"

    ended = history("w1", ["end"], 9)
    open_ = history("w2", ["x", "y"], 9)
    progress = replay(JOB, lambda: Ends(9), lambda _: _Codec("m"), [*open_, *ended])
    assert progress.ended
    assert progress.turn == 1


def test_row_says_of_each_turn_which_attempt_brought_its_answer_not_the_first_that_was_answered():
    short, longer = history("w1", ["x"], 2), history("w2", ["p", "q"], 2)
    progress = replay(JOB, lambda: Counting(2), lambda _: _Codec("m"), [*short, *longer])
    found = used(progress.finished(0.0))
    assert [found[turn].incarnation for turn in (0, 1)] == ["w2", "w2"]


def test_of_equally_long_histories_the_first_goes_on():
    assert said([*history("w1", ["a"], 9), *history("w2", ["b"], 9)]) == ["a"]
