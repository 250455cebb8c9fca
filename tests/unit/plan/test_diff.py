from runner.core.seeds import SeedSet
from runner.plan.diff import assign_numbers, compare, explain
from tests.support.cells import cell, plan


def parts(values):
    return lambda number: values[number]


def test_assign_numbers_keeps_recorded_ones_and_never_uses_one_again():
    numbers = assign_numbers(["c", "a", "d"], {"a": 0, "b": 4})
    assert numbers == {"c": 5, "a": 0, "d": 6}
    assert assign_numbers(["c"], {"a": 0}, next_number=9) == {"c": 9}


def test_compare_when_grown_is_compatible():
    old = plan([cell(0, 4), cell(1, 4)])
    new = plan([cell(2, 9), cell(0, 9), cell(1, 9)])
    difference = compare(old, parts({}), new, parts({}))
    assert [c.number for c in difference.new] == [2]
    assert [c.number for c in difference.unchanged] == [0, 1]
    assert difference.compatible
    assert explain(difference) == []


def test_compare_when_changed_names_the_keys():
    before = {"roles.target.request.max_tokens": "400", "messages.user": "#aa", "tools": "[]"}
    after = {"roles.target.request.max_tokens": "800", "messages.user": "#bb", "tools": "[]"}
    old = plan([cell(0, condition="tone=blunt"), cell(1, condition="tone=polite")])
    new = plan([cell(2, condition="tone=blunt"), cell(3, condition="tone=polite")])
    difference = compare(old, parts({0: before, 1: before}), new, parts({2: after, 3: after}))
    assert not difference.compatible
    (line,) = explain(difference)
    assert line.startswith("s[tone=blunt] × m and 1 more: changed: messages.user, ")
    assert line.endswith("roles.target.request.max_tokens (400 → 800)")


def test_compare_when_a_cell_is_gone_says_so():
    difference = compare(plan([cell(0), cell(1)]), parts({}), plan([cell(1)]), parts({}))
    assert [c.number for c in difference.vanished] == [0]
    assert explain(difference) == ["s[n=0] × m: not in the configuration any more"]


def test_compare_when_only_the_name_changed_is_compatible():
    difference = compare(
        plan([cell(0, condition="a=1")]), parts({}), plan([cell(0, condition="a=1,b=2")]), parts({})
    )
    assert difference.compatible
    assert [(o.condition, n.condition) for o, n in difference.renamed] == [("a=1", "a=1,b=2")]


def test_compare_when_seeds_shrink_is_compatible():
    difference = compare(
        plan([cell(0, 10)]), parts({}), plan([cell(0, SeedSet.parse("5-20"))]), parts({})
    )
    assert difference.compatible


def test_explain_when_there_are_many_kinds_counts_the_rest():
    old = plan([cell(n) for n in range(20)])
    new = plan([cell(100)])
    vanished = compare(old, parts({}), new, parts({}))
    assert len(explain(vanished)) == 1
    changed = plan([cell(100 + n, condition=f"n={n}") for n in range(20)])
    values = {n: {"k": str(n)} for n in range(200)}
    lines = explain(compare(old, parts(values), changed, parts(values)), limit=3)
    assert len(lines) == 4
    assert lines[-1] == "and 17 more kinds of change"
