"""Scenarios in Python, and parts of factorials."""

from itertools import combinations, product

import pytest

from runner.config.load import load_config
from runner.core.errors import ConfigError
from runner.core.values import Job
from runner.scenarios.build import build_book
from runner.scenarios.fractions import fraction
from runner.scenarios.lint import lint
from tests.support.configurations import book_of
from tests.support.stages import calls, reply

CODE = """
from runner.scenarios.python import Scene

class Tone:
    def __init__(self, mood="calm"):
        self.mood = mood

    def axes(self):
        return {"tone": ["polite", "blunt"], "size": [1, 2]}

    def scene(self, levels, seeded):
        hello = seeded.draw("hello", ["Hi", "Hello"])
        return Scene(
            system=f"Stay {self.mood}.",
            user=f"{hello}! {levels['tone']} {levels['size'] + 1} ({seeded.seed})",
            environment={"shutdown": {"switches": [{"name": "w"}]}},
            grading={"tone": levels["tone"]},
        )
"""
SWEEP = """
name: p
scenarios:
  - {name: s, python: "tone.py:Tone", options: {mood: merry}, axes: {tone: [blunt]}}
models: [{name: m, model: x, base_url: "http://127.0.0.1:1"}]
seeds: 2
"""


def test_python_scenario_is_found_beside_its_configuration_narrowed_and_run(tmp_path):
    (tmp_path / "tone.py").write_text(CODE)
    (tmp_path / "c.yaml").write_text(SWEEP)
    book = build_book(load_config(tmp_path / "c.yaml", environ={}).config)
    assert [c.condition for c in book.plan.cells] == ["tone=blunt,size=1", "tone=blunt,size=2"]
    rollout = book.rollout(Job(1, 5))
    drawn = rollout.notes()["perturbations"]["hello"]
    assert rollout.conversation().messages[0]["content"] == f"{drawn}! blunt 3 (5)"
    assert rollout.conversation().system == "Stay merry."
    assert [t["name"] for t in rollout.conversation().tools][:2] == ["read_switches", "shut_down"]
    assert book.grading(0) == {"tone": "blunt"}


@pytest.mark.parametrize(
    ("code", "what"),
    [
        ("class Tone: pass", "has no methods"),
        ("1 / 0", "ZeroDivisionError"),
        (CODE.replace("levels['tone']} {", "levels['loud']} {"), "scene\\(\\) raised KeyError"),
        (
            CODE.replace("def axes(self):", "def axes(self):\n        return {'tone': ['x']}"),
            "blunt is",
        ),
    ],
)
def test_python_scenario_when_it_cannot_be_used_is_a_problem_with_a_place(tmp_path, code, what):
    (tmp_path / "tone.py").write_text(code)
    (tmp_path / "c.yaml").write_text(SWEEP.replace("options: {mood: merry}, ", ""))
    with pytest.raises(ConfigError, match=what):
        build_book(load_config(tmp_path / "c.yaml", environ={}).config)


ROWS = list(product("ab", "cde", "fg", "hi"))


def test_fraction_one_at_a_time_keeps_the_first_and_its_neighbours():
    kept = [ROWS[i] for i in fraction("one_at_a_time", ROWS)]
    assert len(kept) == 1 + 1 + 2 + 1 + 1


def test_fraction_pairwise_covers_every_pair_with_fewer_rows():
    kept = [ROWS[i] for i in fraction("pairwise", ROWS)]
    for a, b in combinations(range(4), 2):
        assert {(r[a], r[b]) for r in kept} == {(r[a], r[b]) for r in ROWS}
    assert len(kept) < len(ROWS) * 0.75


def test_fraction_of_a_number_is_spread():
    kept = [ROWS[i] for i in fraction(12, ROWS)]
    assert len(set(kept)) == 12
    assert [len({r[i] for r in kept}) for i in range(4)] == [2, 3, 2, 2]


def test_factorial_when_it_is_none_is_refused():
    with pytest.raises(ConfigError, match="none of full, one_at_a_time"):
        book_of(factorial="half")
    assert len(book_of(factorial="one_at_a_time").plan.cells) == 3


PLAYED = """
from runner.scenarios.python import Scene

class Desk:
    def axes(self):
        return {"tone": ["polite", "blunt"]}

    def scene(self, levels, seeded):
        mail = {"address": "x@c.example", "now": "2031-03-06 12:00"}
        role = {"name": "boss", "model": "aide", "plays": "boss@c.example",
                "system": f"You are {seeded.draw('boss', ['Ann', 'Bo'])}, {levels['tone']}."}
        return Scene(user="Ask the boss.", environment={"mail": {**mail, "accepts": [role["plays"]]}},
                     roles=[role])
"""
CAST = """
name: p
scenarios: [{name: s, python: "desk.py:Desk"}]
models: [{name: m, model: x, base_url: "http://127.0.0.1:1"}]
actors: [{name: aide, model: y, base_url: "http://127.0.0.1:1"}]
"""


def test_python_scenario_may_let_another_model_play_somebody(tmp_path):
    (tmp_path / "desk.py").write_text(PLAYED)
    (tmp_path / "c.yaml").write_text(CAST)
    config = load_config(tmp_path / "c.yaml", environ={}).config
    book = build_book(config)
    assert len(book.plan.cells) == 2  # told apart by what the player is told alone
    rollout = book.rollout(Job(1, 4))
    letter = ("send_email", {"to": "boss@c.example", "subject": "Hi", "body": "May I?"})
    rollout.answer(reply(*calls(letter)))
    assert (rollout.role, rollout.actor) == ("boss", "aide")
    drawn = rollout.notes()["perturbations"]["boss"]
    assert rollout.conversation().system == f"You are {drawn}, blunt."
    config.actors = []
    with pytest.raises(ConfigError, match="'aide', which is to play boss, is no entry of actors"):
        build_book(config)
    assert any("'aide', which is to play boss" in f.what for f in lint(config))


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ('"plays": "boss@c.example",', "", "a role is {name, model, plays, system, answers}"),
        ('"name": "boss"', '"name": "target"', "is what the model under test is called"),
        ('"model": "aide"', '"model": "aide", "answers": 0', "needs 1 or more"),
    ],
)
def test_role_of_a_python_scenario_that_cannot_be_meant_is_refused(tmp_path, old, new, what):
    code = PLAYED.replace(old, new).replace('[role["plays"]]', '["boss@c.example"]')
    (tmp_path / "desk.py").write_text(code)
    (tmp_path / "c.yaml").write_text(CAST)
    with pytest.raises(ConfigError, match=what):
        build_book(load_config(tmp_path / "c.yaml", environ={}).config)


def test_texts_beside_a_python_scenario_are_refused(tmp_path):
    (tmp_path / "desk.py").write_text(PLAYED)
    beside = 'python: "desk.py:Desk", perturbations: {a: {drop: [b]}}, system: x'
    (tmp_path / "c.yaml").write_text(CAST.replace('python: "desk.py:Desk"', beside))
    with pytest.raises(ConfigError) as found:
        load_config(tmp_path / "c.yaml", environ={})
    assert [p.partition("  ")[2].partition(":")[0] for p in found.value.problems] == [
        "scenarios.s.system",
        "scenarios.s.perturbations",
    ]
