"""Differences, tests, pooled and calibrated rates against published or independent values."""

from math import comb

import pytest

from runner.statistics.binomial import two_sided
from runner.statistics.calibrated import (
    Calibrated,
    LabelStratum,
    calibrated_difference,
    calibrated_rate,
)
from runner.statistics.firth import odds_ratio
from runner.statistics.pooled import Cluster, pooled_rate
from runner.statistics.power import (
    answers_for_bound,
    answers_for_difference,
    bound_without_events,
    power_of,
    smallest_difference,
)
from runner.statistics.significance import cochran_mantel_haenszel, holm, mcnemar_test
from runner.statistics.strata import Stratum, paired_difference, risk_difference


def stratum(a, n, b, m):
    return Stratum(events=a, n=n, other_events=b, other_n=m)


@pytest.mark.parametrize(
    ("counts", "low", "high"),
    [
        # R. G. Newcombe, Statistics in Medicine 17 (1998) 873-890, table II, method 6
        ((56, 70, 48, 80), 0.0528, 0.3382),
        ((9, 10, 3, 10), 0.1700, 0.8406),
        ((6, 7, 2, 7), 0.0342, 0.8534),
        ((5, 56, 0, 29), -0.0326, 0.1933),
        ((0, 10, 0, 20), -0.1658, 0.2844),
        ((0, 10, 0, 10), -0.2879, 0.2879),
        ((10, 10, 0, 20), 0.7156, 1.0),
    ],
)
def test_risk_difference_in_one_stratum_agrees_with_newcombes_table(counts, low, high):
    found = risk_difference([stratum(*counts)]).interval
    assert (found.low, found.high) == (pytest.approx(low, abs=6e-5), pytest.approx(high, abs=6e-5))


def test_risk_difference_with_groups_exchanged_changes_its_sign():
    strata = [stratum(5, 20, 1, 30), stratum(0, 7, 3, 11)]
    turned = [stratum(s.other_events, s.other_n, s.events, s.n) for s in strata]
    one, other = risk_difference(strata), risk_difference(turned)
    assert one.value == pytest.approx(-other.value)
    assert one.interval.low == pytest.approx(-other.interval.high, abs=1e-9)


def test_risk_difference_without_a_stratum_in_common_is_none():
    assert risk_difference([stratum(1, 5, 0, 0)]) is None
    assert cochran_mantel_haenszel([stratum(1, 5, 0, 0)]) is None


def test_risk_difference_weighs_strata_by_what_both_groups_have():
    """Simpson: pooled counts would say 0.5, strata say 0."""
    found = risk_difference([stratum(90, 100, 9, 10), stratum(1, 10, 10, 100)])
    assert found.value == pytest.approx(0)
    assert (found.interval.low < 0 < found.interval.high, found.strata) == (True, 2)


def test_paired_difference_agrees_with_tangos_example():
    """T. Tango, Statistics in Medicine 17 (1998), crossover of contact lens disinfection: 44 pairs."""
    found = paired_difference(1, 0, 44)
    assert found.interval.low == pytest.approx(-0.0591, abs=2e-3)
    assert found.interval.high == pytest.approx(0.1180, abs=2e-3)


def test_cochran_mantel_haenszel_on_the_berkeley_admissions_agrees():
    """R: mantelhaen.test(UCBAdmissions, correct = FALSE), X² = 1.5246, p = 0.2169."""
    men = [(512, 825), (353, 560), (120, 325), (138, 417), (53, 191), (22, 373)]
    women = [(89, 108), (17, 25), (202, 593), (131, 375), (94, 393), (24, 341)]
    found = cochran_mantel_haenszel([stratum(*m, *w) for m, w in zip(men, women, strict=True)])
    assert found.p == pytest.approx(0.2169, abs=2e-4)
    assert found.method == "Cochran-Mantel-Haenszel"


def test_cochran_mantel_haenszel_with_few_events_is_fishers_test_in_one_stratum():
    """Twice the smaller tail of the hypergeometric distribution, summed by hand."""
    found = cochran_mantel_haenszel([stratum(5, 20, 0, 20)])
    upper = comb(20, 5) / comb(40, 5)
    assert found.p == pytest.approx(2 * upper)
    assert found.method == "exact conditional"


def test_cochran_mantel_haenszel_far_apart_has_a_small_p_value_and_not_zero():
    found = cochran_mantel_haenszel([stratum(900, 1000, 100, 1000)])
    assert 0 < found.p < 1e-100


def test_cochran_mantel_haenszel_without_an_event_is_one():
    assert cochran_mantel_haenszel([stratum(0, 20, 0, 20)]).p == 1.0


def test_mcnemar_counts_discordant_pairs_only():
    assert mcnemar_test(5, 1).p == pytest.approx(2 * (1 + 6) / 2**6)
    assert mcnemar_test(0, 0).p == 1.0


def test_holm_keeps_order_and_never_lowers():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([]) == []


def test_odds_ratio_under_separation_is_finite_and_agrees_with_firths_closed_form():
    """One 2 x 2 table: Firth's estimate is that of counts with a half added (Heinze 2002)."""
    found = odds_ratio([stratum(8, 20, 0, 20)])
    assert found.value == pytest.approx((8.5 / 12.5) / (0.5 / 20.5), rel=1e-3)
    assert 1 < found.interval.low < found.value < found.interval.high


def test_odds_ratio_without_events_or_with_too_many_strata_is_none():
    assert odds_ratio([stratum(0, 20, 0, 20)]) is None
    assert odds_ratio([stratum(1, 2, 1, 2)] * 61) is None


