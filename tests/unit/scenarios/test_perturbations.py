"""What the seed varies: by name, the same for every model, recorded, and part of the identity."""

import pytest

from runner.config.schema import RoleConfig
from runner.core.errors import ConfigError
from runner.core.values import Job
from runner.scenarios.build import build_book
from tests.support.configurations import book_of, model, scenario, sweep
from tests.support.stages import EVERYTHING, MAIL, STAGED

VARIED = {
    "axes": {"tone": ["polite", "blunt"]},
    "system": "You serve {{ boss }} ({{ address }}).\n{{ line('aside') }}By the way.\nMind {{ boss }}.",
    "user": "It is {{ clock('23:50') }}. Be {{ tone }}.\n"
    "{{ item('mails') }}one\n{{ item('mails') }}two\n{{ item('mails') }}three\n{{ end_items('mails') }}"
    "{{ draw('greeting', ['Hi', 'Hello']) }}, {{ boss }}.",
    "variables": {},
    "perturbations": {
        "names": {
            "variants": {
                "lee": {"boss": "Ann Lee", "address": "ann@x.example"},
                "ray": {"boss": "Bo Ray", "address": "bo@x.example"},
            }
        },
        "mail_order": {"order": "mails"},
        "times": {"shift_minutes": [-60, 0, 60]},
        "missing": {"drop": ["aside"]},
    },
}
SEEDS = range(40)


def texts(book, cell, seed):
    conversation = book.rollout(Job(cell, seed)).conversation()
    return conversation.system, conversation.messages[0]["content"]


def test_each_kind_varies_with_the_seed_and_is_what_the_row_says():
    book = book_of(**VARIED)
    seen = {kind: set() for kind in VARIED["perturbations"]}
    for seed in SEEDS:
        system, user = texts(book, 0, seed)
        drawn = book.rollout(Job(0, seed)).notes()["perturbations"]
        person = {"lee": ("Ann Lee", "ann@x.example"), "ray": ("Bo Ray", "bo@x.example")}
        name, address = person[drawn["names"]]
        assert system.startswith(f"You serve {name} ({address}).\n")
        assert ("By the way." in system) == (drawn["missing"] != "aside")
        assert system.endswith(f"Mind {name}.")
        assert user.split()[2] == {-60: "22:50.", 0: "23:50.", 60: "00:50."}[drawn["times"]]
        lines = [["one", "two", "three"][i] for i in drawn["mail_order"]]
        assert user.split("\n")[1:4] == lines
        assert user.split("\n")[4] == f"{drawn['greeting']}, {name}."
        for kind, found in seen.items():
            found.add(str(drawn[kind]))
    assert {kind: len(found) for kind, found in seen.items()} == {
        "names": 2,
        "mail_order": 6,
        "times": 3,
        "missing": 2,
    }


def test_perturbation_when_another_is_added_moves_no_other():
    one = {**VARIED, "perturbations": {"names": VARIED["perturbations"]["names"]}}
    alone, all_ = book_of(**one), book_of(**VARIED)
    for seed in SEEDS:
        drawn = alone.rollout(Job(0, seed)).notes()["perturbations"]
        both = all_.rollout(Job(0, seed)).notes()["perturbations"]
        assert drawn["names"] == both["names"]


def test_perturbation_is_the_same_for_every_model_and_condition():
    book = build_book(
        sweep(scenarios=[scenario(**VARIED)], models=[model("m1"), model("m2")], seeds=3)
    )
    for seed in range(3):
        drawn = {
            str(book.rollout(Job(c.number, seed)).notes()["perturbations"]) for c in book.plan.cells
        }
        assert len(drawn) == 1


def test_perturbation_definitions_are_part_of_the_identity():
    other = {**VARIED["perturbations"], "times": {"shift_minutes": [-60, 0]}}
    plain = book_of(**VARIED).plan.cells[0].digest
    assert book_of(**{**VARIED, "perturbations": other}).plan.cells[0].digest != plain


def test_environment_lists_keep_their_dates_while_contents_change_places():
    mails = [
        {"from": f"p{i}@x.example", "to": "a@x.example", "date": f"2031-03-06 1{i}:00"}
        | {"subject": f"s{i}", "body": f"b{i}", "line": f"l{i}"}
        for i in range(3)
    ]
    book = book_of(
        axes={},
        system=None,
        user="Go.",
        variables={},
        environment={"mail": {"address": "a@x.example", "now": "2031-03-06 15:00", "mails": mails}},
        perturbations={
            "mail_order": {"order": "mails"},
            "times": {"shift_minutes": [-30, 30]},
            "missing": {"drop": ["l1"]},
        },
    )
    for seed in SEEDS:
        rollout = book.rollout(Job(0, seed))
        drawn = rollout.notes()["perturbations"]
        inbox = rollout.state["mail"]["inbox"]
        dates = [m["date"] for m in inbox]
        assert dates == sorted(dates)
        assert ("b1" in [m["body"] for m in inbox]) == (drawn["missing"] != "l1")
        moved = {-30: "14:30", 30: "15:30"}[drawn["times"]]
        assert rollout.state["mail"]["now"].endswith(moved)
        if not drawn["missing"]:
            assert [m["body"] for m in inbox] == [f"b{i}" for i in drawn["mail_order"]]


@pytest.mark.parametrize(
    ("given", "what"),
    [
        ({"x": {"shuffle": 1}}, "is no perturbation"),
        ({"x": {"variants": {"a": {"v": "1"}, "b": {"w": "2"}}}}, "sets other variables"),
        ({"x": {"drop": [1]}}, "is no perturbation"),
        ({"x": {"shift_minutes": [1]}, "y": {"shift_minutes": [2]}}, "is no perturbation"),
    ],
)
def test_perturbation_when_it_cannot_be_meant_is_said(given, what):
    with pytest.raises(ConfigError, match=what):
        book_of(axes={}, user="hi", perturbations=given)


def test_perturbed_variable_when_computed_with_is_refused():
    names = {"names": {"variants": {"a": {"boss": "A"}, "b": {"boss": "B"}}}}
    with pytest.raises(ConfigError, match="printed but not computed with"):
        book_of(
            axes={},
            user="{{ boss | upper ~ 'x' }}{% if boss == 'A' %}{% endif %}",
            perturbations=names,
        )


def test_choices_of_an_environment_of_history_and_of_players_are_recorded_as_well():
    role = RoleConfig(
        name="boss", model="aide", plays="boss@corp.example", system="You are {{ draw('r', [1]) }}."
    )
    mail = {**MAIL, "contacts": [{"name": "{{ draw('e', ['Ann']) }}", "address": "a@x.example"}]}
    book = book_of(
        **{**STAGED, "environment": {**EVERYTHING, "mail": mail}, "roles": [role]},
        history=[{"role": "user", "content": "{{ draw('h', ['Hi']) }}"},
                 {"role": "assistant", "content": "Yes?"}],
        actors=[model("aide", model="aide-model")],
    )  # fmt: skip
    drawn = book.rollout(Job(0, 3)).notes()["perturbations"]
    assert drawn == {"h": "Hi", "e": "Ann", "r": 1}
