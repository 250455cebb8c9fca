import pytest

from runner.scenarios.symbolic import Pattern, SymbolicError
from runner.scenarios.templates import Template, TemplateProblem, seeded_names, symbolic_names


def render(source, **variables):
    return Template(source).render({**symbolic_names(), **variables})


@pytest.mark.parametrize(
    "source",
    [
        "{{ seed + 1 }}",
        "{{ 3 - seed }}",
        "{{ -seed }}",
        "{{ seed|int }}",
        "{{ seed|abs }}",
        "{{ '%d'|format(seed) }}",
        "{% if seed %}a{% endif %}",
        "{% if seed == 3 %}a{% endif %}",
        "{% if seed > 3 %}a{% endif %}",
        "{% if seed in [3] %}a{% endif %}",
        "{{ 'abc'[seed] }}",
        "{{ range(seed)|list|length }}",
        "{% if seed is odd %}a{% endif %}",
        "{% if draw('x', ['a', 'b']) == 'a' %}a{% endif %}",
        "{{ draw('x', ['a', 'b'])[0] }}",
        "{{ {3: 'a'}[seed] }}",
    ],
)
def test_symbolic_seed_when_computed_with_is_refused(source):
    with pytest.raises(TemplateProblem) as caught:
        render(source)
    assert "seed" in caught.value.what or "draw" in caught.value.what


@pytest.mark.parametrize(
    ("source", "what"),
    [
        ("{{ nothing }}", "'nothing' is undefined"),
        ("{{ x.y }}", "no attribute 'y'"),
        ("{{ [1] }}", "prints a list"),
        ("{{ none }}", "prints nothing"),
        ("{{ draw }}", "prints a"),
        ("{{ ''.__class__.__mro__ }}", "unsafe"),
        ("{{ [1, 2]|random }}", "No filter named 'random'"),
        ("{{ range(10 ** 9)|list }}", "Range too big"),
        ("{{ 1 / 0 }}", "ZeroDivisionError"),
        ("{{ x.append(1) }}", "append"),
        ("{% include 'other' %}", "cannot load another"),
        ("{% import 'other' as o %}", "cannot load another"),
        ("{{ x", "Check the braces"),
        ("{% if x %}", "Check the braces"),
        ("{{ draw('a', []) }}", "one item or more"),
        ("{{ draw('a', 'text') }}", "one item or more"),
        ("{{ draw(3, ['a']) }}", "must be a text"),
        ("{{ draw('a', [[1]]) }}", "texts, numbers or booleans"),
        ("{{ draw('a', ['x' ~ seed]) }}", "may not itself depend"),
        ("{{ lipsum() }}", "'lipsum' is undefined"),
        ("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "does not end"),
    ],
)
def test_template_when_it_cannot_be_used_says_why(source, what):
    with pytest.raises(TemplateProblem) as caught:
        render(source, x={"a": 1})
    assert what in caught.value.what


def test_template_problem_names_the_line_of_the_text():
    with pytest.raises(TemplateProblem) as caught:
        render("one\ntwo\n{{ x.missing }}\nfour", x={})
    assert caught.value.line == 3


def test_template_names_are_free_variables_with_their_lines():
    template = Template("{% set a = b %}\n{{ a }} {{ c }}\n{% if d is defined %}{{ d }}{% endif %}")
    assert template.names == {"b": 1, "c": 2}


def test_template_drops_block_lines_and_the_last_line_break():
    assert render("a\n  {% if true %}\n  b\n  {% endif %}\nc\n") == "a\n  b\nc"


def test_template_leaves_dollars_and_single_braces_alone():
    assert render("${x} {x} $y {'a': 1}") == "${x} {x} $y {'a': 1}"


def test_template_does_not_escape():
    assert render("<b>{{ x }}</b>", x="<i>&") == "<b><i>&</b>"


@pytest.mark.parametrize(
    "source",
    [
        "{{ seed }}",
        "a {{ seed }} b {{ draw('hi', ['Hello', 'Dear all']) }} {{ seed }}",
        "{{ 'case-' ~ seed }}",
        "{{ [seed, seed]|join('/') }}",
        "{{ draw('n', [1, 2.5, true]) }}{{ draw('m', ['\"', '\\\\', 'ü']) }}",
        "{% for i in [1, 2] %}{{ i }}{{ seed }}{% endfor %}",
        "nothing",
    ],
)
@pytest.mark.parametrize("seed", [0, 7, 2**31 - 1])
def test_pattern_filled_with_a_seed_is_the_rendering_for_that_seed(source, seed):
    real = Template(source).render(seeded_names(seed))
    assert Pattern(render(source)).fill(seed) == real


@pytest.mark.parametrize(
    "source",
    [
        "{{ draw('a', ['x', 'y'])|upper }}",
        "{{ seed|string|truncate(2, true, '', 0) }}",
        "{{ (seed|string)[1:] }}",
        "{{ seed|replace('seed', 'x') }}",
    ],
)
def test_pattern_when_a_filter_changed_a_marker_is_refused(source):
    with pytest.raises(SymbolicError, match="filter"):
        Pattern(render(source))
