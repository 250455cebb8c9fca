from pathlib import Path

import pytest

from runner.config.load import load_config
from runner.config.schema import ProviderKind
from runner.core.errors import ConfigError

MODEL = "models: [{name: m, provider: openai, model: x, base_url: 'http://127.0.0.1:1/v1'}]\n"
SCENARIO = "scenarios: [{name: s, user: hello}]\n"
GOOD = "name: n\n" + SCENARIO + MODEL + "seeds: 3\n"
HELLO = Path(__file__).parents[3] / "configs" / "hello.yaml"


def load(folder: Path, text: str, *overrides: str, environ: dict[str, str] | None = None):
    path = folder / "c.yaml"
    path.write_text(text)
    return load_config(path, overrides, environ=environ or {})


def problems(folder: Path, text: str, *overrides: str, environ: dict[str, str] | None = None):
    with pytest.raises(ConfigError) as caught:
        load(folder, text, *overrides, environ=environ)
    return [p.replace(f"{folder}/", "") for p in caught.value.problems]


def test_hello_as_in_the_readme_is_accepted():
    loaded = load_config(HELLO, environ={})
    first, second = loaded.config.models
    assert (first.name, first.provider, first.max_tokens) == ("m1", ProviderKind.anthropic, 400)
    assert (first.max_in_flight, second.max_in_flight) == (256, 64)
    assert loaded.config.scenarios[0].axes["tone"] == ["polite", "blunt"]
    assert loaded.config.scenarios[0].system == "You are {{ assistant }}."
    assert str(loaded.seeds) == "0-99"
    assert loaded.config.output == "outputs/hello"


def test_output_when_absent_is_outputs_and_the_name(tmp_path):
    assert load(tmp_path, GOOD).config.output == "outputs/n"


