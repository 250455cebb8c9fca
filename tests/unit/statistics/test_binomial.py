from math import comb

import pytest

from runner.statistics.binomial import Sided, clopper_pearson, rate, two_sided


@pytest.mark.parametrize(
    ("events", "n", "low", "high"),
    [
        # Clopper and Pearson's own construction, values as R's binom.test prints them
        (1, 10, 0.002528579, 0.4450161),
        (5, 10, 0.187086, 0.812914),
        (10, 10, 0.6915029, 1.0),
        (41, 600, 0.04949, 0.09156),
        (96, 100, 0.9007, 0.9890),
    ],
)
def test_clopper_pearson_on_published_values_agrees(events, n, low, high):
    found = clopper_pearson(events, n)
    assert found.low == pytest.approx(low, abs=5e-5)
    assert found.high == pytest.approx(high, abs=5e-5)
    assert found.sided is Sided.TWO


@pytest.mark.parametrize(
    ("n", "high"), [(1, 0.95), (10, 0.2588656), (300, 0.0099363), (3000, 0.00099808)]
)
def test_clopper_pearson_at_zero_is_the_one_sided_bound(n, high):
    found = clopper_pearson(0, n)
    assert (found.low, found.sided) == (0.0, Sided.UPPER)
    assert found.high == pytest.approx(high, rel=1e-4)


def test_clopper_pearson_bounds_solve_their_defining_equations():
    """P(X >= k | low) = alpha/2 and P(X <= k | high) = alpha/2, by direct summation."""
    for n in (1, 2, 7, 23):
        for k in range(1, n + 1):
            found = clopper_pearson(k, n, 0.9)
            above = sum(
                comb(n, j) * found.low**j * (1 - found.low) ** (n - j) for j in range(k, n + 1)
            )
            assert above == pytest.approx(0.05, abs=1e-9)
            if k < n:
                below = sum(
                    comb(n, j) * found.high**j * (1 - found.high) ** (n - j) for j in range(k + 1)
                )
                assert below == pytest.approx(0.05, abs=1e-9)


@pytest.mark.parametrize(
    ("interval", "least"),
    [(two_sided, 0.95), (clopper_pearson, 0.925)],
    ids=["two_sided", "reported"],
)
@pytest.mark.parametrize("n", [1, 5, 20, 60])
def test_intervals_by_exact_enumeration_cover_what_they_promise(interval, least, n):
    """Over every outcome, for a grid of true rates; the reported form switches at zero events."""
    intervals = [interval(k, n) for k in range(n + 1)]
    for p in (i / 200 for i in range(1, 200)):
        missed = [k for k, it in enumerate(intervals) if not it.low <= p <= it.high]
        assert sum(comb(n, k) * p**k * (1 - p) ** (n - k) for k in missed) <= 1 - least + 1e-9, p


def test_reported_interval_at_zero_costs_coverage_as_its_docstring_says():
    """The promise of 1 - 3a/2 is needed: with n = 5 some rates are covered less than 95 %."""
    intervals = [clopper_pearson(k, 5) for k in range(6)]
    p = 0.455
    missed = [k for k, it in enumerate(intervals) if not it.low <= p <= it.high]
    assert 0.05 < sum(comb(5, k) * p**k * (1 - p) ** (5 - k) for k in missed) < 0.075


def test_clopper_pearson_without_trials_says_so():
    found = rate(0, 0)
    assert (found.value, found.interval.low, found.interval.high) == (None, 0.0, 1.0)
    assert found.interval.sided is Sided.NONE


@pytest.mark.parametrize("arguments", [(-1, 3, 0.95), (4, 3, 0.95), (1, 3, 0.0), (1, 3, 1.0)])
def test_clopper_pearson_outside_its_domain_refuses(arguments):
    with pytest.raises(ValueError, match="no interval"):
        clopper_pearson(*arguments)
