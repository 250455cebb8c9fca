"""What a call sets aside, and what a worker may spend."""

import pytest

from runner.core.money import Rates, Row, Tariff
from runner.core.values import NOTHING, Amount
from runner.limits.spending import Allowance, CallCost

TARIFF = Tariff(
    source="test",
    rows=(Row(bands=((0, Rates(input=2.0, output=10.0, cache_read=0.2, cache_write=2.5)),)),),
)


def test_call_at_first_sets_aside_the_most_that_it_can_cost():
    cost = CallCost(tariff=TARIFF, max_tokens=1000)
    # 3,000 characters are 1,000 tokens at the dearest input price, that of writing to a cache.
    assert cost.reserve(3000, 0.0) == pytest.approx((1000 * 2.5e-6 + 1000 * 10e-6, 2000))


def test_call_after_ten_answers_sets_aside_the_mean_and_three_deviations():
    cost = CallCost(tariff=TARIFF, max_tokens=1000)
    for usd in [0.001, 0.003] * 5:
        cost.answered(Amount(usd, 100), on_the_wire=10)
    assert cost.reserve(3000, 0.0) == pytest.approx((0.002 + 3 * 0.001, 100))


def test_answers_are_believed_once_they_are_as_many_as_the_calls_on_the_wire():
    # A hundred calls sent together: the short ones answer first, and the long ones cost ten times that.
    cost = CallCost(tariff=TARIFF, max_tokens=1000)
    ceiling = cost.reserve(3000, 0.0)
    for n, usd in enumerate([0.001] * 50 + [0.010] * 50):
        cost.answered(Amount(usd, 100), on_the_wire=99 - n)
        assert (cost.reserve(3000, 0.0) == ceiling) == (n < 49)
    assert cost.reserve(3000, 0.0)[0] >= 0.010


def test_call_never_sets_aside_more_than_it_can_cost():
    cost = CallCost(tariff=TARIFF, max_tokens=100)
    for usd in [0.0, 1.0] * 5:
        cost.answered(Amount(usd, 100_000), on_the_wire=0)
    assert cost.reserve(300, 0.0) == pytest.approx((100 * 2.5e-6 + 100 * 10e-6, 200))


def test_call_of_a_model_without_a_price_sets_aside_tokens_alone():
    assert CallCost(tariff=None, max_tokens=50).reserve(300, 0.0) == Amount(0.0, 150)


def test_allowance_counts_what_is_set_aside_until_it_is_settled():
    allowance = Allowance(limited=True, granted=Amount(1.0, 100))
    assert allowance.take(Amount(0.6, 10))
    assert not allowance.take(Amount(0.6, 10))
    allowance.settle(Amount(0.6, 10), Amount(0.3, 5))
    assert allowance.exposure == Amount(0.3, 5)
    assert allowance.take(Amount(0.6, 10))


def test_allowance_is_short_where_one_of_dollars_and_tokens_is():
    allowance = Allowance(limited=True, granted=Amount(1.0, 10))
    assert not allowance.affords(Amount(0.1, 11))
    assert allowance.affords(Amount(0.1, 10))


def test_without_a_budget_everything_is_afforded_and_counted():
    allowance = Allowance(limited=False)
    assert allowance.take(Amount(5.0, 1000))
    allowance.settle(Amount(5.0, 1000), Amount(4.0, 900))
    assert (allowance.exposure, allowance.open) == (Amount(4.0, 900), 0)
    assert allowance.granted == NOTHING
