"""When a model's first answers stop it."""

from __future__ import annotations

import pytest

from runner.config.money_schema import TripwireConfig
from runner.limits.tripwire import Tripwire


@pytest.mark.parametrize(
    ("ended", "stops"),
    [
        ({"truncated": 19}, False),
        ({"truncated": 11, "answered": 9}, True),
        ({"truncated": 10, "answered": 10}, False),
        ({"failed": 5, "empty": 4, "refused": 3, "answered": 8}, True),
        ({"answered": 20}, False),
    ],
)
def test_tripwire_stops_where_more_than_half_are_worth_nothing(ended, stops):
    reason = Tripwire(TripwireConfig()).tripped("m", ended, running=0)
    assert (reason is not None) is stops
    if reason:
        assert "--keep-going" in reason


def test_tripwire_looks_once_and_not_at_all_where_it_is_off():
    wire = Tripwire(TripwireConfig())
    assert wire.tripped("m", {"answered": 20}, running=0) is None
    assert wire.tripped("m", {"answered": 20, "empty": 500}, running=0) is None
    assert Tripwire(TripwireConfig(jobs=0)).tripped("m", {"empty": 500}, running=0) is None
    assert (
        Tripwire(TripwireConfig(jobs=5, share=0.9)).tripped(
            "m", {"empty": 4, "answered": 1}, running=0
        )
        is None
    )


def test_refusals_that_come_before_the_answers_on_the_wire_stop_nothing():
    wire = Tripwire(TripwireConfig())
    assert wire.tripped("m", {"refused": 20}, running=40) is None  # of a model that refuses a third
    assert wire.undecided("m")
    assert wire.tripped("m", {"refused": 28, "answered": 32}, running=20) is None
    assert wire.undecided("m")  # the 20 could make it more than half
    assert wire.tripped("m", {"refused": 35, "answered": 65}, running=10) is None
    assert not wire.undecided("m")


def test_a_model_that_is_worth_nothing_stops_although_calls_are_on_the_wire():
    wire = Tripwire(TripwireConfig())
    assert wire.tripped("m", {"refused": 20}, running=20) is None
    assert "21 refused" in (wire.tripped("m", {"refused": 21}, running=20) or "")


@pytest.mark.parametrize(
    ("counts", "most"),
    [
        ({"owed": 1001, "out": 0, "recorded": 0}, 40),
        ({"owed": 1001, "out": 25, "recorded": 0}, 15),
        ({"owed": 1001, "out": 25, "recorded": 15}, 0),
        ({"owed": 1001, "out": 25, "recorded": 20}, None),
        ({"owed": 1000, "out": 0, "recorded": 0}, None),
    ],
)
def test_many_jobs_wait_until_the_first_have_been_looked_at(counts, most):
    wire = Tripwire(TripwireConfig())
    assert wire.allowance("m", **counts) == most
    assert Tripwire(TripwireConfig(jobs=0)).allowance("m", **counts) is None
    assert wire.tripped("m", {"answered": 20}, running=0) is None
    assert wire.allowance("m", **counts) is None
