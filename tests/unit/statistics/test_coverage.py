"""The benchmark's figures in small: each would fail for the interval that one would write first."""

import numpy as np
import pytest
from statsmodels.stats.inter_rater import cohens_kappa

from runner.statistics.agreement import Pair, agreement
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


@pytest.mark.parametrize(("truth", "n"), [(0.001, 300), (0.1, 3000), (0.99, 50)])
def test_precision_recall_and_kappa_hold_what_judges_that_err_apart_do(truth, n):
    for found in coverage.accuracies(truth, n, 100, 200, seed=7):
        assert found.held >= 0.94
    assert coverage.two_people(truth, n, 100, 100, seed=8).held >= 0.94


def test_the_usual_standard_error_of_kappa_does_not_hold():
    """Why its interval is another: few pairs, rare words."""
    rng = np.random.default_rng(9)
    wrong = np.array([[0.95, 0.05], [0.05, 0.95]])
    table = wrong @ np.diag([0.98, 0.02]) @ wrong
    true, held, ours = coverage.kappa_of(table), 0, 0
    for _ in range(200):
        counts = rng.multinomial(40, table.ravel()).reshape(2, 2)
        with np.errstate(all="ignore"):
            found = cohens_kappa(counts)
        held += found.kappa_low <= true <= found.kappa_upp
        words = [("nn", "ny"), ("yn", "yy")]
        pairs = [
            Pair(first=words[i][j][0], second=words[i][j][1], count=int(counts[i, j]))
            for i in (0, 1)
            for j in (0, 1)
            if counts[i, j]
        ]
        interval = agreement(pairs).interval
        ours += interval is None or interval.low <= true <= interval.high
    assert held < 0.85 * 200
    assert ours >= 0.95 * 200


def test_calibrated_rates_hold_what_erring_judges_miss():
    judged, held, apart = coverage.calibrated(0.1, 3000, 200, seed=5)
    assert (held >= 0.94, apart >= 0.94) == (True, True)
    judged, held, apart = coverage.calibrated(0.5, 3000, 200, seed=6)
    assert judged < 0.1
    assert (held >= 0.93, apart >= 0.93) == (True, True)


def recovered(strata):
    """Limits as a root of summed squares of the strata's own (Zou and Donner)."""
    total = sum(s.records for s in strata)
    value = below = above = 0.0
    for s in strata:
        own, share = two_sided(s.positive, s.labelled), s.records / total
        p = s.positive / s.labelled
        value += share * p
        below += (share * (p - own.low)) ** 2
        above += (share * (own.high - p)) ** 2
    return Interval(low=value - below**0.5, high=value + above**0.5, sided=Sided.TWO)


@pytest.mark.parametrize(("truth", "labels"), [(0.5, 1), (0.08, 2), (0.01, 20), (0.84, 2)])
def test_calibrated_rates_hold_with_few_labels_of_each_verdict(truth, labels):
    assert coverage.few_labels(truth, labels, 300, seed=11, mixed=False) >= 0.95
    assert coverage.few_labels(truth, labels, 300, seed=11, mixed=True) >= 0.95


def test_limits_recovered_from_those_of_the_strata_miss_with_few_labels_of_each_verdict():
    """Why the interval is another: the check above can fail."""
    assert coverage.few_labels(0.5, 1, 600, seed=11, mixed=False, interval=recovered) < 0.92
