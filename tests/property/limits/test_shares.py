from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from runner.limits.shares import max_min, split

demands = st.dictionaries(st.integers(0, 20), st.floats(0.0, 5.0), max_size=12)


@given(demands=demands, total=st.floats(0.0, 10.0))
def test_max_min_gives_all_or_what_is_demanded_and_favours_nobody(demands, total):
    shares = max_min(demands, total)
    assert sum(shares.values()) <= total + 1e-9
    assert abs(sum(shares.values()) - min(total, sum(demands.values()))) < 1e-9
    for key, share in shares.items():
        assert share <= demands[key] + 1e-12
        if share < demands[key] - 1e-9:  # it wants more: then nobody has more than it
            assert max(shares.values()) <= share + 1e-9


@given(
    demands=st.dictionaries(
        st.tuples(st.sampled_from("abcd"), st.sampled_from("xyz")), st.floats(0.0, 5.0)
    ),
    caps=st.dictionaries(st.sampled_from("xyz"), st.floats(0.0, 1.0)),
)
def test_a_capped_model_leaves_its_rest_to_the_others(demands, caps):
    shares = split(demands, caps)
    assert sum(shares.values()) <= 1.0 + 1e-9
    totals = {m: sum(s for (_, n), s in shares.items() if n == m) for m in "xyz"}
    wanted = {
        m: min(sum(d for (_, n), d in demands.items() if n == m), caps.get(m, 1.0), 1.0)
        for m in "xyz"
    }
    assert all(totals[m] <= wanted[m] + 1e-9 for m in "xyz")
    assert abs(sum(totals.values()) - min(1.0, sum(wanted.values()))) < 1e-9
