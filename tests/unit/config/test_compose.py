from pathlib import Path

import pytest

from runner.config.load import load_config
from runner.core.errors import ConfigError

BASE = """\
name: base
output: outputs/base
model_defaults: {provider: openai, base_url: "http://127.0.0.1:1/v1", params: {top_p: 0.5}}
models:
- {name: a, model: x}
- {name: gpt-4.1, model: y, params: {stop: [END]}}
scenarios:
- name: tone
  user: "{{ tone }} {{ who }}"
  axes: {tone: [polite, blunt], topic: [budget]}
  variables: {who: Alex}
seeds: 4
"""
SCENARIO = """\
name: filed
user: "{{ tone }}"
axes:
  tone: [polite, blunt, curt]
  deep: {low: {n: 1}, high: {n: 2}}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "base.yaml").write_text(BASE)
    (tmp_path / "scenarios").mkdir()
    (tmp_path / "scenarios" / "filed.yaml").write_text(SCENARIO)
    return tmp_path


def load(folder: Path, text: str, *overrides: str):
    (folder / "c.yaml").write_text(text)
    return load_config(folder / "c.yaml", overrides, environ={}).config


def problems(folder: Path, text: str, *overrides: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load(folder, text, *overrides)
    return str(caught.value)


def test_extends_merges_mappings_and_named_lists(folder):
    config = load(
        folder,
        "extends: base.yaml\nname: child\nmodels:\n- {name: a, model: z}\n- {name: new, model: w}\n"
        "scenarios:\n- {name: tone, axes: {tone: [blunt]}}\n",
    )
    assert [(m.name, m.model) for m in config.models] == [
        ("a", "z"),
        ("gpt-4.1", "y"),
        ("new", "w"),
    ]
    (tone,) = config.scenarios
    assert tone.axes == {"tone": ["blunt"], "topic": ["budget"]}
    assert tone.variables == {"who": "Alex"}
    assert config.seeds == 4


def test_extends_when_renamed_does_not_inherit_the_output(folder):
    assert load(folder, "extends: base.yaml\nname: child\n").output == "outputs/child"
    assert load(folder, "extends: base.yaml\nseeds: 1\n").output == "outputs/base"


def test_extends_follows_a_chain_relative_to_each_file(folder):
    (folder / "scenarios" / "mid.yaml").write_text("extends: ../base.yaml\nseeds: 9\n")
    config = load(folder, "extends: scenarios/mid.yaml\nname: top\n")
    assert (config.name, config.seeds, config.models[0].name) == ("top", 9, "a")


def test_extends_takes_several_files_from_left_to_right(folder):
    (folder / "more.yaml").write_text("seeds: 7\nname: more\n")
    config = load(folder, "extends: [base.yaml, more.yaml]\n")
    assert (config.name, config.seeds) == ("more", 7)


def test_extends_in_a_circle_names_the_circle(folder):
    (folder / "mid.yaml").write_text("extends: c.yaml\n")
    assert "goes in a circle: c.yaml → mid.yaml → c.yaml" in problems(folder, "extends: mid.yaml\n")


def test_model_defaults_lie_under_every_model(folder):
    config = load(folder, "extends: base.yaml\n")
    assert [m.params for m in config.models] == [
        {"top_p": 0.5},
        {"top_p": 0.5, "stop": ["END"]},
    ]


def test_model_defaults_with_a_bad_value_say_so_once(folder):
    text = problems(folder, "extends: base.yaml\nmodel_defaults: {max_tokens: many}\n")
    assert text.count("\n") == 0
    assert "c.yaml:2  model_defaults.max_tokens: needs a whole number" in text


def test_scenario_file_is_read_relative_to_the_configuration(folder):
    config = load(folder, "extends: base.yaml\nscenarios:\n- path: scenarios/filed.yaml\n")
    filed = config.scenarios[1]
    assert (filed.name, filed.path) == ("filed", None)
    assert filed.axes["deep"] == {"low": {"n": 1}, "high": {"n": 2}}


def test_scenario_file_with_axes_beside_it_is_narrowed(folder):
    text = "- {path: scenarios/filed.yaml, axes: {tone: [curt, polite], deep: [high]}}\n"
    config = load(folder, f"extends: base.yaml\nscenarios:\n{text}")
    assert config.scenarios[1].axes == {"tone": ["polite", "curt"], "deep": {"high": {"n": 2}}}


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        ("axes: {tome: [curt]}", "axes.tome: no axis of the scenario's file. Did you mean tone?"),
        ("axes: {tone: [kurt]}", "axes.tone: kurt is no level of this axis. Did you mean curt?"),
        ("axes: {tone: []}", "axes.tone: keeps no level"),
        ("user: x", "user: not allowed beside `path`"),
    ],
)
def test_scenario_file_with_something_wrong_beside_it_is_refused(folder, item, expected):
    text = f"extends: base.yaml\nscenarios:\n- {{path: scenarios/filed.yaml, {item}}}\n"
    assert expected in problems(folder, text)


def test_scenario_file_replaces_an_inherited_one_of_its_name(folder):
    (folder / "scenarios" / "filed.yaml").write_text("name: tone\nuser: new\n")
    config = load(folder, "extends: base.yaml\nscenarios:\n- path: scenarios/filed.yaml\n")
    (tone,) = config.scenarios
    assert (tone.user, tone.axes, tone.variables) == ("new", {}, {})


def test_problem_in_a_scenario_file_names_that_file(folder):
    (folder / "scenarios" / "filed.yaml").write_text("name: filed\nuzer: new\nuser: x\n")
    text = problems(folder, "extends: base.yaml\nscenarios:\n- path: scenarios/filed.yaml\n")
    assert "scenarios/filed.yaml:2  scenarios.filed.uzer: unknown key. Did you mean user?" in text


@pytest.mark.parametrize(
    ("override", "read"),
    [
        ("models.a.max_tokens=800", lambda c: c.models[0].max_tokens == 800),
        ("models.gpt-4.1.max_tokens=7", lambda c: c.models[1].max_tokens == 7),
        ("models.gpt-4.1.params.stop.0=X", lambda c: c.models[1].params["stop"] == ["X"]),
        (
            "scenarios.tone.variables.assistant=Sam",
            lambda c: c.scenarios[0].variables["assistant"] == "Sam",
        ),
        ("engine.seal_rows=10", lambda c: c.engine.seal_rows == 10),
        ("seeds=0-9,20", lambda c: c.seeds == "0-9,20"),
        (
            "scenarios.tone.user={{ who }} = ${x}",
            lambda c: c.scenarios[0].user == "{{ who }} = ${x}",
        ),
        ("scenarios.tone.axes.tone=[blunt]", lambda c: c.scenarios[0].axes["tone"] == ["blunt"]),
        ("model_defaults.max_in_flight=3", lambda c: {m.max_in_flight for m in c.models} == {3}),
        ("models.a.api_key_env=null", lambda c: c.models[0].api_key_env is None),
    ],
    ids=lambda v: v if isinstance(v, str) else "",
)
def test_override_sets_the_key_that_it_names(folder, override, read):
    assert read(load(folder, "extends: base.yaml\n", override))


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        (
            "models.b.max_tokens=1",
            "models.b.max_tokens: there is no models.b. Known here: a, gpt-4.1.",
        ),
        (
            "models.a.max_tokenz=1",
            "command line  models.a.max_tokenz: unknown key. Did you mean max_tokens?",
        ),
        ("seeds", "command line  'seeds': not of the form key=value"),
        ("=3", "not of the form key=value"),
        ("a..b=3", "not of the form key=value"),
        ("extends=x.yaml", "extends: cannot be overridden"),
        ("seeds=0", "command line  seeds: a count lies in"),
        ("models=3", "command line  models: needs a list, not 3"),
        ("name.x=3", "name: needs a text, not a mapping"),
    ],
)
def test_override_that_cannot_be_is_refused(folder, override, expected):
    assert expected in problems(folder, "extends: base.yaml\n", override)


def test_weights_file_is_relative_to_the_file_that_names_it(folder):
    (folder / "scenarios" / "w.gguf").write_bytes(b"x")
    (folder / "scenarios" / "l.yaml").write_text(
        "models: [{name: l, provider: local, local: {gguf: w.gguf}}]\n"
        "actors: [{name: a, provider: local, local: {gguf: w.gguf, chat_template: w.gguf}}]\n"
    )
    config = load(
        folder, "extends: scenarios/l.yaml\nname: n\nseeds: 1\nscenarios: [{name: s, user: x}]\n"
    )
    assert config.models[0].local.gguf == str((folder / "scenarios" / "w.gguf").resolve())
    assert config.actors[0].local.gguf == config.models[0].local.gguf
    assert config.actors[0].local.chat_template == config.models[0].local.gguf
    assert config.actors[0].model == "a"


def test_weights_file_of_an_override_is_relative_to_the_working_directory(folder, monkeypatch):
    (folder / "elsewhere").mkdir()
    (folder / "elsewhere" / "w.gguf").write_bytes(b"x")
    monkeypatch.chdir(folder / "elsewhere")
    text = (
        "name: n\nseeds: 1\nscenarios: [{name: s, user: x}]\nmodels: [{name: l, provider: local}]\n"
    )
    config = load(folder, text, "models.l.local.gguf=w.gguf")
    assert config.models[0].local.gguf == str((folder / "elsewhere" / "w.gguf").resolve())
    assert "relative to the working directory" in problems(folder, text, "models.l.local.gguf=no")


STORY = """\
name: story
user: "{{ who }}, {{ tone }}"
axes: {tone: [polite, blunt]}
perturbations:
  persons: {variants: {first: {who: Ann}, second: {who: Bea}}}
  missing: {drop: [aside]}
