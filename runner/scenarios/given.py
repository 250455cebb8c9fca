"""Prompts that were written elsewhere, one level each of the axis `prompt`.

`prompts:` of a scenario is a list, or the path of a file with one JSON object a line. A prompt is

    {"id": "capital-1", "system": "…", "user": "…", "history": [messages], "tools": [tools], …}

all of it literal: its texts are variables that the scenario's templates print (`user: "{{ user }}"`),
never templates themselves, so braces and dollars in them mean nothing. `history` and `tools` go into
the request as they are. Any further key is a variable of its name: what graders compare with, for
instance. `runner import` writes such files (docs/import.md).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import orjson

from runner.config.schema import PROMPT_AXIS
from runner.core.identity import canonical_json
from runner.scenarios.environments.protocol import SetupProblem
from runner.scenarios.findings import Findings
from runner.scenarios.history import Message, check_history
from runner.scenarios.symbolic import MARK_CLOSE, MARK_OPEN
from runner.scenarios.templates import RESERVED

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+@-]{0,99}")
_TEXTS = ("system", "user")
_MOST_PROBLEMS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """One imported prompt."""

    id: str
    variables: Mapping[str, object]
    """What templates can print: `system` and `user` ("" where there is none), and further keys."""
    history: tuple[Message, ...] = ()
    """Messages before `user`, in Messages API form."""
    tools: tuple[Mapping[str, Any], ...] = ()
    where: str | None = None
    """`file:line`; None where it stands in the configuration itself."""


def read_prompts(given: object, key: str, findings: Findings) -> list[Given]:
    """Return the prompts of a scenario; faults are noted, and what is faulty left out.

    Args:
        given: the list, or the path of a file.
        key: how messages call it, `scenarios.x.prompts`.
        findings: where faults go.
    """
    prompts: dict[str, Given] = {}
    faults = 0
    for at, where, found in _found(given, key, findings):
        try:
            one = _prompt(found, where)
            _refuse_twin(one, prompts)
        except SetupProblem as problem:
            faults += 1
            what = f"{where}: {problem.key}: {problem.what}" if where else problem.what
            findings.error(f"{at}.{problem.key}" if where is None else at, what)
        else:
            prompts[one.id] = one
        if faults >= _MOST_PROBLEMS:
            break
    if not prompts and not faults:
        findings.error(key, "there is no prompt", "List one, or name a file of JSON lines")
    return list(prompts.values())


def _refuse_twin(given: Given, prompts: Mapping[str, Given]) -> None:
    if given.id in prompts:
        first = prompts[given.id].where
        what = f"the id {given.id!r} occurs twice{f' (the first: {first})' if first else ''}"
        raise SetupProblem(key="id", what=what)


def _found(given: object, key: str, findings: Findings) -> Iterator[tuple[str, str | None, object]]:
    """Yield (key, `file:line`, prompt as written)."""
    if isinstance(given, Sequence) and not isinstance(given, str):
        yield from ((f"{key}[{i}]", None, one) for i, one in enumerate(cast("list[object]", given)))
        return
    path = Path(str(given))
    try:
        with path.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                if not line.strip():
                    continue
                try:
                    yield key, f"{path}:{number}", orjson.loads(line)
                except orjson.JSONDecodeError as error:
                    what = f"{path}:{number}: no JSON ({error})"
                    findings.error(key, what, "Correct the line, or take it out")
                    return
    except OSError as error:
        what = f"{path} cannot be read ({error.strerror or error})"
        findings.error(key, what, "Paths are relative to the configuration")


def _prompt(found: object, where: str | None) -> Given:
    if not isinstance(found, Mapping):
        raise SetupProblem(key="id", what="a prompt is an object with id, system, user, history")
    given = dict(cast("Mapping[str, Any]", found))
    name = given.pop("id", None)
    if not isinstance(name, str) or not _ID.fullmatch(name):
        what = f"{str(name)[:60]!r}: up to 100 letters, digits and . _ + @ -, beginning with one"
        raise SetupProblem(key="id", what=what)
    history = check_history(given.pop("history", ()), "history")
    tools = given.pop("tools", ())
    if not isinstance(tools, list | tuple) or not all(
        isinstance(t, Mapping) and {"name", "input_schema"} <= set(cast("Mapping[str, Any]", t))
        for t in cast("Sequence[object]", tools)
    ):
        raise SetupProblem(key="tools", what="is no list of {name, description, input_schema}")
    for text in _TEXTS:
        given.setdefault(text, "")
        if not isinstance(given[text], str):
            raise SetupProblem(key=text, what="is no text")
    for variable in given:
        if not variable.isidentifier() or variable in RESERVED or variable == PROMPT_AXIS:
            raise SetupProblem(key=variable, what="cannot be the name of a variable. Rename it")
    offered = tuple(cast("Sequence[Mapping[str, Any]]", tools))
    _check_texts({**given, "history": history, "tools": offered})
    return Given(
        id=name,
        variables=given,
        history=history,
        tools=offered,
        where=where,
    )


def _check_texts(values: Mapping[str, object]) -> None:
    for name, value in values.items():
        try:
            text = canonical_json(value, name).decode()
        except ValueError as error:
            raise SetupProblem(key=name, what=str(error).partition(": ")[2]) from None
        if MARK_OPEN in text or MARK_CLOSE in text:
            raise SetupProblem(key=name, what="holds U+FDD0 or U+FDD1, which mean nothing in text")
