from __future__ import annotations

import pytest

from runner.limits.controller import Safety, Target
from runner.limits.discovery import BELOW, Learner
from runner.limits.quota import Meter, Reading


def test_a_search_doubles_only_while_there_is_work_for_it():
    learner = Learner(at=0.0, searching=True)
    start = learner.rate
    learner.advance(8.0, wanted=False)
    assert learner.rate == start
    learner.advance(16.0, wanted=True)
    assert learner.rate == pytest.approx(2 * start)


def test_what_was_accepted_between_two_empty_moments_is_the_limit():
    learner = Learner(at=0.0, searching=True)
    learner.accepted(1000.0)  # out of a full bucket: says nothing
    learner.refused(10.0, None)
    for second in range(11, 16):
        learner.accepted(50.0)
        learner.advance(float(second), wanted=True)
    learner.refused(15.0, None)
    assert learner.estimate == pytest.approx(50.0)
    assert learner.rate == pytest.approx(BELOW * 50.0)


def test_a_chance_refusal_near_a_known_limit_teaches_nothing():
    learner = Learner(at=0.0, searching=False)
    learner.refused(0.0, 50.0)
    learner.accepted(48.0 * 5)
    learner.refused(5.0, 50.0)
    assert learner.rate is None


def test_an_estimate_that_meets_no_refusal_grows_ever_faster():
    learner = Learner(at=0.0, searching=False, rate=10.0)
    learner.refused(0.0, None)
    rates = []
    for second in range(1, 81):
        learner.advance(float(second), wanted=True)
        rates.append(learner.rate)
    assert rates[9] - rates[0] < rates[79] - rates[70]
    assert rates[79] > 14.0


def target(limit: float, source: str = "config") -> Target:
    learner = Learner(at=0.0, searching=False)
    return Target(meter=Meter.REQUESTS, limit=limit, source=source, learner=learner)


def test_a_lower_limit_in_a_header_is_adopted_at_once_and_a_higher_one_not_over_the_config():
    found = target(100.0)
    found.observe(Reading(limit=9000.0, remaining=9000.0), binding=True, now=1.0)
    assert found.limit == 100.0
    found.observe(Reading(limit=3000.0, remaining=3000.0), binding=True, now=2.0)
    assert found.limit == 50.0
    found.observe(Reading(limit=9000.0, remaining=9000.0), binding=True, now=3.0)
    assert found.limit == 150.0  # the header is the source now


def test_a_falling_level_lowers_the_rate_and_a_full_bucket_restores_it():
    found, level = target(100.0), 1000.0
    for second in range(60):
        found.observe(Reading(limit=6000.0, remaining=level), binding=True, now=float(second))
        level = max(0.0, level - 30.0)
    low = found.rate(0.99)
    assert low < 70.0
    for second in range(60, 400):
        found.observe(Reading(limit=6000.0, remaining=1000.0), binding=True, now=float(second))
    assert found.rate(0.99) == pytest.approx(99.0)


def test_safety_goes_down_with_refusals_and_comes_back():
    safety = Safety(configured=0.99, at=0.0)
    for i in range(1, 30):
        safety.adapt(0.01, i * 10.0)
    assert safety.value == pytest.approx(0.90)
    for i in range(30, 80):
        safety.adapt(0.0, i * 10.0)
    assert safety.value == pytest.approx(0.99)


@pytest.mark.parametrize("known", [2.0, None])
def test_learner_when_nothing_is_let_in_for_a_while_then_it_grows_back(known):
    """Found by DST (seed 1041): a measured rate of 0 stayed 0 for ever."""
    learner = Learner(at=0.0, searching=known is None)
    for second in (10.0, 14.0, 18.0, 22.0):
        learner.refused(second, known)
    assert learner.rate is not None
    low = learner.rate
    assert low > 0
    learner.advance(22.0, wanted=True)
    for second in range(23, 223):
        learner.advance(float(second), wanted=True)
    assert learner.rate > 5 * low
