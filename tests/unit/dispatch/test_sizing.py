from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from runner.config.quotas import QuotaUse
from runner.config.schema import ModelConfig
from runner.dispatch.quota_plan import QuotaPlan
from runner.dispatch.sizing import target_workers
from runner.limits.quota import GroupQuota


def plan_of(rpm: dict[str, float | None], unpaced: tuple[str, ...] = ()) -> QuotaPlan:
    names = [*rpm, *unpaced]
    return QuotaPlan(
        groups={n: GroupQuota(rpm=rpm.get(n), auto=n in rpm) for n in names},
        uses={n: QuotaUse(group=n) for n in names},
        own={},
        paced=frozenset(rpm),
        cache_reads_count=frozenset(),
    )


def models(*names: str, places: int = 64) -> dict[str, ModelConfig]:
    return {n: ModelConfig(name=n, max_in_flight=places) for n in names}


def test_quota_of_a_few_requests_a_second_starts_two_of_a_hundred():
    assert target_workers(100, {"m": 10**6}, plan_of({"m": 600}), models("m")) == 2


def test_quota_of_hundreds_a_second_starts_what_it_feeds():
    assert target_workers(100, {"m": 10**6}, plan_of({"m": 60_000}), models("m")) == 50


def test_quotas_of_two_groups_add_up_and_a_finished_model_feeds_nobody():
    quota = plan_of({"a": 6000, "b": 6000})
    assert target_workers(100, {"a": 10**6, "b": 10**6}, quota, models("a", "b")) == 10
    assert target_workers(100, {"a": 10**6, "b": 0}, quota, models("a", "b")) == 5


def test_unknown_quota_leaves_the_number_to_the_user():
    assert target_workers(100, {"m": 10**6}, plan_of({"m": None}), models("m")) == 100


def test_own_server_is_shared_by_its_places():
    quota = plan_of({}, unpaced=("m",))
    assert target_workers(100, {"m": 10**6}, quota, models("m", places=256)) == 32
    assert target_workers(100, {"m": 10**6}, quota, models("m", places=4)) == 2


@given(st.integers(1, 10_000), st.integers(0, 10**8), st.floats(0.1, 1e7))
def test_target_is_never_more_than_asked_or_owed_and_never_none(asked, jobs, rpm):
    found = target_workers(asked, {"m": jobs}, plan_of({"m": rpm}), models("m"))
    assert 1 <= found <= asked
    assert found <= max(1, jobs)