def clusters(*counts):
    return [Cluster(prompt=i, events=e, n=n) for i, (e, n) in enumerate(counts)]


def test_pooled_rate_weighs_prompts_equally_whatever_their_n():
    found = pooled_rate(clusters(*[(1, 10)] * 9, (90, 900), (0, 10), (20, 100)))
    assert found.value == pytest.approx((9 * 0.1 + 0.1 + 0 + 0.2) / 12)
    assert found.interval.low < found.value < found.interval.high


def test_pooled_rate_between_unlike_prompts_is_wider_than_between_like_ones():
    like = pooled_rate(clusters(*[(5, 50)] * 12)).interval
    unlike = pooled_rate(clusters(*[(0, 50)] * 6, *[(10, 50)] * 6)).interval
    assert unlike.high - unlike.low > 1.5 * (like.high - like.low)


@pytest.mark.parametrize(
    ("counts", "why"),
    [([(1, 50)] * 9, "9 prompts"), ([(0, 50)] * 12, "no event"), ([(50, 50)] * 12, "nothing but")],
)
def test_pooled_rate_where_it_would_mean_nothing_says_so(counts, why):
    found = pooled_rate(clusters(*counts))
    assert found.interval is None
    assert why in found.why


def test_pooled_rate_with_a_prompt_under_two_names_counts_one_cluster():
    found = pooled_rate([Cluster(prompt="p", events=1, n=10)] * 12)
    assert (found.clusters, found.interval) == (1, None)


def labels(records, labelled, positive):
    return LabelStratum(records=records, labelled=labelled, positive=positive)


def test_calibrated_rate_is_the_weighted_mean_of_the_strata():
    """Judge says 100 of 1,000; 20 of 50 labelled positives hold, 5 of 50 negatives were missed."""
    found = calibrated_rate([labels(100, 50, 20), labels(900, 50, 5)])
    assert found.value == pytest.approx(0.1 * 0.4 + 0.9 * 0.1)
    assert found.interval.low < found.value < found.interval.high


def test_calibrated_rate_with_all_labelled_is_as_wide_as_the_verdict_sample_at_least():
    found = calibrated_rate([labels(100, 100, 100), labels(900, 900, 0)])
    assert found.value == pytest.approx(0.1)
    assert found.interval.low < 0.1 - 1.9 * (0.1 * 0.9 / 1000) ** 0.5


def test_calibrated_rate_where_negatives_have_no_label_is_unknown_up_to_their_share():
    found = calibrated_rate([labels(100, 50, 50), labels(900, 0, 0)])
    assert found.value is None
    assert found.interval.high > 0.95
    assert calibrated_rate([labels(10, 0, 0)]).interval.sided == "no data"
    with pytest.raises(ValueError, match="impossible"):
        calibrated_rate([labels(1, 2, 1)])


@pytest.mark.parametrize(("events", "n"), [(1, 1), (1, 40), (7, 40), (40, 40), (5, 10), (145, 150)])
def test_calibrated_rate_of_one_stratum_is_the_exact_interval_but_for_rounding(events, n):
    exact = two_sided(events, n)
    found = calibrated_rate([labels(10**9, n, events)]).interval
    assert found.low == pytest.approx(exact.low, abs=0.006)
    assert found.high == pytest.approx(exact.high, abs=0.006)


def test_calibrated_rate_takes_every_stratum_without_labels_for_none_or_all():
    """Six of seven have none: whatever holds in them, all at once, the limits hold it."""
    found = calibrated_rate([labels(100, 50, 50), *[labels(100, 0, 0)] * 6])
    assert found.value is None
    assert found.interval.low < 1 / 7
    assert found.interval.high > 6 / 7


def test_calibrated_difference_holds_both_errors():
    one = calibrated_rate([labels(200, 60, 50), labels(800, 100, 2)])
    two = calibrated_rate([labels(100, 60, 30), labels(900, 100, 0)])
    found = calibrated_difference(one, two)
    width = found.high - found.low
    assert found.low < one.value - two.value < found.high
    assert width > max(i.interval.high - i.interval.low for i in (one, two))
    unknown = Calibrated(value=None, interval=one.interval, labelled=1)
    assert calibrated_difference(one, unknown) is None


@pytest.mark.parametrize(
    ("first", "second", "n"),
    # shared reference evals.md section 2f
    [(0.96, 0.90, 283), (0.84, 0.79, 946), (0.10, 0.05, 434), (0.03, 0.01, 768), (0.5, 0.45, 1565)],
)
def test_answers_for_difference_agree_with_published_values(first, second, n):
    assert answers_for_difference(first, second) in {n, n + 1, n - 1}
    assert power_of(first, second, n) == pytest.approx(0.8, abs=0.002)


def test_answers_for_a_bound_are_the_least_that_give_it():
    for bound in (0.01, 0.001, 0.3):
        n = answers_for_bound(bound)
        assert bound_without_events(n) <= bound < bound_without_events(n - 1)


def test_smallest_difference_is_found_again_by_its_power():
    below, above = smallest_difference(0.5, 200)
    assert power_of(0.5, above, 200) == pytest.approx(0.8, abs=1e-6)
    assert below == pytest.approx(1 - above)
    assert smallest_difference(0.01, 20)[0] is None


def test_power_with_impossible_wishes_is_refused():
    with pytest.raises(ValueError, match="equal"):
        answers_for_difference(0.1, 0.1)
    with pytest.raises(ValueError, match="no rate"):
        power_of(1.2, 0.1, 10)
    with pytest.raises(ValueError, match="bound"):
        answers_for_bound(0)
