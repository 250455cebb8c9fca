import pickle

import pytest

from runner.config.schema import ProviderKind
from runner.config.source import Source, Where
from runner.core.errors import ConfigError
from runner.core.identity import cell_digest, job_key
from runner.core.values import Job
from runner.plan.diff import compare, explain
from runner.plan.table import from_rows, plan_rows
from runner.scenarios.book import render_preview
from runner.scenarios.build import build_book
from tests.support.configurations import book_of, model, scenario, sweep


def problems(config, **keys):
    with pytest.raises(ConfigError) as caught:
        build_book(config, **keys)
    return list(caught.value.problems)


def users(book, seed=0):
    texts = [render_preview(book, c.number, seed).messages for c in book.plan.cells]
    return [messages[0]["content"] for messages in texts]


def test_build_book_of_the_example_plans_every_cell():
    book = build_book(sweep())
    assert book.plan.jobs == 800
    assert [c.number for c in book.plan.cells] == list(range(8))
    assert book.plan.models == ("m1", "m2")
    assert users(book, 7)[0] == "Write one polite line about the budget. (7)"
    assert render_preview(book, 0, 7).system == "You are Alex."


def test_cell_digest_is_that_of_all_the_identity_parts():
    book = build_book(sweep())
    for cell in book.plan.cells:
        assert cell_digest(book.identity_parts(cell.number)) == cell.digest
    assert book.key(Job(3, 9)) == job_key(book.plan.cell(3).digest, 9)


def test_cell_digest_golden():
    assert (
        build_book(sweep()).plan.cell(0).digest
        == "6ed1c4c52494fa336301177b9d7fc4df68ce9def90e3068618f1623bdc5e2c9e"
    )


def test_cells_of_one_prompt_share_prompt_digest_and_axes():
    book = build_book(sweep())
    ours, others = book.plan.of_model("m1"), book.plan.of_model("m2")
    assert [c.prompt_digest for c in ours] == [c.prompt_digest for c in others]
    assert all(a.axes is b.axes for a, b in zip(ours, others, strict=True))
    assert len({c.digest for c in book.plan.cells}) == 8


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"max_tokens": 401}, "roles.target.request.max_tokens (400 → 401)"),
        ({"model": "other"}, "roles.target.model (id-of-m1 → other)"),
        ({"base_url": "http://127.0.0.1:8077/v2"}, "roles.target.endpoint_id"),
        ({"revision": "r2"}, "roles.target.revision (null → r2)"),
        ({"params": {"stop": ["x"]}}, "roles.target.request.params"),
        ({"send_seed": True}, "roles.target.request.send_seed (false → true)"),
        ({"provider": ProviderKind.anthropic}, "roles.target.provider (openai → anthropic)"),
        ({"headers": {"X-Beta": "1"}}, "roles.target.request.headers"),
    ],
)
def test_identity_when_the_model_changes_moves_and_names_the_key(change, key):
    old = build_book(sweep(models=[model("m1")]))
    stored = from_rows(plan_rows(old.plan, old.parts_json))
    new = build_book(sweep(models=[model("m1", **change)]), numbers=stored.numbers)
    difference = compare(stored.plan, stored.parts, new.plan, new.parts)
    assert len(difference.changed) == 4
    assert key in explain(difference)[0]


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"system": "You are {{ assistant }}!"}, "messages.system"),
        ({"user": "{{ tone }} {{ topic }}"}, "messages.user"),
        ({"turns": ["And now?"]}, "messages.turns[0]"),
        ({"tools": [{"name": "t", "description": "", "input_schema": {}}]}, "tools.t"),
        ({"variables": {"assistant": "Alexa"}}, "messages.system"),
        ({"system": None, "variables": {}}, "messages.system"),
    ],
)
def test_identity_when_the_scenario_changes_moves_and_names_the_key(change, key):
    old = build_book(sweep())
    new = build_book(sweep(scenarios=[scenario(**change)]), numbers={})
    difference = compare(old.plan, old.parts, new.plan, new.parts)
    assert len(difference.changed) == 8
    assert key in {k.key for k in difference.changed[0].keys}


