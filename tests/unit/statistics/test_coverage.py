"""The benchmark's figures in small: each would fail for the interval that one would write first."""

import numpy as np
import pytest

from runner.statistics.binomial import Interval, Sided, clopper_pearson, two_sided
from tests.bench import coverage


def wald(events, n):
    p = events / n
    half = 1.96 * (p * (1 - p) / n) ** 0.5
    return Interval(low=p - half, high=p + half, sided=Sided.TWO)


@pytest.mark.parametrize("n", [50, 300])
def test_cells_by_enumeration_never_fall_below_their_level(n):
    assert coverage.cell_coverage(two_sided, n, 120)[0] >= 0.95 - 1e-9
    assert coverage.cell_coverage(coverage.one_sided, n, 120)[0] >= 0.95 - 1e-9
    assert coverage.cell_coverage(clopper_pearson, n, 120)[0] >= 0.925
    assert coverage.cell_coverage(wald, n, 120)[0] < 0.7  # the check can fail


@pytest.mark.parametrize(("truth", "n"), [(0.1, 50), (0.5, 300), (0.84, 50)])
def test_pooled_intervals_over_unlike_prompts_hold_the_population(truth, n):
    found = coverage.pooled(truth, n, 400, seed=1)
    assert found.held >= 0.92
    assert found.given > 0.99


def test_binomial_intervals_over_unlike_prompts_do_not_hold_the_population():
    """Why pooling needs clusters: answers to one prompt are no draws from the population's rate."""
    rng = np.random.default_rng(1)
    rates = rng.beta(0.1 * 19, 0.9 * 19, (400, 20))
    events = rng.binomial(300, rates).sum(axis=1)
    limits = [two_sided(int(k), 6000) for k in events]
    assert np.mean([i.low <= 0.1 <= i.high for i in limits]) < 0.6


@pytest.mark.parametrize("truth", [0.0, 0.01, 0.5, 0.99])
def test_differences_between_models_hold_the_truth_and_tests_keep_their_size(truth):
    assert coverage.difference(truth, 50, 600, seed=2).held >= 0.93
    assert coverage.size_of_test(truth, 50, 300, seed=3) <= 0.085


def test_bounds_hold_what_outcome_dependent_missingness_takes_from_the_rate():
    plain, bounds = coverage.missing(0.5, 3000, 200, seed=4)
    assert bounds >= 0.95
    assert plain < 0.5


def test_calibrated_rates_hold_what_erring_judges_miss():
    judged, held, apart = coverage.calibrated(0.1, 3000, 200, seed=5)
    assert (held >= 0.94, apart >= 0.94) == (True, True)
    judged, held, apart = coverage.calibrated(0.5, 3000, 200, seed=6)
    assert judged < 0.1
    assert (held >= 0.93, apart >= 0.93) == (True, True)
