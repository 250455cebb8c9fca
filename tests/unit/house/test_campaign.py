from __future__ import annotations

from collections import Counter

from tests.chaos.campaign import FAULTS_A_ROUND, KINDS, schedule


def test_schedule_of_a_round_follows_from_its_seed_and_number_alone():
    assert schedule(7, 3) == schedule(7, 3)
    assert schedule(7, 3) != schedule(7, 4)
    assert schedule(7, 3) != schedule(8, 3)


def test_forty_rounds_are_two_hundred_faults_of_every_kind_thirty_of_them_not_of_workers():
    faults = Counter(f.kind for number in range(40) for f in schedule(1, number))
    assert faults.total() == 40 * FAULTS_A_ROUND == 200
    assert set(faults) == set(KINDS)
    assert faults.total() - faults["worker"] - faults["pause"] >= 30