def test_local_model_when_it_has_no_id_takes_its_name(tmp_path):
    text = "name: n\n" + SCENARIO + "models: [{name: small, provider: local}]\nseeds: 1\n"
    assert load(tmp_path, text).config.models[0].model == "small"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (GOOD + "sedes: 1\n", "c.yaml:5  sedes: unknown key. Did you mean seeds?"),
        (
            GOOD.replace("model: x", "max_tokenz: 4, model: x"),
            "c.yaml:3  models.m.max_tokenz: unknown key. Did you mean max_tokens?",
        ),
        (GOOD.replace("seeds: 3", "seeds: 0"), "c.yaml:4  seeds: a count lies in 1…2147483648"),
        (GOOD.replace("seeds: 3", "seeds: -4"), "c.yaml:4  seeds: a count lies in"),
        (GOOD.replace("seeds: 3", "seeds: 9-3"), "c.yaml:4  seeds: the range 9-3 ends before"),
        (GOOD.replace("seeds: 3", "seeds: [-1]"), "c.yaml:4  seeds: seeds lie in 0…"),
        (GOOD.replace("seeds: 3", "seeds: 0-4,4"), "c.yaml:4  seeds: a seed occurs twice"),
        (GOOD.replace("seeds: 3", "seeds: []"), "c.yaml:4  seeds: is empty"),
        (GOOD.replace("seeds: 3", "seeds: 1.5"), "c.yaml:4  seeds: is empty or of another form"),
        (GOOD.replace("seeds: 3", "seeds: '5'"), "c.yaml:4  seeds: write 5 for the first 5"),
        (GOOD.replace("seeds: 3", "seeds: true"), "c.yaml:4  seeds: is missing or no number"),
        (GOOD.replace("user: hello", "user: 5"), "scenarios.s.user: needs a text, not 5. Put it"),
        (GOOD.replace("model: x", "model: x, max_tokens: many"), "needs a whole number"),
        (GOOD.replace("model: x", "model: x, max_tokens: true"), "needs a whole number, not true"),
        (GOOD.replace("model: x", "model: x, max_tokens: 0"), "max_tokens: needs more than 0"),
        (GOOD.replace("model: x", "model: x, max_in_flight: -1"), "needs more than 0, not -1"),
        (GOOD.replace("model: x", "model: x, timeout_s: .nan"), "timeout_s: needs more than 0"),
        (GOOD.replace("model: x", "model: x, params: 4"), "params: needs `key: value` lines"),
        (
            GOOD.replace("openai", "opanai"),
            "none of anthropic, openai, local. Did you mean openai?",
        ),
        (
            GOOD.replace("user: hello", "user: hello, axes: {a: []}"),
            "axes.a: the axis has no level",
        ),
        (GOOD.replace("user: hello", "user: ' '"), "scenarios.s.user: is missing"),
        (GOOD.replace("name: s", "name: ../s"), "'../s' is not usable as the name of a file"),
        (
            GOOD.replace("name: n", "name: a/b", 1),
            "name: 'a/b' is not usable as the name of a file",
        ),
        (GOOD.replace("name: m, ", ""), "models[0].name: is missing"),
        ("name: n\nseeds: 1\n" + SCENARIO, "models: there is none"),
        ("name: n\nseeds: 1\n" + MODEL, "scenarios: there is none"),
        (GOOD + "name: again\n", "c.yaml:5: the key name is written twice (first in line 1)"),
        (GOOD + "retry: {wait_initial_s: 9, wait_max_s: 3}\n", "retry.wait_max_s: is below"),
        (GOOD + "engine: {heartbeat_s: 9}\n", "engine.lease_ttl_s: needs 3 heartbeats or more"),
        (GOOD + "extends: other.yaml\n", "c.yaml:5  extends: no such file"),
        (GOOD + "extends: c.yaml\n", "extends: goes in a circle: c.yaml → c.yaml"),
        (GOOD + "a: [\n", "c.yaml:6: not YAML"),
        ("- a\n", "c.yaml:1: no mapping"),
        ("", "c.yaml:1: no mapping"),
        (GOOD + "output: ''\n", "c.yaml:5  output: is empty"),
        (GOOD.replace("/v1'", "/v1/chat/completions'"), "base_url: ends in /chat/completions"),
        (GOOD.replace("http://", "ftp://"), "base_url: is no address"),
        (GOOD.replace("http://", "http://u:p@"), "base_url: carries a user or password"),
        (
            GOOD.replace("provider: openai", "provider: local"),
            "base_url: has no meaning for provider",
        ),
        (GOOD.replace("model: x", "model: x, local: {threads: 1}"), "local: has no meaning for"),
        (GOOD.replace("model: x", "model: x, local: {gguf: no.gguf}"), "gguf: no such file"),
        (
            GOOD.replace("model: x", "model: x, params: {n: 9007199254740993}"),
            "is not exact in JSON",
        ),
        (
            GOOD.replace("[{name: s, user: hello}]", "[{path: no.yaml}]"),
            "scenarios[0].path: no such",
        ),
        (GOOD.replace("[{name: s, user: hello}]", "[~]"), "scenarios[0]: has no value"),
        (GOOD.replace("[{name: s, user: hello}]", "4"), "scenarios: needs a list, not 4"),
        (
            GOOD + "model_defaults: {nme: 1}\n",
            "model_defaults.nme: unknown key. Did you mean name?",
        ),
        (GOOD + "model_defaults: {name: x}\n", "model_defaults.name: every model needs a name"),
    ],
)
def test_bad_input_is_refused_with_place_and_remedy(tmp_path, text, expected):
    found = problems(tmp_path, text)
    assert expected in "\n".join(found)
    assert len(found) == 1


def test_all_problems_come_at_once(tmp_path):
    text = (
        GOOD.replace("seeds: 3", "seeds: 0")
        .replace("user: hello", "user: hello, axes: {a: []}")
        .replace("model: x", "max_tokenz: 4")
    )
    keys = [p.split("  ")[1].split(":")[0] for p in problems(tmp_path, text)]
    assert keys == ["models.m.max_tokenz", "seeds", "scenarios.s.axes.a", "models.m.model"]


def test_file_when_missing_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"none\.yaml: no such file. Give the path"):
        load_config(tmp_path / "none.yaml")


