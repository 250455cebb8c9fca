"""One rollout: what to send next, given the replies so far. Pure and deterministic.

Recovery feeds the journalled replies to a new rollout of the same job and gets the same
conversations; nothing here may depend on anything but script, seed and replies.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from runner.core.values import TARGET, Block, Conversation, EndState, Reply
from runner.scenarios.script import Script

MAX_CONTINUATIONS = 8
"""How often a paused turn is sent back before the rollout ends with what it has."""

ENDING_STATES = frozenset({EndState.TRUNCATED, EndState.REFUSED, EndState.EMPTY})
"""A reply in one of these ends the rollout with that state, scripted turns left or not."""


class Transcript(NamedTuple):
    """What passed between the scenario and the model under test."""

    conversation: Conversation
    whole: bool
    """The conversation holds the model's last reply; else that reply follows it."""


class Rollout(Protocol):
    """The course of one job."""

    @property
    def role(self) -> str:
        """Return who answers next: `target`, or a role that another model plays."""
        ...

    @property
    def actor(self) -> str | None:
        """Return the configured name of the model that answers next; None: the one under test."""
        ...

    @property
    def end_state(self) -> EndState | None:
        """Return the end state where it is not that of the model's last reply."""
        ...

    def transcript(self) -> Transcript:
        """Return the conversation of the model under test, whoever answers next."""
        ...

    def notes(self) -> Mapping[str, Any]:
        """Return what the row says beside the messages (`Finished.notes`)."""
        ...

    def conversation(self) -> Conversation:
        """Return what to send next; after the end, the last conversation that was sent."""
        ...

    def answer(self, reply: Reply) -> bool:
        """Take the reply to `conversation()`; True means that the rollout has ended.

        Its end state is then that of the last reply.

        Raises:
            RuntimeError: it had ended before.
        """
        ...


class ScriptedRollout:
    """Sends the scripted user turns one after the other, keeping every block of each answer.

    Ends after the answer to the last turn; earlier where an answer is truncated, refused or
    empty, or calls a tool while turns are left, since this environment answers no tool call.
    """

    __slots__ = (
        "_continuations",
        "_conversation",
        "_ended",
        "_how",
        "_partial",
        "_script",
        "_seed",
        "_turn",
    )

    def __init__(self, script: Script, seed: int) -> None:
        """Start before the first request."""
        self._script = script
        self._seed = seed
        self._conversation = script.static_start or script.start(seed)
        self._turn = 0
        self._continuations = 0
        self._partial: list[Block] = []
        self._ended = False
        self._how: str | None = None

    role = TARGET
    actor = None
    end_state = None

    def conversation(self) -> Conversation:
        """Return what to send next; after the end, the last conversation that was sent."""
        return self._conversation

    def transcript(self) -> Transcript:
        """Return what was sent last; before the end it holds every reply."""
        return Transcript(self._conversation, whole=not self._ended)

    def notes(self) -> Mapping[str, Any]:
        """Return what the seed drew, and how it ended."""
        drawn = self._script.drawn(self._seed)
        return {"ended_by": self._how, "perturbations": drawn} if drawn else {"ended_by": self._how}

    def answer(self, reply: Reply) -> bool:
        """Take the reply to `conversation()`; True means that the rollout has ended.

        Raises:
            RuntimeError: it had ended before.
        """
        if self._ended:
            msg = "a reply was fed to a rollout that has ended"
            raise RuntimeError(msg)
        said = list(self._conversation.messages)
        if self._partial:
            said.pop()  # the part sent back is sent again below, together with what followed it
        if reply.continues and self._continuations < MAX_CONTINUATIONS and reply.content:
            self._continuations += 1
            self._partial += reply.content
            self._send([*said, _assistant(self._partial)])
            return False
        if self._last(reply):
            self._ended = True
            ending = reply.end_state in ENDING_STATES or reply.continues
            self._how = str(reply.end_state) if ending else "answer"
            return True
        answered = _assistant([*self._partial, *reply.content])
        self._turn += 1
        self._continuations = 0
        self._partial = []
        user = self._script.users[self._turn].fill(self._seed)
        self._send([*said, answered, {"role": "user", "content": user}])
        return False

    def _last(self, reply: Reply) -> bool:
        return (
            self._turn + 1 == len(self._script.users)
            or reply.continues
            or reply.end_state in ENDING_STATES
            or any(block.get("type") == "tool_use" for block in reply.content)
        )

    def _send(self, messages: Sequence[Mapping[str, Any]]) -> None:
        before = self._conversation
        self._conversation = Conversation(
            system=before.system, messages=tuple(messages), tools=before.tools
        )


def _assistant(blocks: Sequence[Block]) -> dict[str, Any]:
    return {"role": "assistant", "content": list(blocks)}
