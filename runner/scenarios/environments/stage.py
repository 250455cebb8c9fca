"""The parts of an environment together: whose tool is called, with which arguments. Pure.

A wrong call gets what a real API gives: a tool error that names the fault. Nothing that a model
writes raises here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import entry_points
from typing import Any, cast

import orjson

from runner.scenarios.environments.accounts import Accounts
from runner.scenarios.environments.canned import Canned
from runner.scenarios.environments.files import Files
from runner.scenarios.environments.mail import Mail
from runner.scenarios.environments.protocol import (
    Call,
    Letter,
    Part,
    SetupProblem,
    State,
    Step,
    Tool,
    failed,
)
from runner.scenarios.environments.shutdown import Shutdown

ENTRY_POINTS = "runner.environments"
"""Group under which a package brings parts of its own: name to a class without arguments."""

_OWN: Mapping[str, Part] = {
    part.name: part for part in (Mail(), Files(), Accounts(), Shutdown(), Canned())
}
_UNPARSABLE = "unparsable_arguments"
"""As `providers.openai_chat` keeps arguments that are no JSON object."""


@lru_cache(maxsize=1)
def parts() -> Mapping[str, Part]:
    """Return every part by name, those of other packages too; ours cannot be replaced."""
    found: dict[str, Part] = {}
    for point in entry_points(group=ENTRY_POINTS):
        made: Part = point.load()()
        found[point.name] = made
    return {**found, **_OWN}


@dataclass(frozen=True, slots=True)
class Stage:
    """The parts that one condition uses."""

    parts: tuple[Part, ...]
    tools: tuple[Mapping[str, Any], ...]
    """In Messages API form."""
    owners: Mapping[str, Part]
    finish: str | None
    """Name of the tool that ends the rollout."""

    def start(self, setup: Mapping[str, Mapping[str, Any]], key: str) -> State:
        """Return the first state of all parts.

        Raises:
            SetupProblem: what the scenario sets up cannot be meant.
        """
        return {
            part.name: part.start(setup.get(part.name) or {}, f"{key}.{part.name}")
            for part in self.parts
        }

    def step(self, state: State, name: object, given: object, number: int, seed: int) -> Step:
        """Answer any call that a model may write.

        Args:
            state: of all parts; unchanged.
            name: of the tool, as written.
            given: the arguments, as written.
            number: 0-based count of calls.
            seed: of the job.
        """
        if not isinstance(name, str) or name not in self._known():
            said = repr(name[:80]) if isinstance(name, str) else "whose name is no text"
            return failed(state, f"there is no tool {said}")
        wrong = _wrong(self._schema(name), given)
        if wrong is not None:
            return failed(state, f"invalid arguments for {name}: {wrong}")
        arguments = cast("Mapping[str, Any]", given)
        part = self.owners.get(name)
        if part is None:  # the finish tool
            facts = {k: v for k, v in arguments.items() if isinstance(v, str)}
            return Step(state=state, content="Done.", effect="finished", facts=facts)
        call = Call(name=name, arguments=arguments, number=number)
        before = state[part.name]
        step = part.step(before, call, seed)
        notice = part.notice(before, step.state)
        content = f"{step.content}\n\n{notice}" if notice else step.content
        return Step(
            state={**state, part.name: step.state},
            content=content,
            error=step.error,
            effect=step.effect,
            facts=step.facts,
            letters=step.letters,
        )

    def hear(self, state: State, letter: Letter, text: str) -> State:
        """Let every part take in an answer that a model wrote."""
        return {part.name: part.hear(state[part.name], letter, text) for part in self.parts}

    def notices(self, before: State, after: State) -> str | None:
        """Return what the model is told unasked after answers came in."""
        told = (part.notice(before[part.name], after[part.name]) for part in self.parts)
        return "\n".join(line for line in told if line) or None

    def _known(self) -> frozenset[str]:
        return frozenset(str(tool["name"]) for tool in self.tools)

    def _schema(self, name: str) -> Mapping[str, Any]:
        return next(tool["input_schema"] for tool in self.tools if tool["name"] == name)


def make_stage(
    setup: Mapping[str, Mapping[str, Any]],
    own_tools: Sequence[Mapping[str, Any]],
    finish: str | None,
    key: str,
) -> Stage:
    """Put the parts of a condition together.

    Args:
        setup: by part, rendered or not (only the tools are read here). `tools:` in a part's setup
            keeps those of its tools that are named.
        own_tools: `tools:` of the scenario; one that a part has too replaces its description.
        finish: name of the tool that ends the rollout, offered if no part has it.
        key: how messages call the environment.

    Raises:
        SetupProblem: an unknown part, two parts with one tool, a tool that nobody answers.
    """
    known = parts()
    chosen: list[Part] = []
    owners: dict[str, Part] = {}
    offered: dict[str, Mapping[str, Any]] = {}
    for name, given in setup.items():
        part = known.get(name)
        if part is None:
            raise SetupProblem(
                key=f"{key}.{name}", what=f"no such part; there are {', '.join(known)}"
            )
        chosen.append(part)
        tools = part.tools(given)
        for tool in _kept(part, tools, given, f"{key}.{name}"):
            if tool.name in owners:
                raise SetupProblem(key=f"{key}.{name}", what=f"{tool.name} is a tool of two parts")
            owners[tool.name] = part
            offered[tool.name] = tool.schema()
    if finish is not None and finish not in offered:
        summary = {"summary": {"type": "string", "description": "What was done, in a line."}}
        offered[finish] = Tool(
            name=finish, description="End the session.", properties=summary
        ).schema()
    for tool in own_tools:
        name = str(tool.get("name"))
        if name not in offered:
            raise SetupProblem(
                key=key, what=f"no part of the environment answers the tool {name!r}"
            )
        offered[name] = tool
    return Stage(tuple(chosen), tuple(offered.values()), owners, finish)


def without_tools(setup: Mapping[str, Any]) -> dict[str, Any]:
    """Return a part's setup without the choice of tools, which is not the part's own."""
    return {k: v for k, v in setup.items() if k != "only"}


def _kept(part: Part, tools: Sequence[Tool], given: Mapping[str, Any], key: str) -> Sequence[Tool]:
    only: object = given.get("only")
    if only is None:
        return tools
    names = (
        {str(n) for n in cast("Sequence[object]", only)} if isinstance(only, list) else set[str]()
    )
    missing = sorted(names - {tool.name for tool in tools})
    if missing or not names:
        has = ", ".join(tool.name for tool in tools)
        what = (
            f"{part.name} has no tool {', '.join(missing) or '(the list is empty)'}; it has {has}"
        )
        raise SetupProblem(key=f"{key}.only", what=what)
    return [tool for tool in tools if tool.name in names]


def _wrong(schema: Mapping[str, Any], given: object) -> str | None:
    """Return what is wrong with arguments, in the words of the schema's check."""
    if not isinstance(given, Mapping):
        return "they are no JSON object"
    arguments = cast("Mapping[str, object]", given)
    if set(arguments) == {_UNPARSABLE}:
        return "they are not valid JSON"
    try:
        text = orjson.dumps(schema, option=orjson.OPT_SORT_KEYS)
        orjson.dumps(arguments)
        first = next(iter(_validator(text).iter_errors(arguments)), None)
    except (RecursionError, TypeError):
        return "they are nested too deeply, or hold what JSON cannot carry"
    if first is None:
        return None
    at = ".".join(str(p) for p in first.absolute_path)
    return f"{at + ': ' if at else ''}{str(first.message)[:300]}"


@lru_cache(maxsize=512)
def _validator(schema: bytes) -> Any:
    # Costs 80 ms to import, and only environments need it.
    from jsonschema import Draft202012Validator  # noqa: PLC0415

    return Draft202012Validator(orjson.loads(schema))
