import pytest

from runner.config.schema import ProviderKind, Streaming
from runner.config.source import Source, Where
from runner.scenarios.findings import Severity
from runner.scenarios.lint import lint
from tests.support.configurations import model, scenario, sweep


def found(**keys):
    return [(f.severity, f.key, f.what) for f in lint(sweep(**keys))]


def one(findings, key):
    matching = [(severity, what) for severity, k, what in findings if k == key]
    assert len(matching) == 1, findings
    return matching[0]


def test_lint_of_the_example_finds_nothing():
    assert found() == []


def test_lint_finding_carries_place_and_remedy():
    config = sweep(scenarios=[scenario(variables={"assistant": "A", "spare": 1})])
    source = Source(Where("c.yaml"), {"scenarios.tone.variables.spare": Where("c.yaml", 9)})
    (finding,) = lint(config, source)
    assert finding.where == "c.yaml:9"
    assert str(finding) == (
        "c.yaml:9  scenarios.tone.variables.spare: no text uses it. Use or remove it"
    )
    assert finding.severity is Severity.WARNING


@pytest.mark.parametrize(
    ("keys", "key", "severity", "what"),
    [
        ({"user": "{{ topik }}"}, "user", "error", "'topik' is not defined"),
        ({"user": "{{ tone }} {{ topic }} ${name}"}, "user", "warning", "'${name}'"),
        ({"user": "{{ tone }} {{ topic }} {name}"}, "user", "warning", "'{name}'"),
        ({"system": "{{ '{{ x }}' }}"}, "system", "warning", "'{{ x }}'"),
        ({"user": "{{ topic }}"}, "axes.tone", "error", "the axis changes nothing"),
        ({"fragments": {"f": "x"}}, "fragments.f", "warning", "no text uses it"),
        ({"user": "{% if tone == 'blunt' %}{{ topic }}{% endif %}"}, "user", "error", "nothing"),
        ({"grading": {"t": "{{ 1 / 0 }}"}}, "grading.t", "error", "ZeroDivision"),
        (
            {"turns": ["go on"], "tools": [{"name": "t", "input_schema": {}}]},
            "turns",
            "warning",
            "nothing answers tool calls",
        ),
    ],
)
def test_lint_when_a_scenario_looks_wrong_says_so(keys, key, severity, what):
    findings = found(scenarios=[scenario(**keys)])
    got = (
        one([f for f in findings if f[1] != "scenarios.tone"], f"scenarios.tone.{key}")
        if (key not in {"system", "user"})
        else next((s, w) for s, k, w in findings if k == f"scenarios.tone.{key}")
    )
    assert got[0] == severity
    assert what in got[1]


def test_lint_when_prompts_are_identical_names_both_and_counts_the_rest():
    axes = {"topic": ["a"], "tone": [f"t{i}" for i in range(20)]}
    findings = found(scenarios=[scenario(user="{{ topic }}", axes=axes)])
    texts = [what for _, key, what in findings if key == "scenarios.tone"]
    assert texts[0] == (
        "tone[topic=a,tone=t0] and tone[topic=a,tone=t1] render to identical prompts"
    )
    assert texts[-1] == "and 9 more pairs of identical prompts"


@pytest.mark.parametrize("name", ["temperature", "top_p", "top_k"])
def test_lint_when_anthropic_is_given_sampling_parameters_is_an_error(name):
    refused = model(provider=ProviderKind.anthropic, params={name: 1})
    severity, what = one(found(models=[refused]), f"models.m1.params.{name}")
    assert severity == "error"
    assert "400" in what
    assert found(models=[model(params={name: 1})]) == []


@pytest.mark.parametrize(("tokens", "noted"), [(21_333, False), (21_334, True)])
def test_lint_when_a_long_answer_may_not_be_streamed_notes_it(tokens, noted):
    never = {"provider": ProviderKind.anthropic, "stream": Streaming.never}
    findings = found(models=[model(max_tokens=tokens, **never)])
    assert [f[1] for f in findings] == (["models.m1.stream"] if noted else [])


def test_lint_when_temperature_is_zero_and_nothing_reads_the_seed_warns():
    greedy = model(params={"temperature": 0})
    fixed = scenario(user="{{ tone }} {{ topic }}")
    severity, what = one(found(scenarios=[fixed], models=[greedy]), "models.m1.params.temperature")
    assert severity == "warning"
    assert "alike" in what
    assert found(models=[greedy]) == []