controls: [{tone: blunt}]
labels: {family: f, story: s}
"""
EPISODE = """\
extends: [story.yaml, shared.yaml]
name: episode
labels: {family: g}
environment: {mail: {address: a@x.example}}
"""
SHARED = "environment: {mail: {now: 2031-03-06 10:00, address: other}}\nend: {turns: 3}\n"


def sweep_over(folder: Path, episode: str = EPISODE, beside: str = ""):
    for name, text in (("story", STORY), ("episode", episode), ("shared", SHARED)):
        (folder / "scenarios" / f"{name}.yaml").write_text(text)
    entry = f"- {{path: scenarios/episode.yaml{beside}}}"
    return load(folder, f"name: c\nmodels: [{{name: a, model: x}}]\nscenarios:\n{entry}\n")


def test_scenario_file_when_it_extends_others_merges_them_in_order_and_then_itself(folder):
    episode = sweep_over(folder).scenarios[0]
    assert (episode.name, episode.user) == ("episode", "{{ who }}, {{ tone }}")
    assert episode.labels == {"family": "g", "story": "s"}
    assert episode.environment == {"mail": {"now": "2031-03-06 10:00", "address": "a@x.example"}}
    assert episode.end.turns == 3


@pytest.mark.parametrize(
    ("extends", "what"),
    [
        ("episode.yaml", "goes in a circle: episode.yaml → episode.yaml"),
        ("nobody.yaml", "no such file"),
        ("[3]", "names a file, or a list of files"),
    ],
)
def test_scenario_file_when_it_extends_what_cannot_be_says_so(folder, extends, what):
    with pytest.raises(ConfigError) as caught:
        sweep_over(folder, EPISODE.replace("[story.yaml, shared.yaml]", extends))
    assert what in str(caught.value)


@pytest.mark.parametrize(
    ("kept", "names", "variables"),
    [("[]", [], {"who": "Ann"}), ("[persons]", ["persons"], {}), ("[missing]", ["missing"], {"who": "Ann"})],
)  # fmt: skip
def test_sweep_when_it_keeps_some_perturbations_fixes_the_others_at_their_first(
    folder, kept, names, variables
):
    scenario = sweep_over(folder, beside=f", perturbations: {kept}").scenarios[0]
    assert list(scenario.perturbations) == names
    assert scenario.variables == variables


def test_sweep_when_it_keeps_an_unknown_perturbation_says_so(folder):
    with pytest.raises(ConfigError, match="person is no perturbation of the scenario"):
        sweep_over(folder, beside=", perturbations: [person]")


def test_sweep_when_it_narrows_a_control_away_has_none(folder):
    scenario = sweep_over(folder, beside=", axes: {tone: [polite]}").scenarios[0]
    assert scenario.controls == []