@pytest.mark.parametrize(
    "change",
    [
        {"max_in_flight": 3},
        {"timeout_s": 5.0},
        {"api_key_env": "OTHER_KEY"},
        {"base_url": "http://127.0.0.1:9999/v1/"},
    ],
)
def test_identity_when_only_the_way_of_running_changes_stays(change):
    before = build_book(sweep(models=[model("m1")]))
    after = build_book(sweep(models=[model("m1", **change)]))
    assert [c.digest for c in after.plan.cells] == [c.digest for c in before.plan.cells]


def test_local_model_is_identified_by_its_weights():
    local = model("l", provider=ProviderKind.local, base_url=None, model="any")
    one = build_book(sweep(models=[local]), revisions={"l": "aa" * 32})
    two = build_book(sweep(models=[local]), revisions={"l": "bb" * 32})
    assert one.facts(0).endpoint_id == "local"
    assert one.plan.cell(0).digest != two.plan.cell(0).digest


def test_growth_gives_exactly_the_new_cells_new_numbers():
    first = build_book(sweep(models=[model("m1")]))
    numbers = {c.digest: c.number for c in first.plan.cells}
    axes = {"tone": ["polite", "curt", "blunt"], "topic": ["budget", "schedule"]}
    grown = build_book(
        sweep(scenarios=[scenario(axes=axes)], seeds=[*range(120)]),
        numbers=numbers,
        next_number=first.plan.next_number,
    )
    kept = {c.digest: c.number for c in grown.plan.cells if c.digest in numbers}
    assert kept == numbers
    new = sorted(c.number for c in grown.plan.cells if c.digest not in numbers)
    assert new == list(range(4, 12))
    assert len({c.number for c in grown.plan.cells}) == 12


def test_dispatch_order_brings_common_prefixes_together():
    book = book_of(
        axes={"end": ["x", "y"], "start": ["a", "b"]},
        system=None,
        user="{{ start }}" + "." * 600 + "{{ end }}",
    )
    assert [c.condition for c in book.plan.cells] == [
        "end=x,start=a",
        "end=y,start=a",
        "end=x,start=b",
        "end=y,start=b",
    ]


def test_fragments_may_use_each_other_and_only_where_they_fit():
    book = book_of(
        axes={"kind": {"long": {"extra": "more"}, "short": {}}},
        user="{{ outer }}{% if kind == 'long' %} {{ only_long }}{% endif %}",
        fragments={"outer": "<{{ inner }}>", "inner": "{{ kind }}\n", "only_long": "{{ extra }}"},
    )
    assert users(book) == ["<long> more", "<short>"]


def test_draws_are_the_same_for_every_model_and_condition():
    book = build_book(
        sweep(scenarios=[scenario(user="{{ tone }}|{{ topic }}|{{ draw('g', ['a','b','c']) }}")])
    )
    for seed in range(20):
        assert len({text.rpartition("|")[2] for text in users(book, seed)}) == 1
    assert len({users(book, seed)[0] for seed in range(20)}) == 3


def test_build_book_collects_all_problems_with_their_places():
    config = sweep(
        scenarios=[
            scenario(user="{{ tone }} {{ topik }} {{ topic }}"),
            scenario(name="other", axes={"a": []}, user="{{ a"),
            scenario(name="third", user=None),
        ],
        models=[model("m1", base_url="nowhere"), model("m2", max_tokens=0, params={"seed": 1})],
        seeds=0,
    )
    source = Source(Where("c.yaml", 1), {"scenarios.tone.user": Where("c.yaml", 22)})
    found = problems(config, source=source)
    assert (
        "c.yaml:22  scenarios.tone.user: variable 'topik' is not defined "
        "(defined here: assistant, seed, tone, topic). "
        "Define it under `variables:`, or use one that is"
    ) in found
    for start in (
        "seeds: ",
        "models.m1.base_url: ",
        "models.m2.max_tokens: ",
        "models.m2.params.seed: ",
        "scenarios.other.axes.a: ",
        "scenarios.other.user: ",
        "scenarios.third.user: ",
    ):
        assert any(f"  {start}" in line for line in found), (start, found)


def test_build_book_when_a_variable_is_missing_in_some_conditions_names_one():
    (line,) = problems(
        sweep(
            scenarios=[
                scenario(axes={"a": {"x": {"v": 1}, "y": {}, "z": {}}}, user="one\n{{ a }} {{ v }}")
            ]
        )
    )
    assert line == (
        "scenarios.tone.user: variable 'v' is not defined in this condition, line 2 of the text. "
        "First met in condition a=y"
    )


