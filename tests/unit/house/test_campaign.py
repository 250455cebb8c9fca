from __future__ import annotations

from collections import Counter

from tests.chaos.faults import EVERYWHERE, FAULTS_A_ROUND, ON_RAY, ON_STORE, on_store, schedule


def test_schedule_of_a_round_follows_from_its_seed_and_number_alone():
    assert schedule(7, 3) == schedule(7, 3)
    assert schedule(7, 3) != schedule(7, 4)
    assert schedule(7, 3) != schedule(8, 3)


def test_forty_rounds_are_two_hundred_faults_of_every_kind_thirty_of_them_on_ray():
    faults = Counter(f.kind for number in range(40) for f in schedule(1, number))
    assert faults.total() == 40 * FAULTS_A_ROUND == 200
    assert set(faults) == {*EVERYWHERE, *ON_STORE}
    assert sum(n for kind, n in faults.items() if kind in ON_RAY) >= 30


def test_disk_and_store_fail_in_sweeps_of_a_bucket_alone():
    for number in range(40):
        assert on_store(number) or not {f.kind for f in schedule(1, number)} & set(ON_STORE)
