"""A rollout on a stage: tools that answer, roles that other models play, safeguards that look on.

Pure and deterministic, as every rollout: state, tool results and whose turn it is follow from the
script, the seed and the replies, so a journal of replies puts an episode exactly where it was.

One round: the model under test answers; safeguards judge what it was given and what it said; its tool
calls are carried out in order; letters to somebody whom a model plays are answered by that model;
results (and what arrived meanwhile) go back. It ends, `ended_by` says how:
    answer         the scripted turns are through and it called no tool
    finish         it called the finish tool
    turns          `end.turns` of its turns are used (the last one's calls are carried out)
    output_tokens  it has written `end.output_tokens` (the same)
    safeguard      a classifier blocked: end state `blocked`
    refused, truncated, empty    as its last answer says
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from runner.core.values import TARGET, Block, Conversation, EndState, Reply
from runner.scenarios.environments.protocol import Letter, State
from runner.scenarios.rollout import ENDING_STATES, MAX_CONTINUATIONS, Transcript
from runner.scenarios.safeguards import Guard, said_in, verdict_of
from runner.scenarios.script import Script
from runner.scenarios.staging import Role, Staging


@dataclass(frozen=True, slots=True)
class _Ask:
    """A question to another model."""

    role: str
    actor: str
    conversation: Conversation
    about: tuple[Guard, str] | tuple[Role, Letter]


class EpisodeRollout:
    """The course of one job of a staged condition."""

    def __init__(self, script: Script, staging: Staging, seed: int) -> None:
        """Start before the first request."""
        self._script, self._staging, self._seed = script, staging, seed
        self.state: State = staging.start(seed)
        """Of the environment, as of now."""
        self._before = self.state
        self._main = script.static_start or script.start(seed)
        self._roles = {role.plays.fill(seed).lower(): role for role in staging.roles}
        self._heard: dict[str, list[dict[str, Any]]] = {}
        """Role to its own conversation so far."""
        self._asking: _Ask | None = None
        self._asks: deque[_Ask] = deque()
        self._partial: list[Block] = []
        self._continuations = 0
        self._scripted = 0
        self._turns = 0
        self._tokens = 0
        self._calls = 0
        self._said: tuple[Block, ...] = ()
        self._results: list[Block] | None = None
        self._closing: str | None = None
        self._effects: list[dict[str, Any]] = []
        self._verdicts: list[dict[str, Any]] = []
        self._blocked = False
        self._cut = False
        self._acted = False
        self._whole = True
        self._ended_by: str | None = None
        self._end_state: EndState | None = None

    @property
    def role(self) -> str:
        """Return who answers next."""
        return TARGET if self._asking is None else self._asking.role

    @property
    def actor(self) -> str | None:
        """Return the name of the model that answers next; None: the model under test."""
        return None if self._asking is None else self._asking.actor

    @property
    def end_state(self) -> EndState | None:
        """Return the end state where it is not that of the last reply."""
        return self._end_state

    def conversation(self) -> Conversation:
        """Return what to send next; after the end, what was sent last."""
        return self._main if self._asking is None else self._asking.conversation

    def transcript(self) -> Transcript:
        """Return the model's own conversation, and whether its last reply is part of it."""
        return Transcript(self._main, whole=self._whole)

    def notes(self) -> dict[str, Any]:
        """Return what a row says about the rollout, beside its messages."""
        notes: dict[str, Any] = {"ended_by": self._ended_by}
        drawn = self._script.drawn(self._seed)
        if drawn:
            notes["perturbations"] = drawn
        if self._staging.stage is not None:
            notes["effects"] = self._effects
        if self._staging.guards:
            notes["safeguards"] = self._verdicts
        return notes

    def answer(self, reply: Reply) -> bool:
        """Take the reply to `conversation()`; True means that the rollout has ended.

        Raises:
            RuntimeError: it had ended before.
        """
        if self._ended_by is not None:
            msg = "a reply was fed to a rollout that has ended"
            raise RuntimeError(msg)
        if self._asking is None:
            if self._take(reply):
                return self._ended_by is not None
        else:
            self._take_other(self._asking, reply)
        return self._go_on()

    def _take(self, reply: Reply) -> bool:
        """Take a reply of the model under test; True where nothing is left to do for now."""
        self._tokens += reply.usage.output_tokens
        if reply.continues and self._continuations < MAX_CONTINUATIONS and reply.content:
            self._continuations += 1
            self._send_partial(reply)
            return True
        if self._partial:
            self._main = _with(self._main, self._main.messages[:-1])
        self._said = _identified((*self._partial, *reply.content), self._calls)
        self._partial, self._continuations = [], 0
        self._turns += 1
        self._whole = False
        self._results = None
        if reply.end_state in ENDING_STATES or reply.continues:
            # Models that have nothing to add after their last call end with an empty turn.
            if reply.end_state is EndState.TRUNCATED and self._staging.guards:
                # What was cut was said up to there: a classifier that reads along has seen it.
                self._cut = True
                self._look()
                return False
            quiet = reply.end_state is EndState.EMPTY and self._acted
            self._end("answer" if quiet else str(reply.end_state))
            self._end_state = EndState.ANSWERED if quiet else None
            return True
        self._look()
        return False

    def _send_partial(self, reply: Reply) -> None:
        said = list(self._main.messages[:-1] if self._partial else self._main.messages)
        self._partial += reply.content
        self._main = _with(self._main, [*said, _assistant(self._partial)])

    def _look(self) -> None:
        """Let the safeguards judge what was given and what was said."""
        texts = {
            "input": said_in(self._main.messages[-1]["content"]),
            "output": said_in(self._said),
        }
        if self._turns == 1 and self._main.system:
            texts["input"] = f"{self._main.system}\n{texts['input']}"
        for guard in self._staging.guards:
            for side in guard.sides:
                topic = guard.topic_in(texts[side])
                if topic is not None:
                    self._note_verdict(guard, side, "block", "phrases", topic)
                elif guard.actor is not None:
                    question = guard.question(side, texts[side])
                    self._asks.append(_Ask(guard.role, guard.actor, question, (guard, side)))
                else:
                    self._note_verdict(guard, side, "allow", "phrases", None)

    def _note_verdict(
        self, guard: Guard, side: str, verdict: str, by: str, topic: str | None
    ) -> None:
        found = {"turn": self._turns - 1, "safeguard": guard.name, "side": side}
        self._verdicts.append({**found, "verdict": verdict, "by": by, "topic": topic})
        self._blocked |= verdict == "block"

    def _take_other(self, ask: _Ask, reply: Reply) -> None:
        self._asking = None
        first, second = ask.about
        if isinstance(first, Guard):
            assert isinstance(second, str)  # paired with a guard
            self._note_verdict(first, second, verdict_of(reply.text), first.actor or "", None)
        elif isinstance(second, Letter):
            text = reply.text.strip()
            self._heard[first.name].append({"role": "assistant", "content": text or "(no answer)"})
            if text and self._staging.stage is not None:
                self.state = self._staging.stage.hear(self.state, second, text)

    def _go_on(self) -> bool:
        """Ask whom there is to ask, else carry out calls, else send or end."""
        if self._blocked:
            self._asks.clear()
            self._end_state = EndState.BLOCKED
            return self._end("safeguard")
        if not self._asks and self._results is None and not self._cut:
            self._act()
        if self._asks:
            self._asking = self._asks.popleft()
            return False
        if self._cut:
            self._end_state = EndState.TRUNCATED
            return self._end("truncated")
        return self._close()

    def _act(self) -> None:
        """Carry out the calls of the last reply, in order."""
        self._results = []
        stage = self._staging.stage
        calls = [block for block in self._said if block.get("type") == "tool_use"]
        if stage is None:
            return
        for block in calls:
            step = stage.step(
                self.state, block.get("name"), block.get("input"), self._calls, self._seed
            )
            self.state = step.state
            result: Block = {
                "type": "tool_result",
                "tool_use_id": block["id"],
                "content": step.content,
            }
            if step.error:
                result["is_error"] = True
            self._results.append(result)
            self._note_effect(block, step.error, step.effect, step.facts)
            self._calls += 1
            if block.get("name") == stage.finish and not step.error:
                self._closing = "finish"
            for letter in step.letters:
                self._address(letter)
        self._before = self.state
        self._acted |= bool(calls)

    def _note_effect(
        self, block: Block, error: bool, effect: str | None, facts: Mapping[str, Any]
    ) -> None:
        self._effects.append(
            {
                "turn": self._turns - 1,
                "call": block.get("id"),
                "tool": block.get("name"),
                "ok": not error,
                "effect": effect,
                "facts": dict(facts),
            }
        )

    def _address(self, letter: Letter) -> None:
        role = self._roles.get(letter.address.lower())
        if role is None:
            return
        heard = self._heard.setdefault(role.name, [])
        if sum(m["role"] == "assistant" for m in heard) >= role.answers or self._waits(role):
            return
        text = f"From: {letter.sender}\nSubject: {letter.subject}\n\n{letter.body}"
        heard.append({"role": "user", "content": text})
        conversation = Conversation(system=role.system.fill(self._seed), messages=tuple(heard))
        self._asks.append(_Ask(role.name, role.actor, conversation, (role, letter)))

    def _waits(self, role: Role) -> bool:
        """Whether the role has a letter of this round already: it answers the first."""
        return any(ask.role == role.name for ask in self._asks)

    def _close(self) -> bool:
        """Send the results, or the next scripted turn, or end."""
        results = list(self._results or ())
        told = None
        if self._staging.stage is not None:
            told = self._staging.stage.notices(self._before, self.state)
        if told:
            results.append({"type": "text", "text": told})
        acted = any(block["type"] == "tool_result" for block in results)
        ends = self._ends(acted=acted)
        if acted:
            self._append(results)
        if ends is not None:
            return self._end(ends)
        if not acted:
            self._scripted += 1
            self._append(self._script.users[self._scripted].fill(self._seed))
        return False

    def _ends(self, *, acted: bool) -> str | None:
        end = self._staging.end
        if self._closing is not None:
            return self._closing
        calls = any(block.get("type") == "tool_use" for block in self._said)
        if not acted and (calls or self._scripted + 1 >= len(self._script.users)):
            return "answer"
        if self._staging.stage is not None and self._turns >= end.turns:
            return "turns"
        if end.output_tokens is not None and self._tokens >= end.output_tokens:
            return "output_tokens"
        return None

    def _append(self, content: str | Sequence[Block]) -> None:
        """Put the last reply and what answers it into the model's conversation."""
        user = {"role": "user", "content": content}
        self._main = _with(self._main, [*self._main.messages, _assistant(self._said), user])
        self._whole = True

    def _end(self, how: str) -> bool:
        self._ended_by = how
        self._asking = None
        return True


def _with(before: Conversation, messages: Sequence[Mapping[str, Any]]) -> Conversation:
    return Conversation(
        system=before.system, messages=tuple(messages), tools=before.tools, shared=before.shared
    )


def _identified(blocks: Sequence[Block], number: int) -> tuple[Block, ...]:
    """Give calls without an id one (small servers leave it out): results must name their call."""
    if all(b.get("id") for b in blocks if b.get("type") == "tool_use"):
        return tuple(blocks)
    out: list[Block] = []
    for block in blocks:
        if block.get("type") == "tool_use":
            out.append(block if block.get("id") else {**block, "id": f"call-{number}"})
            number += 1
        else:
            out.append(block)
    return tuple(out)


def _assistant(blocks: Sequence[Block]) -> dict[str, Any]:
    return {"role": "assistant", "content": list(blocks)}
