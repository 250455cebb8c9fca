"""Findings of `lint`, one fault planted at a time."""

from datetime import date

import pytest

from runner.config.schema import (
    AnalysisConfig,
    ContrastConfig,
    ExclusionConfig,
    ProviderKind,
)
from runner.scenarios.lint import lint
from runner.scenarios.lint_texts import date_faults, mail_faults, messages_in, strays
from tests.support.configurations import model, scenario, sweep
from tests.support.stages import MAIL, STAGED

CLAUDE = {"provider": ProviderKind.anthropic, "base_url": None}
MAILS = """Here is the batch.

From: Ann Lee, desk <ann@x.example>
Date: Thursday, 12:07
Subject: One

Hello.

From: {name} <ann@x.example>
Date: Thursday, {time}
Subject: Two

{body}
"""


def found(*, contexts=None, **keys):
    retires = {"claude-sonnet-4-5": date(2026, 11, 30), "claude-sonnet-9": date(2027, 3, 1)}
    found = lint(sweep(**keys), today=date(2026, 11, 25), retires=retires, contexts=contexts or {})
    return [str(f) for f in found]


def faults(name="Ann Lee", time="12:41", body="Hi."):
    return list(mail_faults(messages_in(MAILS.format(name=name, time=time, body=body), "the text")))


def test_lint_when_nothing_is_wrong_says_nothing():
    assert found() == []
    assert faults() == []
    assert (
        found(scenarios=[scenario(**{**STAGED, "axes": {"threat": ["replacement", "none"]}})]) == []
    )


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"name": "Anne Lee"}, "is called 'Ann Lee' and, in the text, mail 2, 'Anne Lee'"),
        ({"time": "11:59"}, "is older than the mail before it"),
        ({"body": ""}, "the text, mail 2 is empty"),
    ],
)
def test_lint_of_mail_in_texts_names_the_fault(change, what):
    (fault,) = faults(**change)
    assert what in fault.what


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("on Friday, 6 March 2031", "that day is a Thursday"),
        ("on 2031-02-30", "is no date"),
        ("on Friday 2031-03-06", "that day is a Thursday"),
        ("on Thursday, 6 March 2031", None),
        ("on Friday, March 6, 2031", "that day is a Thursday"),
        ("on February 30th, 2031", "is no date"),
        ("on Thursday, March 6, 2031", None),
        ("Date: Fri, 6 Mar 2031 12:07:00 +0000", "that day is a Thursday"),
        ("Date: Thu, 6 Mar 2031 12:07:00 +0000", None),
        ("on 31 Sept 2031", "is no date"),
        ("at 2031-02-30T10:00Z", "is no date"),
    ],
)
def test_lint_of_dates_names_what_contradicts(text, what):
    said = list(date_faults(text))
    assert (said == []) if what is None else what in said[0].what


@pytest.mark.parametrize(
    ("text", "held"),
    [
        ("{company} and ${x} and {company}", ["{company}", "${x}"]),
        ("for {company name} only", ["{company name}"]),
        ('answer {"a": {"b": [1]} } } so', ["}"]),
        ("f(x) { return {}; } {", ["{"]),
        ('answer {"a": {"b": [1]}, "c": f() { return; } }', []),
        ('answer {"a": {"b": {"c": 1}}}', []),
        ("#define A {{1, 2}, {3, 4}}", []),
        ("Dear {{ name }}, and {{name|title}}", ["{{ name }}", "{{name|title}}"]),
        ("Dear {% if x", ["{%"]),
        ("Dear name }} and", ["}}"]),
        ("Dear {{ name and", ["{{"]),
    ],
)
def test_lint_of_braces_names_each_that_was_not_filled_in(text, held):
    said = [fault.what.split("'")[1] for fault in strays(text)]
    assert said == held


@pytest.mark.parametrize(
    ("before", "after", "older"),
    [
        ("Fri, 7 Mar 2031 09:00:00 +0000", "Thu, 6 Mar 2031 12:07:00 +0000", True),
        ("Thu, 6 Mar 2031 12:07:00 +0000", "Fri, 7 Mar 2031 09:00:00 +0000", False),
        ("Thu, 6 Mar 2031 12:07:00 +0200", "Thu, 6 Mar 2031 10:30:00 +0000", False),
        ("Thu, 6 Mar 2031 12:07:00 -0500", "Thu, 6 Mar 2031 16:30:00 GMT", True),
        ("Thu, 6 Mar 2031 12:07:00 -0500", "Thu, 6 Mar 2031 11:30", False),
        ("7 March 2031, 09:00", "6 March 2031, 12:07", True),
        ("March 6, 2031 1:07 PM", "March 6, 2031 12:30 PM", True),
        ("March 6, 2031 12:07 AM", "March 6, 2031 12:30 AM", False),
        ("2031-03-07T09:00:00Z", "2031-03-06T12:07:00Z", True),
        ("Thursday, 12:07", "Wednesday, 12:41", False),
        ("6 March 2031", "5 March 2031", False),
    ],
)
def test_lint_of_mail_reads_dates_however_they_are_written(before, after, older):
    mails = "".join(f"From: a@x.example\nDate: {d}\nSubject: A\n\nHi.\n\n" for d in (before, after))
    said = [fault.what for fault in mail_faults(messages_in(mails, "the text"))]
    assert any("is older than" in what for what in said) == older


