"""Any text and any value survive the way through YAML, OmegaConf and the resolved copy."""

import copy
from pathlib import Path

from hypothesis import example, given, settings
from hypothesis import strategies as st

from runner.config.load import load_config, load_resolved
from runner.config.seeding import parse_seeds
from runner.config.yaml_tree import parse, write
from runner.core.errors import ConfigError
from runner.core.seeds import SeedSet

SPICY = st.text(alphabet="${}\\?:. ax\n\"'#%", max_size=12)
TEXTS = st.text(max_size=20) | SPICY
NUMBER_LIKE = st.from_regex(r"\A[-+0-9.eE_:~xo]{1,8}\Z")
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS
    | NUMBER_LIKE
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)


@given(VALUES)
@settings(max_examples=200, deadline=None)
def test_yaml_reads_exactly_what_it_wrote(value):
    assert parse(write(value), "x").plain() == value


@given(text=TEXTS.filter(lambda t: t.strip()), variables=st.dictionaries(TEXTS, VALUES, max_size=3))
@example(text="${x}", variables={"a": "???", "${b}": ["${oc.env:HOME}", "\\\\${a"]})
@example(text="${", variables={"_": {"a.b": "${..x}"}})
@example(text="text 0", variables={"a": "text 1", "b": "openai"})
@settings(max_examples=40, deadline=None)
def test_any_prompt_text_is_just_text(tmp_path_factory, text, variables):
    folder = tmp_path_factory.mktemp("config")
    tree = {
        "name": "n",
        "seeds": 1,
        "scenarios": [{"name": "s", "user": text, "turns": [text], "variables": variables}],
        "models": [{"name": "m", "provider": "openai", "model": text}],
    }
    path = Path(folder) / "c.yaml"
    path.write_text(write(tree), encoding="utf-8", errors="surrogatepass")
    loaded = load_config(path, environ={})
    (scenario,) = loaded.config.scenarios
    assert (scenario.user, scenario.turns) == (text, [text])
    assert scenario.variables == variables
    assert loaded.config.models[0].model == text
    assert load_resolved(loaded.text) == loaded.config


@given(st.sets(st.integers(0, 300), min_size=1, max_size=40))
@settings(deadline=None)
def test_seeds_written_in_any_form_are_the_same_seeds(seeds):
    expected = SeedSet.of_seeds(seeds)
    assert parse_seeds(list(seeds)) == expected
    assert parse_seeds(str(expected).split(",")) == expected
    if "," in str(expected) or "-" in str(expected):
        assert parse_seeds(str(expected)) == expected


TREE = {
    "name": "n",
    "seeds": 2,
    "model_defaults": {"max_tokens": 5, "local": {}},
    "scenarios": [
        {"name": "s", "user": "u", "axes": {"a": ["x"]}, "tools": [{"name": "t"}]},
        {"path": "other.yaml", "axes": {}},
    ],
    "models": [{"name": "m", "provider": "openai", "model": "x", "headers": {"a": "b"}}],
    "retry": {"wait_max_s": 3},
    "extends": [],
}
PATHS = (
    [("name",), ("seeds",), ("model_defaults",), ("scenarios",), ("models",), ("retry",)]
    + [("extends",), ("output",), ("model_defaults", "local"), ("model_defaults", "max_tokens")]
    + [("scenarios", 0), ("scenarios", 0, "axes"), ("scenarios", 0, "axes", "a")]
    + [("scenarios", 0, key) for key in ("name", "tools", "turns", "user", "exclude", "labels")]
    + [("scenarios", 1, "path"), ("scenarios", 1, "axes"), ("models", 0), ("models", 0, "name")]
    + [("models", 0, key) for key in ("headers", "params", "provider", "local", "base_url")]
    + [("retry", "wait_max_s"), ("engine",), ("<<",)]
)


@given(st.lists(st.tuples(st.sampled_from(PATHS), VALUES), min_size=1, max_size=4))
@example([(("scenarios", 1, "path"), "\0")])
@example([(("extends",), ["\0", "x" * 5000])])
@example([(("model_defaults", "local"), {"gguf": "\0"})])
@settings(max_examples=80, deadline=None)
def test_whatever_stands_at_a_key_is_taken_or_refused_with_its_place(tmp_path_factory, changes):
    tree = copy.deepcopy(TREE)
    for path, value in changes:
        place = tree
        for key in path[:-1]:
            place = place[key] if isinstance(place, dict | list) and _has(place, key) else {}
        if isinstance(place, dict) or (isinstance(place, list) and _has(place, path[-1])):
            place[path[-1]] = value
    file = Path(tmp_path_factory.mktemp("config")) / "c.yaml"
    file.write_text(write(tree), encoding="utf-8", errors="surrogatepass")
    (file.parent / "other.yaml").write_text("name: other\nuser: u\n")
    problems = ("",)
    try:
        load_config(file, environ={})
    except ConfigError as error:
        problems = error.problems
    assert problems
    assert all(p.startswith(str(file.parent)) for p in problems if p)


def _has(place, key) -> bool:
    return key in place if isinstance(place, dict) else isinstance(key, int) and key < len(place)
