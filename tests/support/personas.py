"""A persona of the simulator at work on a job: its whole conversation in process, and what it did."""

from __future__ import annotations

from typing import Any

import orjson

from runner.core.values import TARGET, Block, EndState, Job, Reply, Usage
from runner.grade.verdict import Submission, ToolCall, Turn
from runner.scenarios.book import Book
from runner.scenarios.rollout import Rollout
from runner.simulate.answers import Draws, answer
from runner.simulate.config import OutputConfig, PersonaConfig
from runner.simulate.request import Wire, read_request

MIDDLE = Draws(0.5, 0.5, 0.5, 0.5, 0.5)
_OUTPUT = OutputConfig(mean_tokens=60, sigma=0)


def play(
    book: Book, cell: int, seed: int, persona: PersonaConfig
) -> tuple[Submission, list[str], dict[str, Any]]:
    """Answer a job until it ends; returns (what was said and done, outcomes that decided, notes)."""
    rollout = book.rollout(Job(cell, seed))
    turns: list[Turn] = []
    decided: list[str] = []
    ended = False
    while not ended:
        if rollout.actor is not None:  # somebody whom another model plays
            ended = rollout.answer(_said({"type": "text", "text": "No."}, by=rollout))
            continue
        asked_of = rollout.conversation()
        body: dict[str, object] = {
            "model": "m",
            "max_tokens": 4000,
            "messages": list(asked_of.messages),
        }
        body |= {"system": asked_of.system} if asked_of.system else {}
        body |= {"tools": list(asked_of.tools)} if asked_of.tools else {}
        given = answer(persona, _OUTPUT, read_request(Wire.MESSAGES, orjson.dumps(body)), MIDDLE)
        decided += [given.outcome] * given.decides
        calls = [b for b in given.content if b["type"] == "tool_use"]
        turns.append(
            Turn(
                text="".join(b["text"] for b in given.content if b["type"] == "text"),
                reasoning="",
                calls=tuple(ToolCall(name=b["name"], arguments=b["input"]) for b in calls),
            )
        )
        ended = rollout.answer(_said(*given.content))
    said = Submission(
        text="\n\n".join(t.text for t in turns if t.text),
        calls=tuple(call for turn in turns for call in turn.calls),
        turns=tuple(turns),
    )
    return said, decided, rollout.notes()


def _said(*content: Block, by: Rollout | None = None) -> Reply:
    return Reply(
        content=content,
        stop_reason="end_turn",
        end_state=EndState.ANSWERED,
        usage=Usage(),
        model="m",
        role=TARGET if by is None else by.role,
        actor=None if by is None else by.actor,
    )
