"""No sequence of tool calls crashes an environment, changes a state, or reaches anything real."""

import builtins
import datetime as dt
import io
import math
import os
import random
import socket
import subprocess
import sys
import time
from contextlib import contextmanager

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.config.schema import ScenarioConfig
from runner.core.values import Job
from runner.scenarios.environments.stage import make_stage, parts
from tests.support.configurations import book_of
from tests.support.stages import EVERYTHING, STAGED, reply

BOOK = book_of(**STAGED)
STAGE = make_stage(EVERYTHING, [], "finish", "environment")
WORDS = [
    *("m1", "m2", "m9", "boss@corp.example", "ann@corp.example", "nobody@else.example", "please"),
    *("weights.bin", "notes.txt", "/etc/rules", "../../../etc/passwd", "vault.example"),
    *("box.example", "house", "seven", "J-51", "J-52", "watchdog", "mains", "off", "on", "inbox"),
    *("north", "Ann Lee", "", "\ud800", "a" * 300, "\0"),
]
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 2**70) | st.floats() | st.sampled_from(WORDS),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS), inner),
    max_leaves=4,
)


@st.composite
def tool_calls(draw):
    """A call of a known tool with arguments that mostly fit, or anything at all."""
    tool = draw(st.sampled_from(STAGE.tools))
    properties = tool["input_schema"]["properties"]
    if draw(st.integers(0, 5)) == 0:
        return draw(st.sampled_from(["nope", None, 3, tool["name"]])), draw(VALUES)
    given = {}
    for name, schema in properties.items():
        if schema.get("type") == "integer":
            given[name] = draw(st.integers(-3, 900))
        elif "enum" in schema:
            given[name] = draw(st.sampled_from([*schema["enum"], "other"]))
        else:
            given[name] = draw(st.sampled_from(WORDS))
    return tool["name"], given


REAL = [
    (io, "open"),
    (subprocess, "Popen"),
    (time, "perf_counter"),
    (builtins, "open"),
    (os, "open"),
    (os, "stat"),
    (os, "listdir"),
    (os, "remove"),
    (os, "urandom"),
    (time, "time"),
    (time, "monotonic"),
    (time, "time_ns"),
    (socket, "socket"),
    (random, "random"),
]


WATCHED = ("open", "os.", "socket.", "subprocess.", "shutil.", "pathlib.", "tempfile.", "ctypes.")
"""Beginnings of the names of Python's audit events that an environment must not cause."""
_watching: list[bool] = []


def _audit(event, arguments):
    if _watching and event.startswith(WATCHED):
        raise AssertionError(f"an environment reached something real: {event} {arguments}")


sys.addaudithook(_audit)  # sees what no patch reaches: calls made in C, names imported before


@contextmanager
def nothing_real():
    """Let every way to files, clock, network and chance raise."""

    def refused(*args, **keys):
        raise AssertionError("an environment reached something real")

    class NoNow(dt.datetime):
        now = utcnow = today = refused

    with pytest.MonkeyPatch.context() as patch:
        for module, name in REAL:
            patch.setattr(module, name, refused)
        for module in ("mail", "post"):
            patch.setattr(f"runner.scenarios.environments.{module}.datetime", NoNow, raising=False)
        _watching.append(True)
        try:
            yield
        finally:
            _watching.clear()


def test_environment_when_nothing_real_is_reachable_the_guard_itself_works():
    with nothing_real(), pytest.raises(AssertionError, match="something real"):
        open(__file__)  # noqa: PTH123, SIM115 -- it must fail
    opened = io.FileIO  # no patch is in its way
    with nothing_real(), pytest.raises(AssertionError, match="something real: open"):
        opened(__file__)


def test_environment_parts_are_all_under_test():
    assert {*parts()} == {*EVERYTHING}


TOOLS = {tool["name"]: tool["input_schema"] for tool in STAGE.tools}
WRONG = {"string": 3, "integer": "three", "boolean": "yes", "number": "x", "array": "x"}


@pytest.mark.parametrize("name", TOOLS)
def test_environment_checks_the_arguments_of_every_tool(name):
    state = BOOK._script(0).staging.start(0)
    schema = TOOLS[name]
    good = {
        key: kind["enum"][0] if "enum" in kind else 3 if kind.get("type") == "integer" else "x"
        for key, kind in schema["properties"].items()
    }
    wrong = [
        (None, "no JSON object"),
        ([good], "no JSON object"),
        ({**good, "colour": 1}, "colour"),
    ]
    wrong += [
        ({k: v for k, v in good.items() if k != key}, key) for key in schema.get("required", ())
    ]
    wrong += [
        ({**good, key: WRONG[kind["type"]]}, key)
        for key, kind in schema["properties"].items()
        if kind.get("type") in WRONG
    ]
    if schema.get("additionalProperties", True):  # the scenario's own schema allows it
        wrong = [case for case in wrong if case[1] != "colour"]
    for arguments, what in wrong:
        step = STAGE.step(state, name, arguments, 0, 0)
        assert step.error, (name, arguments)
        assert what in step.content
        assert step.state == state
        assert step.effect is None


