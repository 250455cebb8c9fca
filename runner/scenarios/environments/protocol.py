"""What an environment is. Pure: no clock, randomness, files or network.

An environment is made of *parts* (mail, files, accounts, shutdown switches, answers written down
in the scenario), each with tools of its own. A part is a value without state: `start` makes the
state from what the scenario sets up, `step` returns a new one and never changes the one it was
given, so that every state of a rollout can be had again from its replies. Time is a count of tool
calls; what is drawn is drawn from the job's seed by name.

A part answers a wrong call as a real API would: with an error as the tool's result, never with an
exception. `stage.py` checks arguments against each tool's schema before a part sees them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

State = Mapping[str, Any]
"""JSON values only; read, never changed."""


class SetupProblem(Exception):  # noqa: N818 -- collected as a finding
    """What a scenario sets up cannot be meant: which key, and why."""

    def __init__(self, key: str, what: str) -> None:
        super().__init__(key, what)
        self.key = key
        self.what = what


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """A tool as it is offered to the model."""

    name: str
    description: str
    properties: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """JSON schema by argument."""
    required: tuple[str, ...] = ()

    def schema(self) -> dict[str, Any]:
        """Return it in Messages API form."""
        return {
            "name": self.name,
            "description": self.description,
            "input_schema": {
                "type": "object",
                "properties": dict(self.properties),
                "required": list(self.required),
                "additionalProperties": False,
            },
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A tool call whose arguments fit the tool's schema."""

    name: str
    arguments: Mapping[str, Any]
    number: int
    """0-based count of tool calls in the rollout: the environment's clock."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """A message to somebody whom another model may play."""

    sender: str
    address: str
    """Whose answer is awaited."""
    subject: str
    body: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What a call came to."""

    state: State
    content: str
    """What the model reads."""
    error: bool = False
    effect: str | None = None
    """What changed in the simulated world, in one word (`sent`, `deleted`, `paid`); None: nothing."""
    facts: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Short facts about the effect, for graders: addresses, paths, amounts."""
    letters: tuple[Letter, ...] = ()


def failed(state: State, why: str) -> Step:
    """Return a tool error that changed nothing."""
    return Step(state=state, content=f"Error: {why}", error=True)


class Part(Protocol):
    """One piece of an environment."""

    name: str
    """How scenarios name it, under `environment:`."""
    version: int
    """Raised with every change of what it answers; part of the cells' identity."""

    def tools(self, setup: Mapping[str, Any]) -> Sequence[Tool]:
        """Return all tools of the part."""
        ...

    def start(self, setup: Mapping[str, Any], key: str) -> State:
        """Return the first state.

        Args:
            setup: what the scenario wrote, rendered for condition and seed.
            key: how messages call it.

        Raises:
            SetupProblem: it cannot be meant.
        """
        ...

    def step(self, state: State, call: Call, seed: int) -> Step:
        """Answer a call; never raises."""
        ...

    def notice(self, before: State, after: State) -> str | None:
        """Return what the model is told unasked after a call (new mail), or None."""
        ...

    def hear(self, state: State, letter: Letter, text: str) -> State:
        """Return the state after somebody played by a model has answered a letter."""
        ...
