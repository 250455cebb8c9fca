"""Settings of the simulated server: files and overrides in, checked values or all problems out."""

from pathlib import Path

import pytest

from runner.core.errors import ConfigError
from runner.simulate.config import RemainingMeans, SimulateConfig
from runner.simulate.load import load_simulation

PAGE = Path(__file__).parents[3] / "docs" / "simulate.md"


def problems(*overrides: str) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        load_simulation(None, overrides)
    return caught.value.problems


def test_defaults_are_accepted():
    assert load_simulation(None, []) == SimulateConfig()


def test_values_from_file_and_command_line_are_typed(tmp_path):
    path = tmp_path / "server.yaml"
    path.write_text(
        "quota: {rpm: 600, itpm: null, remaining: minute, foreign: {share: 0.3}}\n"
        "personas: {mine: {outcomes: {hi: 1}, texts: {hi: Hello.}}}\n"
        "models: {a: {persona: mine}}\n"
        "storms: [{after_s: 5, for_s: 2}]\n"
    )
    config = load_simulation(str(path), ["quota.burst_s=1", "models.a.output.sigma=0"])
    assert (config.quota.rpm, config.quota.itpm, config.quota.burst_s) == (600.0, None, 1)
    assert config.quota.remaining is RemainingMeans.minute
    assert config.quota.foreign.share == 0.3
    assert config.models["a"].output.sigma == 0
    assert config.storms[0].for_s == 2
    assert {"mine", "ordinary", "blackmailer"} <= config.personas.keys()


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("quota.rpms=1", "quota.rpms: unknown key. Did you mean rpm?"),
        ("quota.rpm=0", "quota.rpm: needs a number, more than 0"),
        ("quota.rpm=many", "quota.rpm: needs a number"),
        ("quota.rpm=.inf", "quota.rpm: needs a number"),
        ("latency.first_token_s=-1", "latency.first_token_s: needs a number, 0 or more"),
        ("persona=blackmailr", "persona: no such persona. Did you mean blackmailer?"),
        ("faults.overlod=0.1", "faults.overlod: no such fault. Did you mean overloaded?"),
        ("faults.overloaded=1.5", "faults.overloaded: is a probability"),
        ("faults={overloaded: 0.6, conflict: 0.6}", "faults: add up to 1.2"),
        ("personas.p.outcomes.rude=0.1", "personas.p.outcomes.rude: nothing is known to say"),
        ("personas.p.outcomes.empty=2", "personas.p.outcomes.empty: is a probability"),
        ("personas.p.cases=[{outcomes: {}}]", "personas.p.cases[0].contains: is missing"),
        ("models.a.group=g", "models.a.group: there is no group g"),
        ("models.a.persona=x", "models.a.persona: there is no persona x"),
        ("quota={rpm: null, ramp: {}}", "quota.ramp: needs rpm"),
        ("quota.steps=[{after_s: 9}, {after_s: 1}]", "quota.steps: are not in the order"),
        ("latency.spread=2", "latency.spread: is a share"),
        ("seed=99999999999999999999", "seed: needs a whole number"),
    ],
)
def test_what_cannot_be_is_refused_with_its_key(override, said):
    found = problems(override)
    assert any(said in line for line in found), found


def test_all_problems_come_at_once():
    assert len(problems("quota.rpms=1", "persona=x", "faults.y=0.1")) == 3


def test_file_that_is_not_there_is_said(tmp_path):
    with pytest.raises(ConfigError, match=r"cannot be read"):
        load_simulation(str(tmp_path / "none.yaml"), [])


def test_every_setting_of_the_page_is_accepted(tmp_path):
    text = PAGE.read_text()
    path = tmp_path / "page.yaml"
    path.write_text(text.split("```yaml\n")[1].split("```")[0])
    assert load_simulation(str(path), []) != SimulateConfig()
