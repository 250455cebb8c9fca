"""Any text and any value survive the way through YAML, OmegaConf and the resolved copy."""

from pathlib import Path

from hypothesis import example, given, settings
from hypothesis import strategies as st

from runner.config.load import load_config, load_resolved
from runner.config.seeding import parse_seeds
from runner.config.yaml_tree import parse, write
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
@settings(max_examples=300, deadline=None)
def test_yaml_reads_exactly_what_it_wrote(value):
    assert parse(write(value), "x").plain() == value


@given(text=TEXTS.filter(lambda t: t.strip()), variables=st.dictionaries(TEXTS, VALUES, max_size=3))
@example(text="${x}", variables={"a": "???", "${b}": ["${oc.env:HOME}", "\\\\${a"]})
@example(text="${", variables={"_": {"a.b": "${..x}"}})
@example(text="text 0", variables={"a": "text 1", "b": "openai"})
@settings(max_examples=60, deadline=None)
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
