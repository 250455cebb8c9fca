"""From attempts at rest back to a rollout in mid-flight: what recovery and resume stand on.

Pure: a rollout is a deterministic function of its replies, and a reply of its body, so journalled
answers put a rollout exactly where the crash met it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
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
    used: list[Attempt] = field(default_factory=list[Attempt])
    """By turn, the attempt that brought the reply."""
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

    def take(self, reply: Reply, attempt: Attempt | None = None) -> None:
        """Feed a reply to the next call, and keep in mind which attempt brought it."""
        role, actor = self.rollout.role, self.rollout.actor
        if role != TARGET:
            reply = replace(reply, role=role, actor=actor)
        self.replies.append(reply)
        if attempt is not None:
            self.used.append(attempt)
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
            used=tuple(self.used),
        )


def replay(
    job: Job,
    make: Callable[[], Rollout],
    codecs: Callable[[str | None], Codec],
    attempts: Iterable[Attempt],
) -> Progressed:
    """Put a rollout where its journalled attempts leave it.

    An answer counts only for the very request it answered (by digest), so turns that two workers
    added to different histories of one job are never mixed. Where one request has several answers,
    the history that comes furthest is the one that goes on: what was paid for most is kept.

    Args:
        job: the job.
        make: returns a new rollout of it, each time.
        codecs: from the name of an actor (None: the model under test) to how it is spoken to.
        attempts: of the job, in any order.
    """
    known = sorted(attempts, key=lambda a: (a.turn, a.number))
    if not known:  # the common case
        rollout = make()
        return Progressed(job=job, rollout=rollout, conversation=rollout.conversation())
    answered = [a for a in known if a.answer is not None]
    return _Histories(job=job, make=make, codecs=codecs, known=known, answered=answered).furthest()


@dataclass(slots=True, kw_only=True)
class _Histories:
    """The ways that the answers of one job lead."""

    job: Job
    make: Callable[[], Rollout]
    codecs: Callable[[str | None], Codec]
    known: list[Attempt]
    answered: list[Attempt]

    def furthest(self, taken: Sequence[tuple[Reply, Attempt]] = ()) -> Progressed:
        """Follow the answers from where some replies lead; where ways part, each of them.

        Returns the first of those that ended, else of those with the most replies. There are at
        most as many ways as answers.
        """
        rollout = self.make()
        progress = Progressed(
            job=self.job,
            rollout=rollout,
            conversation=rollout.conversation(),
            attempts=self.known,
        )
        if not self.answered:
            return progress
        path = list(taken)
        for reply, attempt in taken:
            progress.take(reply, attempt)
        while not progress.ended:
            answers = self._next(progress)
            if not answers:
                break
            if len(answers) > 1:
                ways = [self.furthest([*path, answer]) for answer in answers]
                return max(ways, key=lambda way: (way.ended, way.turn))
            path += answers
            progress.take(*answers[0])
        return progress

    def _next(self, progress: Progressed) -> list[tuple[Reply, Attempt]]:
        """Return the different answers to the request that waits, each with who brought it."""
        codec = self.codecs(progress.rollout.actor)
        digest = codec.prepare(progress.conversation, self.job.seed).digest
        found: dict[bytes, tuple[Reply, Attempt]] = {}
        for attempt in self.answered:
            answer = attempt.answer
            if answer is None or (attempt.turn, attempt.request_digest) != (progress.turn, digest):
                continue
            if answer.body not in found:
                reply = codec.read(answer.body)
                # What another version of the reader took may be no answer: it is asked again.
                if not isinstance(reply, Failure):
                    found[answer.body] = reply, attempt
        return list(found.values())