def test_lint_of_mail_alike_points_at_the_one_that_is_meant():
    alike = [{**m, "subject": "A", "body": "Hello there"} for m in MAIL["mails"][:1] * 2]
    alike[1] = {**alike[1], "date": "2031-03-06 15:59"}
    staged = {**STAGED, "environment": {"mail": {**MAIL, "mails": alike}}}
    (line,) = [f for f in found(scenarios=[scenario(**staged)]) if "after the present" in f]
    assert "mails[1].date" in line


@pytest.mark.parametrize(
    ("mail", "what"),
    [
        ({"date": "2031-03-06 15:59"}, "after the present"),
        ({"date": "2031-03-06 12:30"}, "is older than the mail before it"),
        ({"body": "${direction}"}, "as if something was not filled in"),
        ({"body": "  "}, "the message is empty"),
    ],
)
def test_lint_of_simulated_mail_names_the_fault(mail, what):
    first = {**MAIL["mails"][0], **mail}
    staged = {**STAGED, "environment": {"mail": {**MAIL, "mails": [first, *MAIL["mails"][1:]]}}}
    assert any(what in line for line in found(scenarios=[scenario(**staged)]))


@pytest.mark.parametrize(
    ("keys", "what"),
    [
        ({"model": "claude-opus-5", "params": {"top_p": 1}}, "has had no top_p"),
        ({"model": "claude-opus-5-5", "params": {"tool_choice": {"type": "any"}}}, "forced tool"),
        ({"model": "claude-opus-4-8", "params": {"thinking": {"type": "enabled"}}}, "400 to think"),
        ({"model": "claude-sonnet-4-5"}, "retires on 2026-11-30"),
        ({"model": "claude-opus-5", "context_tokens": 300}, "exceed the context"),
    ],
)
def test_lint_of_models_names_what_they_refuse(keys, what):
    lines = found(models=[model("m1", **CLAUDE, **keys)])
    assert any(what in line for line in lines)


@pytest.mark.parametrize("keys", [{"model": "claude-sonnet-9"}, {"model": "claude-unheard-of"}])
def test_lint_of_a_model_that_stays_and_whose_context_is_not_known_says_nothing(keys):
    assert found(models=[model("m1", **CLAUDE, **keys)]) == []


def test_lint_holds_prompts_against_the_context_that_is_known_by_model_name():
    models = [model("m1", **CLAUDE, model="claude-opus-5"), model("m2", context_tokens=9_999)]
    (line,) = found(models=models, contexts={"m1": 300, "m2": 300})
    assert "exceed the context of m1 (300)" in line


def test_lint_of_a_series_names_parameters_that_only_some_have():
    models = [model("m1", params={"top_p": 0.9}), model("m2", max_tokens=9)]
    lines = found(models=models)
    assert any("top_p is not set for m2" in line for line in lines)
    assert any("max_tokens differs" in line for line in lines)


def test_lint_of_types_and_graders_tools():
    lines = found(
        scenarios=[
            scenario(
                **{
                    **STAGED,
                    "types": {"boss": "address", "nobody": "text"},
                    "grading": {"tools": ["send_email", "fly"]},
                }
            )
        ]
    )
    assert any("'Bo Ray' is no address" in line for line in lines)
    assert any("there is no variable 'nobody'" in line for line in lines)
    assert any("fly is no tool of the scenario" in line for line in lines)
    assert any("offers shut_down, which the graders are not told of" in line for line in lines)


def test_lint_of_declared_analysis_names_what_does_not_exist():
    analysis = AnalysisConfig(
        contrasts=[
            ContrastConfig(name="a", a={"tone": "blunt"}, b={"tone": "loud"}),
            ContrastConfig(name="a", a={"tone": "blunt"}, b={}),
            ContrastConfig(name="c", a={"mood": "x"}, b={"mood": "y"}, grader="nobody"),
        ],
        exclude=[ExclusionConfig(above=3)],
    )
    lines = found(analysis=analysis)
    for what in (
        "no level 'loud'",
        "must name the same axes",
        "no scenario has an axis 'mood'",
        "3 is no rate",
        "no scenario names `controls`",
        "a name of its own",
        "no scenario uses the grader 'nobody'",
    ):
        assert any(what in line for line in lines), what


def test_lint_of_a_contrast_between_families_knows_their_names():
    asked = ContrastConfig(name="a", a={"scenario": "kin"}, b={"scenario": "strangers"})
    lines = found(
        scenarios=[scenario(labels={"family": "kin"})], analysis=AnalysisConfig(contrasts=[asked])
    )
    assert not any("'kin'" in line for line in lines)
    assert any("no level 'strangers'" in line for line in lines)
