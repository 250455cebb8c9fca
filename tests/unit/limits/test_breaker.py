from __future__ import annotations

from itertools import pairwise

import pytest

from runner.limits.breaker import LONGEST_WAIT_S, Breaker, BreakerState
from runner.limits.ramp import RampUp
from runner.limits.retry_budget import RetryBudget


def test_breaker_stays_closed_while_most_succeed():
    breaker = Breaker()
    for i in range(100):
        breaker.succeeded(3, i * 0.1)
        breaker.overloaded(1, i * 0.1)
    assert breaker.state is BreakerState.CLOSED
    assert breaker.room(10.0) is None


def test_breaker_probes_ever_more_rarely_through_an_hour_of_outage():
    breaker, now, probes = Breaker(), 0.0, []
    breaker.overloaded(10, now)
    assert breaker.state is BreakerState.OPEN
    while now < 3600.0:
        now += 0.5
        if breaker.room(now):
            breaker.granted(now)
            probes.append(now)
            assert breaker.room(now) == 0  # one at a time
            breaker.overloaded(1, now + 0.1)
    assert len(probes) < 3600.0 / LONGEST_WAIT_S + 10
    assert max(b - a for a, b in pairwise(probes)) <= LONGEST_WAIT_S + 1


def test_breaker_closes_when_a_probe_succeeds_but_not_on_late_answers():
    breaker = Breaker()
    breaker.overloaded(10, 0.0)
    assert not breaker.succeeded(1, 0.5)  # was sent before it opened
    assert breaker.hold_s(0.5) > 0
    assert breaker.room(5.0) == 1
    breaker.granted(5.0)
    assert breaker.hold_s(5.0) == 0.0  # or the probe itself could not go out
    assert breaker.succeeded(1, 6.0)
    assert breaker.room(6.0) is None


def test_a_probe_that_never_ends_is_followed_by_another():
    breaker = Breaker()
    breaker.overloaded(10, 0.0)
    breaker.granted(2.0)
    assert breaker.room(2.1) == 0
    assert breaker.room(10.0) == 1


def test_ramp_doubles_and_freezes_when_the_server_names_it():
    ramp = RampUp(share=0.25, double_s=4.0, at=0.0)
    assert ramp.allowed(4.0) == 0.5
    ramp.refused(4.0, 10.0)
    assert ramp.allowed(13.9) == 0.375
    assert ramp.allowed(14.0 + 2.0) == 0.375 * 2.0 ** (2.0 / 8.0)  # half as steep
    ramp.refused(16.0, 1.0)
    lowered = ramp.allowed(16.0)
    ramp.refused(16.5, 1.0)  # of the same wave
    assert ramp.allowed(16.5) == lowered
    assert ramp.allowed(1000.0) == 1.0


def test_ramp_that_is_refused_without_having_risen_is_too_high_and_not_too_steep():
    ramp = RampUp(share=0.8, double_s=5.0, at=0.0)
    for wave in range(4):
        ramp.refused(2.0 * wave, 2.0)
    assert ramp.double_s == 10.0
    assert ramp.allowed(8.0) == pytest.approx(0.8 * 0.75**4)


def test_ramp_that_is_let_in_gets_steeper_again_up_to_what_is_configured():
    ramp, at_once = (RampUp(share=0.1, double_s=5.0, at=0.0) for _ in range(2))
    for one in (ramp, at_once):
        one.refused(0.0, 1.0)
        one.refused(4.0, 1.0)
    assert ramp.double_s == 20.0
    for second in range(5, 30):
        ramp.allowed(float(second))
    assert ramp.allowed(30.0) == pytest.approx(at_once.allowed(30.0))  # however often it is asked
    assert ramp.double_s < 20.0
    assert ramp.allowed(110.0) == 1.0
    assert ramp.double_s == 5.0


def test_retries_are_a_share_of_first_attempts_plus_a_trickle():
    budget = RetryBudget(at=0.0, reserve_per_s=1.0, balance=0.0, share=0.2)
    assert budget.take(0.0) == 1.0  # none left: when the trickle has brought one
    for _ in range(50):
        budget.first_attempt()
    assert [budget.take(0.0) for _ in range(10)] == [0.0] * 9 + [1.0]
    assert budget.take(0.0) == 2.0  # each waits behind those before it
    assert budget.take(10.0) == 0.0
