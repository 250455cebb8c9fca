"""From attempts at rest back to a rollout in mid-flight: what recovery and resume stand on.

Pure: a rollout is a deterministic function of its replies, and a reply of its body, so journalled
answers put a rollout exactly where the crash met it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

from runner.core.values import (
    TARGET,
    Attempt,
    Conversation,
    EndState,
    Failure,
    Finished,
    Job,
    Prepared,
    Reply,
)
from runner.scenarios.rollout import Rollout, Transcript

NEVER_CALLED = "never_called: the rollout ended and the model under test was never called"


class Codec(Protocol):
    """The pure half of a provider: how a request is written and an answer read."""

    def prepare(self, conversation: Conversation, seed: int) -> Prepared:
        """Return the request for a conversation."""
        ...

    def read(self, body: bytes) -> Reply | Failure:
        """Return what a response body says."""
        ...


class _NoRollout:
    """Stands where a rollout could not be built; asks nothing."""

    role = TARGET
    actor = None
    end_state = None

    def transcript(self) -> Transcript:
        """Return an empty conversation."""
        return Transcript(self.conversation(), whole=True)

    def notes(self) -> Mapping[str, object]:
        """Say nothing."""
        return {}

    def conversation(self) -> Conversation:
        """Return an empty conversation."""
        return Conversation(system=None, messages=())

    def answer(self, reply: Reply) -> bool:
        """End at once."""
        return reply is not None


@dataclass(slots=True, kw_only=True)
class Progressed:
    """A rollout, how far it came, and by which attempts."""

    job: Job
    rollout: Rollout
    conversation: Conversation
    """The one that waits for an answer, or, ended, the one answered last."""
    attempts: list[Attempt] = field(default_factory=list[Attempt])
    replies: list[Reply] = field(default_factory=list[Reply])
    ended: bool = False
    begun: dict[int, int] = field(default_factory=dict[int, int])
    """Turn to the highest number that this worker has sent, what it forgot or cancelled too."""

    @classmethod
    def unbuilt(cls, job: Job) -> Progressed:
        """Return the progress of a job whose rollout could not be built."""
        return cls(
            job=job, rollout=_NoRollout(), conversation=Conversation(system=None, messages=())
        )

    @property
    def turn(self) -> int:
        """Return the index of the next call."""
        return len(self.replies)

    def take(self, reply: Reply) -> None:
        """Feed the reply to the next call."""
        role, actor = self.rollout.role, self.rollout.actor
        if role != TARGET:
            reply = replace(reply, role=role, actor=actor)
        self.replies.append(reply)
        self.ended = self.rollout.answer(reply)
        if not self.ended:
            self.conversation = self.rollout.conversation()

    def begin(self) -> int:
        """Return the number of the next attempt at the next call, 1-based, and count it as sent."""
        turn = self.turn
        known = self.begun.get(turn, 0)
        for attempt in self.attempts:
            if attempt.turn == turn and attempt.number > known:
                known = attempt.number
        self.begun[turn] = known + 1
        return known + 1

    def size(self) -> int:
        """Return about how many bytes its answers hold."""
        if not self.attempts:
            return 0
        return sum([len(a.answer.body) for a in self.attempts if a.answer])

    def finished(
        self, at: float, end_state: EndState | None = None, error: str | None = None
    ) -> Finished:
        """Return the final value; without an end state, that of the rollout or its last reply.

        A rollout that ended although the model under test was never called is a failure.
        """
        own = [reply for reply in self.replies if reply.role == TARGET]
        if end_state is None and not own:
            end_state, error = EndState.FAILED, NEVER_CALLED
        said = self.rollout.transcript()
        return Finished(
            job=self.job,
            end_state=end_state or self.rollout.end_state or own[-1].end_state,
            attempts=tuple(self.attempts),
            conversation=said.conversation,
            replies=tuple(self.replies),
            finished_at=at,
            error=error,
            whole=said.whole,
            notes=self.rollout.notes(),
        )


def replay(
    job: Job,
    rollout: Rollout,
    codecs: Callable[[str | None], Codec],
    attempts: Iterable[Attempt],
) -> Progressed:
    """Put a rollout where its journalled attempts leave it.

    Args:
        job: the job.
        rollout: a new one.
        codecs: from the name of an actor (None: the model under test) to how it is spoken to.
        attempts: of the job, in any order.

    An answer counts only for the very request it answered (by digest), so turns that two workers
    added to different histories of one job are never mixed; of several answers to one request that
    of the worker that came furthest counts, else the first.
    """
    known = sorted(attempts, key=lambda a: (a.turn, a.number))
    progress = Progressed(
        job=job, rollout=rollout, conversation=rollout.conversation(), attempts=known
    )
    answered = [a for a in known if a.answer is not None]
    if not answered:  # the common case: a job that was never begun need not be rendered here
        return progress
    reach: dict[str, int] = {}
    for attempt in answered:
        reach[attempt.incarnation] = max(attempt.turn, reach.get(attempt.incarnation, 0))
    while answered and not progress.ended:
        codec = codecs(rollout.actor)
        digest = codec.prepare(progress.conversation, job.seed).digest
        fitting = [a for a in answered if a.turn == progress.turn and a.request_digest == digest]
        best = max(fitting, key=lambda a: reach[a.incarnation], default=None)
        if best is None or best.answer is None:
            break
        reply = codec.read(best.answer.body)
        if isinstance(reply, Failure):
            break  # journalled by another version of the reader: ask again
        progress.take(reply)
    return progress
