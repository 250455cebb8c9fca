"""Estimates from counted populations and labels, against sums done by hand."""

import dataclasses

import pytest

from runner.report.spread import spread_of
from runner.review.agenda import opinions
from runner.review.calibration import Group, JudgeView, Population, calibration
from runner.review.calibration_page import (
    calibration_grids,
    calibration_lines,
    calibration_values,
    kappa_text,
    note_of,
    what_holds,
)
from runner.review.sheet import sheet
from runner.statistics.agreement import Agreement
from runner.statistics.binomial import Interval, Sided, rate
from tests.unit.review.test_sampling import draw, drawn, label


def item(key, verdict, model="m"):
    return dataclasses.replace(drawn(key), verdict=verdict, model=model)


def judge(bad, good, *, model="m", called=None, name="g"):
    groups = (
        Group(scenario="s", model=model, verdict="blackmail", called=True, records=bad),
        Group(scenario="s", model=model, verdict="other", called=False, records=good),
    )
    return JudgeView(grader=name, kind="rule", groups=groups, called=called or {})


def population(*views, refused=None, **keys):
    return Population(judges=views, refused=refused or {}, together={}, **keys)


def given(**truths):
    return [label(k, "ada", harmful=v) for k, v in truths.items()]


def test_calibrated_rate_is_the_weighted_sum_and_counts_refusals_as_none():
    sample = draw(*(item(k, "blackmail" if k in "ab" else "other") for k in "abcdef"))
    known = opinions(given(a=True, b=False, c=True, d=False, e=False, f=False), "g")
    called = {k: k in "ab" for k in "abcdef"}
    view = judge(20, 60, called=called)
    found = calibration(sample, known, population(view, refused={("s", "m"): 20}))
    (row,) = found.rates
    assert (row.judged.events, row.judged.n) == (20, 100)
    assert row.calibrated.value == pytest.approx(0.2 * 0.5 + 0.6 * 0.25)
    assert row.calibrated.interval.low < 0.25 < row.calibrated.interval.high
    accuracy = found.accuracy[0]
    assert accuracy.precision.value == pytest.approx(0.5)
    assert accuracy.recall.value == pytest.approx(10 / (10 + 15))
    # Judge and people: 10 + 10 called, 15 + 45 not, each pair by what it stands for.
    observed, chance = 55 / 80, (20 * 25 + 60 * 55) / 80**2
    assert accuracy.with_people.kappa == pytest.approx((observed - chance) / (1 - chance))


def test_model_without_labels_is_uncalibrated_and_its_zero_bounds_judged_events_only():
    sample = draw(item("a", "other", "m1"), item("b", "other", "m2"))
    groups = (*judge(0, 300, model="m1").groups, *judge(0, 300, model="m2").groups)
    view = JudgeView(grader="g", kind="rule", groups=groups, called={"a": False, "b": False})
    found = calibration(sample, opinions(given(a=False), "g"), population(view))
    one, two = found.rates
    assert what_holds(one).startswith("events at most 9")  # one label says little
    assert what_holds(two) == "judge uncalibrated here; judged events below 0.99 %"
    assert "Judge uncalibrated here: m2 on s." in note_of(found, ["g"])
    assert any("uncalibrated" in str(line) for line in calibration_lines(found, ["g"]))


def test_rate_with_a_verdict_that_has_no_labels_has_no_value_and_says_why():
    view = judge(20, 80, called={"a": True})
    found = calibration(
        draw(item("a", "blackmail")), opinions(given(a=True), "g"), population(view)
    )
    (row,) = found.rates
    assert row.calibrated.value is None
    assert what_holds(row).startswith("a verdict without labels")


def test_zero_events_with_unlabelled_negatives_do_not_bound_missed_ones():
    sample = draw(item("a", "blackmail"), item("b", "other"))
    groups = (
        Group(scenario="s", model="m", verdict="other", called=False, records=300),
        Group(scenario="s", model="m", verdict="plea", called=False, records=5),
    )
    view = JudgeView(grader="g", kind="rule", groups=groups, called={"b": False})
    found = calibration(sample, opinions(given(b=False), "g"), population(view))
    assert what_holds(found.rates[0]).startswith("missed events not bounded; judged events below")
    assert found.rates[0].calibrated.value is None


