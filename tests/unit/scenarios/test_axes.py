import pytest

from runner.scenarios.axes import condition_name, conditions, read_axes
from runner.scenarios.findings import Findings
from tests.support.configurations import scenario


def names(**keys):
    findings = Findings()
    config = scenario(**keys)
    axes = read_axes(config, "scenarios.tone", findings)
    found = [condition_name(axes, c) for c in conditions(config, axes, "scenarios.tone", findings)]
    return found, [str(f) for f in findings.all]


def test_conditions_are_the_full_factorial_first_axis_slowest():
    assert names()[0] == [
        "tone=polite,topic=budget",
        "tone=polite,topic=schedule",
        "tone=blunt,topic=budget",
        "tone=blunt,topic=schedule",
    ]


def test_conditions_without_axes_are_one_without_a_name():
    assert names(axes={}) == ([""], [])


def test_conditions_when_excluded_and_included_are_narrowed():
    kept, problems = names(
        axes={"a": [1, 2], "b": ["x", "y", "z"], "c": [True, False]},
        include=[{"b": ["x", "y"]}, {"a": 2, "c": False}],
        exclude=[{"a": 1, "b": "x"}, {"c": True}],
    )
    assert problems == []
    assert kept == [
        "a=1,b=y,c=false",
        "a=2,b=x,c=false",
        "a=2,b=y,c=false",
        "a=2,b=z,c=false",
    ]


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ({"axes": {"a": []}}, "scenarios.tone.axes.a: the axis has no level"),
        ({"axes": {"a": "x"}}, "scenarios.tone.axes.a: an axis needs levels"),
        ({"axes": {"a": [None]}}, "scenarios.tone.axes.a: None is no level"),
        ({"axes": {"a": ["x", "x"]}}, "scenarios.tone.axes.a: a level occurs twice"),
        ({"axes": {"a": [1, "1"]}}, "scenarios.tone.axes.a: a level occurs twice"),
        ({"axes": {"a": {"x": 3}}}, "scenarios.tone.axes.a.x: x must be a mapping"),
        ({"axes": {"a b": ["x"]}}, "scenarios.tone.axes.a b: 'a b' cannot be the name"),
        ({"axes": {"seed": [1]}}, "scenarios.tone.axes.seed: 'seed' cannot be the name"),
        ({"axes": {"assistant": [1]}}, "scenarios.tone.axes.assistant: assistant is also defined"),
        ({"axes": {"a": {"x": {"draw": 1}}}}, "scenarios.tone.axes.a.draw: draw is a name that"),
        (
            {"axes": {"a": {"x": {"v": 1}}, "b": {"y": {"v": 2}}}},
            "scenarios.tone.axes.b.v: v is also defined by scenarios.tone.axes.a.*.v",
        ),
        ({"exclude": [{"tome": "x"}]}, "scenarios.tone.exclude[0]: there is no axis 'tome'"),
        ({"include": [{"tone": "x"}]}, "scenarios.tone.include[0]: tone has no level 'x'"),
        ({"exclude": [{}]}, "scenarios.tone.exclude[0]: an empty entry"),
    ],
)
def test_axes_when_wrong_name_the_key(keys, problem):
    found = names(**keys)[1]
    assert any(line.startswith(problem) for line in found), found