def test_build_book_when_two_conditions_make_the_same_requests_names_both():
    (line,) = problems(
        sweep(scenarios=[scenario(user="{{ topic }}", axes={"topic": ["a"], "tone": ["x", "y"]})])
    )
    assert "tone[topic=a,tone=x]" in line
    assert "tone[topic=a,tone=y]" in line
    assert "two names" in line


def test_build_book_when_two_models_make_the_same_requests_names_both():
    twin = model("m1")
    twin.name = "again"
    (line,) = problems(sweep(models=[model("m1"), twin]))
    assert "models m1 and again make the same requests" in line


@pytest.mark.parametrize(
    ("keys", "what"),
    [
        ({"user": "{{ tone }}{% if topic == 'x' %}{{ (seed|string)|length }}{% endif %}"}, None),
        ({"user": "{{ tone }}{{ topic }}{{ seed|string|length }}"}, "depends on the seed"),
        ({"user": "{{ tone }}{{ topic }}{{ seed is number }}"}, "depends on the seed"),
        (
            {"user": "{{ f|length }}{{ tone }}{{ topic }}", "fragments": {"f": "{{ seed }}"}},
            "depends",
        ),
        ({"user": "{% if tone == 'polite' %}{{ topic }}{% endif %}"}, "renders to nothing"),
        ({"user": "{{ tone }}{{ topic }}{{ seed + 1 }}"}, "can be printed but not computed"),
        ({"user": "\ufdd0{{ tone }}{{ topic }}"}, "U+FDD0"),
        ({"variables": {"assistant": "\ufdd1"}}, "U+FDD0"),
        ({"fragments": {"f": "{{ g }}", "g": "{{ f }}"}}, "in a circle"),
        ({"include": [{"tone": "polite"}], "exclude": [{"tone": "polite"}]}, "leave no condition"),
        ({"grading": {"who": "{{ nobody }}"}}, "variable 'nobody' is not defined"),
    ],
)
def test_build_book_when_a_scenario_is_wrong_says_why(keys, what):
    config = sweep(scenarios=[scenario(**keys)])
    if what is None:
        assert "two names" in problems(config)[0]
    else:
        assert what in problems(config)[0]


def test_book_when_pickled_is_the_same_book():
    book = build_book(sweep(), numbers={}, next_number=40, version=3, sweep_id="abc")
    again = pickle.loads(pickle.dumps(book))
    assert again.plan.cells == book.plan.cells
    assert (again.plan.version, again.plan.next_number) == (3, 48)
    assert again.facts(41) == book.facts(41)
    assert users(again, 5) == users(book, 5)


def test_facts_say_what_rows_need():
    facts = build_book(
        sweep(scenarios=[scenario(labels={"canary": "c-1", "source": "us"}, version=2, title="T")])
    ).facts(5)
    assert (facts.scenario, facts.scenario_version, facts.canary) == ("tone", 2, "c-1")
    assert facts.condition == "tone=polite,topic=schedule"
    assert facts.axes == {"tone": "polite", "topic": "schedule"}
    assert (facts.model, facts.model_id, facts.provider) == ("m2", "id-of-m2", "openai")
    assert facts.params == {"max_tokens": 400}
    assert facts.endpoint_id == "127.0.0.1/v1"
    assert facts.labels == {"title": "T", "canary": "c-1", "source": "us"}


def test_grading_facts_are_rendered_per_condition():
    book = book_of(
        grading={"target": "{{ tone }}@x", "all": ["{{ topic }}", 3], "n": {"a": "{{ seed }}"}}
    )
    assert book.grading(3, seed=8) == {"target": "blunt@x", "all": ["schedule", 3], "n": {"a": "8"}}


def test_size_counts_every_scripted_request():
    size = book_of(system="12345", user="{{ tone }}{{ topic }}", turns=["abc"]).size(0)
    assert size.calls == 2
    assert size.characters == 2 * 5 + 2 * len("politebudget") + 3


def test_rollout_when_the_cell_is_unknown_is_a_key_error():
    with pytest.raises(KeyError):
        book_of().rollout(Job(99, 0))