def test_file_when_not_utf8_is_named(tmp_path):
    (tmp_path / "c.yaml").write_bytes(b"name: \xff\xfe")
    with pytest.raises(ConfigError, match="is not UTF-8 text"):
        load_config(tmp_path / "c.yaml")


def test_duplicate_names_are_refused_with_both_places(tmp_path):
    text = (
        "name: n\nseeds: 1\n" + MODEL + "scenarios:\n- {name: s, user: a}\n- {name: s, user: b}\n"
    )
    (found,) = problems(tmp_path, text)
    assert found.startswith("c.yaml:6  scenarios.s: a second one of this name (the first: ")


@pytest.mark.parametrize("key", ["api_key", "api-key", "token"])
def test_secret_key_is_refused_and_its_value_not_shown(tmp_path, key):
    (found,) = problems(tmp_path, GOOD.replace("model: x", f"model: x, {key}: sk-planted"))
    assert "api_key_env" in found
    assert "sk-planted" not in found


def test_value_of_a_key_variable_is_refused_anywhere_and_not_shown(tmp_path):
    environ = {"SOME_KEY": "sk-planted-secret", "HOME": "/planted"}
    text = GOOD.replace("user: hello", "user: 'my sk-planted-secret key'")
    (found,) = problems(tmp_path, text, environ=environ)
    assert "scenarios.s.user: holds the value of the environment variable SOME_KEY" in found
    assert "sk-planted" not in found


def test_value_of_the_named_variable_is_refused_whatever_its_name(tmp_path):
    text = GOOD.replace("model: x", "model: x, api_key_env: PLAIN, headers: {x-a: hidden-value}")
    (found,) = problems(tmp_path, text, environ={"PLAIN": "hidden-value"})
    assert "models.m.headers.x-a: holds the value" in found


def test_key_in_place_of_its_variable_is_refused_and_not_shown(tmp_path):
    text = GOOD.replace("model: x", "model: x, api_key_env: sk-ant-123")
    (found,) = problems(tmp_path, text)
    assert "api_key_env: is not the name of an environment variable" in found
    assert "sk-ant" not in found


def test_header_for_keys_is_refused(tmp_path):
    text = GOOD.replace("model: x", "model: x, headers: {Authorization: Bearer abc}")
    (found,) = problems(tmp_path, text)
    assert "models.m.headers.Authorization: keys are sent by the provider" in found


def test_positions_follow_keys_items_and_what_lies_around(tmp_path):
    text = (
        "name: n\nseeds: 1\n" + MODEL + "scenarios:\n- name: s\n  user: |\n    a\n    b\n"
        "  turns:\n  - c\n  axes:\n    tone: [x]\n"
    )
    source = load(tmp_path, text).source
    lines = {
        "scenarios.s.user": 6,
        "scenarios.s.turns[0]": 10,
        "scenarios.s.axes.tone": 12,
        "scenarios.s.axes.tone.unknown": 12,
        "scenarios.s.system": 5,
        "models.m.base_url": 3,
    }
    assert {k: source.where(k).line for k in lines} == lines


@pytest.mark.parametrize(
    ("seeds", "expected"),
    [
        ("3", "0-2"),
        ("[5, 7]", "5,7"),
        ("0-99,200-299", "0-99,200-299"),
        ("[0-3, 9]", "0-3,9"),
        ("7-7", "7"),
    ],
)
def test_seeds_take_a_count_a_list_and_ranges(tmp_path, seeds, expected):
    text = GOOD.replace("seeds: 3", f"seeds: {seeds}")
    assert str(load(tmp_path, text).seeds) == expected


def test_digest_ignores_layout_and_follows_meaning(tmp_path):
    one = load(tmp_path, GOOD)
    relaid = load(tmp_path, "# c\n" + "seeds: 3\n" + GOOD.replace("seeds: 3\n", ""))
    other = load(tmp_path, GOOD, "seeds=4")
    assert one.digest == relaid.digest != other.digest
