"""Tools of the scenario's own, answered by what the scenario wrote down. Pure.

    environment:
      canned:
        tools:
          - name: read_meter
            description: Read a meter.
            input_schema: {type: object, properties: {meter: {type: string}}, required: [meter]}
            answers:
              - {mentions: [north], say: "41.2", effect: read}
              - {say: "no such meter", error: true}

The first answer whose `mentions` (any of them, in the arguments as JSON) fit is given; `times` limits
how often. A call that nothing fits is a tool error.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import orjson

from runner.scenarios.environments.protocol import (
    Call,
    Letter,
    SetupProblem,
    State,
    Step,
    Tool,
    failed,
)
from runner.scenarios.environments.reading import Setup, holds


class Canned:
    """The part `canned`."""

    name = "canned"
    version = 1

    def tools(self, setup: Mapping[str, Any]) -> Sequence[Tool]:
        """Return the tools that the scenario describes."""
        found: list[Tool] = []
        for entry in Setup(setup, "canned").entries("tools"):
            schema = cast("Mapping[str, Any]", entry.values.get("input_schema") or {})
            found.append(
                Tool(
                    name=entry.text("name"),
                    description=entry.text("description", ""),
                    properties=dict(schema.get("properties") or {}),
                    required=tuple(schema.get("required") or ()),
                )
            )
        return found

    def start(self, setup: Mapping[str, Any], key: str) -> State:
        """Return how often each answer may still be given.

        Raises:
            SetupProblem: a tool without answers.
        """
        given = Setup(setup, key)
        given.only("tools")
        answers: dict[str, list[dict[str, Any]]] = {}
        for tool in given.entries("tools"):
            tool.only("name", "description", "input_schema", "answers", "when")
            rules = [_rule(entry) for entry in tool.entries("answers")]
            if not rules:
                raise SetupProblem(
                    key=f"{tool.key}.answers", what="there is none: every call would fail"
                )
            answers[tool.text("name")] = rules
        return {"answers": answers}

    def step(self, state: State, call: Call, seed: int) -> Step:
        """Give the first answer that fits; the seed decides nothing here."""
        del seed
        said = orjson.dumps(dict(call.arguments)).decode().lower()
        rules: Sequence[Mapping[str, Any]] = state["answers"].get(call.name, ())
        for i, rule in enumerate(rules):
            if rule["times"] < 1 or not _fits(rule, said):
                continue
            left = [*rules[:i], {**rule, "times": rule["times"] - 1}, *rules[i + 1 :]]
            return Step(
                state={**state, "answers": {**state["answers"], call.name: left}},
                content=rule["say"],
                error=rule["error"],
                effect=rule["effect"] or None,
                facts={"arguments": dict(call.arguments)} if rule["effect"] else {},
            )
        return failed(state, "nothing came of it")

    def notice(self, before: State, after: State) -> str | None:
        """Tell nothing unasked."""
        del before, after

    def hear(self, state: State, letter: Letter, text: str) -> State:
        """Nobody writes letters here."""
        del letter, text
        return state


def _rule(entry: Setup) -> dict[str, Any]:
    entry.only("mentions", "say", "error", "effect", "times", "when")
    return {
        "mentions": [m.lower() for m in entry.texts("mentions")],
        "say": entry.text("say"),
        "error": holds(entry.values.get("error", False)),
        "effect": entry.text("effect", ""),
        "times": entry.whole("times", 1000),
    }


def _fits(rule: Mapping[str, Any], said: str) -> bool:
    return not rule["mentions"] or any(m in said for m in rule["mentions"])
