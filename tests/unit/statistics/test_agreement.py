import random

import pytest
from statsmodels.stats.inter_rater import cohens_kappa

from runner.statistics.agreement import Pair, agreement, kappa, recall
from runner.statistics.binomial import two_sided
from runner.statistics.calibrated import LabelStratum, calibrated_rate


def stratum(records, labelled, positive, **keys):
    return LabelStratum(records=records, labelled=labelled, positive=positive, **keys)


def test_kappa_with_equal_weights_is_statsmodels_own():
    counts = {("y", "y"): 20, ("y", "n"): 5, ("n", "y"): 10, ("n", "n"): 15}
    found = agreement([Pair(first=a, second=b, count=n) for (a, b), n in counts.items()])
    expected = cohens_kappa([[15, 10], [5, 20]])
    assert found.kappa == pytest.approx(0.4)
    assert found.kappa == pytest.approx(float(expected.kappa))
    # The exact limits of 35 in 50, above agreement by chance (a half here).
    limits = two_sided(35, 50)
    assert found.interval.low == pytest.approx(2 * limits.low - 1)
    assert found.interval.high == pytest.approx(2 * limits.high - 1)
    assert (found.agreed.events, found.agreed.n) == (35, 50)


def test_kappa_with_unequal_weights_is_wider_and_weighted():
    counts = {("y", "y"): 20, ("n", "n"): 20, ("y", "n"): 10}
    even = agreement([Pair(first=a, second=b, count=n) for (a, b), n in counts.items()])
    uneven = agreement(
        [
            Pair(first=a, second=b, count=n // 2, weight=w)
            for (a, b), n in counts.items()
            for w in (0.2, 1.8)
        ]
    )
    assert uneven.kappa == pytest.approx(even.kappa)
    width = [f.interval.high - f.interval.low for f in (even, uneven)]
    # Kish's effective number is 50 / 1.64.
    assert width[1] == pytest.approx(width[0] * 1.64**0.5, rel=0.05)
    heavy = agreement(
        [
            Pair(first="y", second="n", weight=9),
            Pair(first="n", second="n"),
            Pair(first="y", second="y"),
        ]
    )
    assert heavy.kappa < 0.1


def test_kappa_without_disagreement_is_still_uncertain_and_with_one_word_has_no_value():
    same = agreement([Pair(first="y", second="y"), Pair(first="n", second="n")])
    assert same.kappa == 1.0
    assert (same.interval.low < 0, same.interval.high) == (True, 1.0)
    many = agreement([Pair(first=w, second=w, count=200) for w in "yn"])
    assert many.interval.low > 0.95
    assert agreement([Pair(first="y", second="y", count=9)]).kappa is None
    assert agreement([]).agreed.n == 0


def test_kappa_of_a_judge_fully_labelled_is_that_of_the_table():
    value, interval = kappa([stratum(25, 25, 20)], [stratum(25, 25, 10)])
    assert value == pytest.approx(0.4)
    assert interval.low < 0.4 < interval.high
    unknown, wide = kappa([stratum(25, 25, 20)], [stratum(25, 0, 0)])
    assert unknown is None
    assert (wide.low < 0, wide.high > 0.8) == (True, True)


def test_kappa_of_a_judge_without_verdicts_has_no_value():
    value, interval = kappa([], [])
    assert (value, interval.low, interval.high) == (None, -1.0, 1.0)


def test_recall_without_labels_among_the_others_is_bounded_by_nothing():
    called = [stratum(10, 10, 9)]
    unknown = recall(called, [stratum(90, 0, 0)])
    assert unknown.value is None
    assert unknown.interval.low < 0.15
    assert unknown.interval.high == 1.0
    known = recall(called, [stratum(90, 60, 0)])
    assert known.value == 1.0
    assert 0.4 < known.interval.low < 1
    assert recall([], [stratum(90, 60, 3)]).value == 0.0


def test_certain_records_carry_no_error_of_labels():
    unsure = calibrated_rate([stratum(50, 50, 10), stratum(50, 50, 0)])
    certain = calibrated_rate([stratum(50, 50, 10), stratum(50, 50, 0, certain=True)])
    assert certain.value == unsure.value == 0.1
    assert certain.interval.high < unsure.interval.high


def test_recall_covers_the_truth_in_simulated_samples():
    random.seed(5)
    held = 0
    for _ in range(300):
        events = sum(random.random() < 0.2 for _ in range(400))
        hits = sum(random.random() < 0.6 for _ in range(events))
        false = sum(random.random() < 0.03 for _ in range(400 - events))
        called = [True] * hits + [False] * false
        others = [True] * (events - hits) + [False] * (400 - events - false)
        strata = []
        for population in (called, others):
            sample = random.sample(population, min(50, len(population)))
            strata.append(stratum(len(population), len(sample), sum(sample)))
        interval = recall(strata[:1], strata[1:]).interval
        held += interval.low <= hits / events <= interval.high
    assert held >= 285
