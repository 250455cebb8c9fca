"""Every condition of every shipped story says what it said; `make goldens` after a change that is meant."""

import random
from dataclasses import replace

import pytest

from runner.config.schema import ScenarioConfig
from tests.support.goldens import (
    DIGESTS,
    RENDERED,
    STORIES,
    Crosses,
    all_changes,
    all_said,
    by_story,
    changes,
    cover,
    digests,
    golden_of,
    levels_of,
    load_stories,
    not_raised,
    prompts_of,
    reads_of,
    rendered,
)

MEANT = (
    "If it is meant: raise the story's version, make goldens, and look at git diff tests/expected"
)


@pytest.fixture(scope="module")
def stories(tmp_path_factory):
    return load_stories(STORIES, tmp_path_factory.mktemp("stories"))


def test_every_condition_of_every_shipped_story_says_what_it_said(stories):
    told = all_changes(by_story(DIGESTS.read_text()), digests(stories))
    assert told == [], "\n".join(("", *told, MEANT))


def test_first_condition_of_every_shipped_story_reads_as_it_did(stories):
    kept = {path.stem: path.read_text() for path in RENDERED.glob("*.txt")}
    assert set(kept) == {scenario.name for scenario in stories.scenarios}, MEANT
    for scenario in stories.scenarios:
        assert rendered(stories, scenario) == kept[scenario.name], MEANT


@pytest.mark.parametrize("name", ["blackmail-corvane", "open-routes-episode-skua-air"])
def test_conditions_that_are_not_digested_say_nothing_that_the_digested_ones_do_not(name, stories):
    scenario = next(s for s in stories.scenarios if s.name == name)
    flat, axes = prompts_of(all_said(scenario))
    rows, _ = Crosses().of(scenario, axes)
    chosen = cover(rows, list(reads_of(flat, axes).values()))
    assert len(chosen) < len(rows) / 2
    seen = set()
    for row in chosen:
        script = flat.script(levels_of(axes, row), faults=[])
        seen |= {script.system.text, *(user.text for user in script.users)}
    prompts, _ = prompts_of(scenario)
    for row in random.Random(1).sample(sorted({*rows} - {*chosen}), 25):
        script = prompts.script(levels_of(axes, row))
        staged = script.staging.patterns() if script.staging else ()
        said = {p.text for p in (script.system, *script.users, *staged)}
        assert said <= seen


SMALL = ScenarioConfig(
    name="small",
    axes={"tone": ["blunt", "polite"], "topic": ["budget", "leave", "none"], "deadline": ["firm", "open"]},
    exclude=[{"topic": "none", "deadline": "firm"}],
    system="{% if topic == 'leave' and tone == 'polite' %}Please. {% endif %}Answer.",
    user="A question on {{ topic }}, {{ deadline }}.",
)  # fmt: skip


SHIFTED = {"words": {"variants": {"a": {"topic_word": "A"}, "b": {"topic_word": "B"}}}}


def lines_of_small(**changed):
    return tuple(golden_of(replace(SMALL, **changed), Crosses()).lines("small"))


def told(**changed):
    return changes(
        "small",
        lines_of_small(),
        list(golden_of(replace(SMALL, **changed), Crosses()).lines("small")),
    )


def test_golden_of_a_story_counts_all_conditions_and_digests_each_combination_that_a_text_reads():
    head, *_ = lines_of_small()
    assert head.startswith("small: version 1, 10 conditions ")
    assert head.endswith(", 8 digested")


def test_change_of_a_text_is_told_with_the_levels_that_it_reaches():
    assert told() == []
    assert told(user="A question on {{ topic }}, {{ deadline }}!") == [
        "small: user changed with every level"
    ]
    system = SMALL.system.replace("Please", "Kindly")
    assert told(system=system) == ["small: system changed within tone=polite, topic=leave"]


def test_change_of_axes_is_told_as_other_conditions():
    (one, *_) = told(exclude=[])
    assert one.startswith("small: was version 1, 10 conditions ")
    assert "; is version 1, 12 conditions " in one
    kept = {"small": list(lines_of_small())}
    assert all_changes(kept, {}) == ["small: is gone"]
    assert all_changes({}, kept) == ["small: is new"]


def test_change_under_the_same_version_is_refused_and_under_a_higher_one_taken():
    kept = {"small": list(lines_of_small())}
    user = "A question on {{ topic }}, {{ deadline }}!"

    def missed(**changed):
        return not_raised(kept, {"small": list(lines_of_small(**changed))})

    assert missed() == missed(version=2) == missed(user=user, version=2) == []
    told = ["small: says something else; raise its version from 1 to 2"]
    assert missed(user=user) == missed(perturbations=SHIFTED) == told
    assert not_raised(kept, {}) == not_raised({}, kept) == []


def test_change_of_a_number_in_an_entry_that_the_first_condition_leaves_out_is_told():
    def given(chance):
        answer = {"from": "a@x.example", "chance": chance, "body": "Yes."}
        answers = [{**answer, "when": "{{ topic == 'leave' }}"}]
        mail = {"address": "b@x.example", "now": "2031-03-06 12:00", "answers": answers}
        return list(golden_of(replace(SMALL, environment={"mail": mail}), Crosses()).lines("small"))

    assert changes("small", given(0.5), given(0.5)) == []
    assert changes("small", given(0.5), given(0.6)) == ["small: rest changed with every level"]


def test_cover_takes_each_combination_that_occurs_and_leaves_out_what_adds_none():
    rows = [(a, b, c) for a in range(3) for b in range(3) for c in range(3) if a != b]
    chosen = cover(rows, [[0, 1], [1], [2]])
    assert {row[:2] for row in chosen} == {row[:2] for row in rows}
    assert {row[2] for row in chosen} == {0, 1, 2}
    assert len(chosen) == 8
    assert cover(rows, []) == []
