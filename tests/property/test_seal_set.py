"""A set of seals is the set of their names, whatever the order, and after a round trip."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.record.layout import seal_name
from runner.record.seal_set import SealSet

NAMES = st.builds(
    seal_name,
    st.sampled_from(("w1-4f", "w2")),
    st.one_of(st.integers(1, 30), st.sampled_from((99_999, 100_000, 2**33, 2**33 + 1))),
    st.sampled_from(("", "r")),
)


@settings(max_examples=80)
@given(st.lists(NAMES, max_size=40), NAMES)
def test_a_seal_set_holds_exactly_what_was_added(names, other):
    seals = SealSet(names)
    again = SealSet.of_json(orjson.loads(orjson.dumps(seals.to_json())))
    assert again == seals == SealSet(reversed(names))
    for name in (*names, other):
        assert (name in seals) is (name in again) is (name in set(names))


def test_a_seal_set_of_consecutive_seals_costs_one_range():
    seals = SealSet(seal_name("w1", n) for n in range(1, 100_001))
    assert seals.to_json() == {"w1": "1-100000"}


@pytest.mark.parametrize("name", ["", "w1", "w1.1", "w1.00001rr", "w/1.00001"])
def test_a_seal_set_given_no_seals_name_then_it_is_refused(name):
    with pytest.raises(ValueError, match="no name of a seal"):
        SealSet([name])
