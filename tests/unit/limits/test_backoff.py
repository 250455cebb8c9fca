from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.limits.backoff import backoff_s, delay_s

units = st.floats(0, 1, exclude_max=True)


@pytest.mark.parametrize(
    ("failures", "wait"), [(1, 0.5), (2, 1.0), (3, 2.0), (7, 30.0), (99, 30.0)]
)
def test_backoff_doubles_up_to_its_bound(failures, wait):
    assert backoff_s(failures, 0.5, initial_s=1, maximum_s=60) == wait


def test_delay_after_a_servers_time_is_that_time_plus_a_spread():
    at_least, at_most = (
        delay_s(1, unit, retry_after_s=20, initial_s=1, maximum_s=60) for unit in (0.0, 0.999)
    )
    assert at_least == 20
    assert 24.9 < at_most < 25


def test_delay_without_a_servers_time_is_the_backoff():
    for silent in (None, 0.0):
        assert delay_s(2, 0.5, retry_after_s=silent, initial_s=1, maximum_s=60) == 1.0


@given(st.integers(0, 10**9), units, st.floats(0.01, 10), st.floats(10, 1000))
def test_backoff_is_positive_and_bounded(failures, unit, initial_s, maximum_s):
    wait = backoff_s(failures, unit, initial_s=initial_s, maximum_s=maximum_s)
    assert 0 < wait <= maximum_s


@given(st.integers(1, 100), units, st.floats(0.001, 1e6))
def test_delay_is_never_shorter_than_the_server_asks(failures, unit, retry_after_s):
    wait = delay_s(failures, unit, retry_after_s=retry_after_s, initial_s=1, maximum_s=60)
    assert wait >= retry_after_s
    assert math.isfinite(wait)