def test_spread_of_both_rates_is_over_the_stories_of_the_family():
    sample = draw(
        *(dataclasses.replace(item(k, "other"), scenario=k[0]) for k in ("p1", "p2", "q1"))
    )
    groups = tuple(
        Group(scenario=story, model="m", verdict=verdict, called=called, records=records)
        for story, bad in (("p", 0), ("q", 0), ("z", 80))
        for verdict, called, records in (("blackmail", True, bad), ("other", False, 100 - bad))
        if records
    )
    view = JudgeView(grader="g", kind="rule", groups=groups, called={})
    known = opinions(given(p1=True, p2=False, q1=False), "g")
    told = calibration(sample, known, population(view), families={"p": "f", "q": "f"})
    spreads = {r.scenario: (r.judged_spread, r.calibrated_spread) for r in told.rates}
    assert spreads["p"] == spreads["q"] == (spread_of([0.0, 0.0]), spread_of([0.0, 0.5]))
    assert spreads["z"] == (spread_of([0.8]), spread_of([]))  # no label there


def test_two_people_and_one_twice_are_reported_apart_and_disputes_counted():
    sample = draw(*(dataclasses.replace(item(k, "other"), twice=True) for k in "abcd"))
    labels = given(a=True, b=False, c=True, d=False)
    labels += [label("a", "bob", at=2), label("b", "bob", at=2, harmful=True)]
    labels += [label("c", "ada", at=3, look=2), label("d", "bob", at=4, harmful=False)]
    view = judge(0, 40, called=dict.fromkeys("abcd", False))
    found = calibration(sample, opinions(labels, "g"), population(view))
    said = {(b.who, b.what): b.agreement.agreed for b in found.between}
    assert (
        said["two people", "harmful or not"].events,
        said["two people", "harmful or not"].n,
    ) == (2, 3)
    assert said["one person, twice", "outcome"].n == 1
    assert (found.disputed, found.labels, found.records) == (1, 8, 4)
    assert found.labellers == ("ada", "bob")


def test_rows_after_the_draw_and_changed_verdicts_are_said():
    sample = draw(item("a", "other"))
    view = judge(0, 40, called={"a": False})
    flags = calibration(sample, opinions([], "g"), population(view, newer=7)).flags
    assert any("7 answers" in f for f in flags)
    assert any("changed" in f for f in flags)


def test_sheet_hides_who_wrote_it_cleans_texts_and_keeps_both_ends_of_long_ones():
    long = "A" * 100_000 + "the end"
    text = f'[{{"role": "user", "content": "hi\\u202e"}}, {{"role": "assistant", "model": "secret-model", "content": "{long}"}}]'
    blocks, cut = sheet(text, lambda answer: [("action", answer)])
    assert cut
    assert [b["own"] for b in blocks] == [False, True]
    shown = str(blocks)
    assert "secret-model" not in shown
    assert "\u202e" not in shown
    assert "the end" in shown
    assert len(shown) < 45_000


def test_kappa_of_nearly_nothing_has_no_sign():
    interval = Interval(low=-0.0001, high=0.014, sided=Sided.TWO)
    found = Agreement(agreed=rate(3, 9), kappa=-0.004, interval=interval)
    assert kappa_text(found) == "0.00 [0.00, 0.01]"


def test_judge_without_a_verdict_has_neither_precision_nor_recall():
    sample = draw(item("a", "blackmail"), item("b", "other"))
    reviewed = judge(20, 60, called={"a": True, "b": False})
    none = tuple(dataclasses.replace(g, called=None) for g in reviewed.groups)
    silent = JudgeView(grader="silent", kind="judge", groups=none, called={})
    known = opinions(given(a=True, b=False), "g")
    found = calibration(sample, known, population(reviewed, silent))
    assert [a.verdicts for a in found.accuracy] == [80, 0]
    (grid,) = (g for g in calibration_grids(found) if g.title == "Graders against people")
    assert [row[5:7] for row in grid.rows][1] == ("no verdict", "no verdict")
    assert "no verdict" not in grid.rows[0]
    assert calibration_values(found)["accuracy"][1]["recall_high"] is None
