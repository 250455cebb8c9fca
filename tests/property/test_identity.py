import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from runner.core.identity import canonical_json, cell_digest, draw, job_key

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
SCALAR = (
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT
)
VALUES = st.recursive(
    SCALAR, lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner), max_leaves=20
)


@given(VALUES)
def test_canonical_json_is_what_rfc8785_writes(value):
    assert canonical_json(value) == rfc8785.dumps(value)


@given(st.dictionaries(TEXT, VALUES, min_size=1))
def test_cell_digest_does_not_depend_on_the_order_of_keys(parts):
    assert cell_digest(parts) == cell_digest(dict(reversed(parts.items())))


@given(st.binary(min_size=32, max_size=32), st.integers(0, 2**31 - 1), st.integers(0, 2**31 - 1))
def test_job_keys_differ_between_seeds(cell, one, other):
    same = job_key(cell.hex(), one) == job_key(cell.hex(), other)
    assert same == (one == other)


@given(st.text(min_size=1), st.integers(0, 2**31 - 1), st.lists(st.integers(), min_size=1))
def test_draw_takes_one_of_the_options(choice, seed, options):
    assert draw(choice, seed, options) in options
