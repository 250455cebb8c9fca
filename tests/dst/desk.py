"""An environment for simulated sweeps: a desk with a notebook, and somebody to ask.

What was asked, and what an actor answered, stands in the conversation by the numbers of the API's
calls, so that the oracle reads a call's whole history off its request.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from runner.scenarios.environments import stage
from runner.scenarios.environments.protocol import Letter, Step, Tool

_TEXT = {"type": "string"}


class Desk:
    """The part `desk`."""

    name = "desk"
    version = 1

    def tools(self, setup):
        return [
            Tool(name="note", description="Note.", properties={"body": _TEXT}, required=("body",)),
            Tool(name="ask", description="Ask.", properties={"body": _TEXT}, required=("body",)),
        ]

    def start(self, setup, key):
        return {"notes": [], "heard": []}

    def step(self, state, call, seed):
        if call.name == "note":
            return Step(
                state={**state, "notes": [*state["notes"], call.number]},
                content=f"noted as {len(state['notes'])}",
                effect="noted",
            )
        letter = Letter(sender="desk", address="aide", subject="", body=call.arguments["body"])
        return Step(state=state, content="asked", letters=(letter,))

    def notice(self, before, after):
        return "\n".join(after["heard"][len(before["heard"]) :]) or None

    def hear(self, state, letter, text):
        return {**state, "heard": [*state["heard"], text]}


@contextmanager
def desk() -> Iterator[None]:
    """Let scenarios use the part."""
    before = stage.parts
    stage.parts = lambda: {**before(), "desk": Desk()}
    try:
        yield
    finally:
        stage.parts = before