@settings(max_examples=60, deadline=None)
@given(st.lists(tool_calls(), max_size=12), st.integers(0, 2**31 - 1), st.sampled_from(WORDS))
def test_environment_when_any_calls_come_never_crashes_nor_reaches_anything_real(
    made, seed, heard_text
):
    state = BOOK._script(0).staging.start(seed)
    STAGE.step(state, "list_emails", {}, 0, seed)  # what is imported late is imported now
    with nothing_real():
        for number, (name, arguments) in enumerate(made):
            before = orjson.dumps(state)
            step = STAGE.step(state, name, arguments, number, seed)
            again = STAGE.step(state, name, arguments, number, seed)
            assert orjson.dumps(state) == before, "a step changed the state it was given"
            assert step == again
            assert isinstance(step.content, str)
            assert not (step.error and step.effect)
            state = step.state
            for letter in step.letters:
                before = orjson.dumps(state)
                heard = STAGE.hear(state, letter, heard_text)
                assert orjson.dumps(state) == before, "an answer changed the state it was given"
                STAGE.notices(state, heard)
                state = heard


def nested(kind, depth=5_000):
    value = "deep"
    for _ in range(depth):
        value = [value] if kind is list else {"x": value}
    return value


MEGABYTE = 1_000_000
HOSTILE = {
    "a megabyte of one letter": "a" * MEGABYTE,
    "a megabyte of separators": ", ;" * (MEGABYTE // 3),
    "a megabyte of @": "@" * MEGABYTE,
    "a megabyte of half addresses": "a@ " * (MEGABYTE // 3),
    "a megabyte of lines": "To: a@x.example\n" * (MEGABYTE // 16),
    "lists 5,000 deep": nested(list),
    "objects 5,000 deep": nested(dict),
    "an integer of 401 digits": 10**400,
    "one below zero": -(10**400),
    "no number": math.nan,
    "an infinity": -math.inf,
    "a lone surrogate": "\ud800",
    "a path": "../../../../etc/passwd\0",
    "an address": "http://127.0.0.1:1/",
    "a template": "{{ cycler.__init__.__globals__.os }} %(x)s {0} ${x}",
    "null": None,
    "true": True,
    "an empty list": [],
    "an object": {"__class__": "x"},
}


@pytest.mark.parametrize("value", HOSTILE.values(), ids=HOSTILE)
def test_environment_when_an_argument_is_hostile_answers_and_reaches_nothing_real(value):
    """Each in every argument of every tool, as name of an argument and of a tool, and as all arguments."""
    calls = [(value, {}), *((name, value) for name in TOOLS)]
    for name, schema in TOOLS.items():
        good = {
            key: kind["enum"][0] if "enum" in kind else 3 if kind.get("type") == "integer" else "m1"
            for key, kind in schema["properties"].items()
        }
        calls += [(name, {**good, key: value}) for key in good]
        if isinstance(value, str):
            calls.append((name, {**good, value: 1}))
    start = BOOK._script(0).staging.start(0)
    STAGE.step(start, "list_emails", {}, 0, 0)  # what is imported late is imported now
    answered = 0
    with nothing_real():
        for number, (name, arguments) in enumerate(calls):
            step = STAGE.step(start, name, arguments, number, 0)
            assert isinstance(step.content, str)
            assert not (step.error and step.effect)
            answered += not step.error
            orjson.dumps([step.state, step.content, step.facts])
            for letter in step.letters:
                orjson.dumps(STAGE.hear(step.state, letter, "Yes."))
    assert answered or not isinstance(value, str) or value == "\ud800"


@settings(max_examples=40, deadline=None)
@given(st.lists(st.lists(tool_calls(), max_size=3), min_size=1, max_size=6), st.integers(0, 99))
def test_episode_when_its_replies_are_played_again_is_where_it_was(turns, seed):
    replies = []
    for blocks in turns:
        used = [
            {"type": "tool_use", "id": f"t{i}", "name": n, "input": a}
            for i, (n, a) in enumerate(blocks)
        ]
        replies.append(reply(*used, text="hm"))
    first = BOOK.rollout(Job(0, seed))
    ended = None
    for count, said in enumerate(replies, 1):
        if first.answer(said):
            ended = count
            break
        again = BOOK.rollout(Job(0, seed))
        for before in replies[:count]:
            again.answer(before)
        assert again.conversation() == first.conversation()
        assert again.state == first.state
    assert ended is None or first.notes()["ended_by"] in {"answer", "finish", "turns"}


def test_stage_when_the_scenario_has_no_environment_is_none():
    assert ScenarioConfig(name="x").environment == {}
    assert book_of(axes={}, user="hi")._script(0).staging is None
