"""Quota groups by example: what refuses, how long, and what each setting changes."""

import pytest

from runner.simulate.buckets import Bucket, Foreign, Gauge, Ramp
from runner.simulate.config import (
    ForeignConfig,
    GroupConfig,
    RampConfig,
    RemainingMeans,
    StepConfig,
)
from runner.simulate.limits import Gauges, Limit, Permit, Quota, Refused
from runner.simulate.quota_headers import chat_headers, duration, messages_headers, retry_after


def admitted(quota: Quota, now: float, tokens: int = 10, max_tokens: int = 100) -> bool:
    return isinstance(quota.admit(tokens, max_tokens, now), Permit)


@pytest.mark.parametrize("burst_s", [1.0, 10.0, 60.0])
def test_burst_is_what_a_full_bucket_lets_through_at_once(burst_s):
    quota = Quota(GroupConfig(rpm=600, burst_s=burst_s), 0.0)
    assert sum(admitted(quota, 0.0) for _ in range(2000)) == 10 * burst_s


def test_refusal_names_the_limit_that_takes_longest():
    quota = Quota(GroupConfig(rpm=60, itpm=60_000, otpm=None, burst_s=1.0), 0.0)
    assert admitted(quota, 0.0, tokens=1000)
    refused = quota.admit(100, 10, 0.0)
    assert refused == Refused(limit=Limit.REQUESTS, wait_s=pytest.approx(1.0))
    refused = quota.admit(1000, 10, 0.5)
    assert isinstance(refused, Refused)
    assert refused.wait_s == pytest.approx(0.5)


def test_output_is_charged_while_it_is_produced_and_can_leave_a_debt():
    quota = Quota(GroupConfig(rpm=None, itpm=None, otpm=60_000, burst_s=1.0), 0.0)
    permit = quota.admit(10, 100_000, 0.0)
    assert isinstance(permit, Permit)
    quota.produce(permit, 4_000, 0.0, 2.0)  # 2,000 a second against a refill of 1,000
    assert quota.gauges(1.0).output.level == pytest.approx(0.0, abs=1e-6)
    assert quota.gauges(2.0).output.level == pytest.approx(-1000)
    assert not admitted(quota, 2.5)
    assert admitted(quota, 3.1)


def test_client_that_leaves_pays_for_what_was_generated_only():
    quota = Quota(GroupConfig(rpm=None, itpm=None, otpm=600_000, burst_s=60.0), 0.0)
    permit = quota.admit(10, 100, 0.0)
    quota.produce(permit, 100_000, 0.0, 10.0)
    assert quota.gauges(2.0).output.level == pytest.approx(600_000)  # refilled as fast
    quota.output.charge(100_000, 2.0)
    quota.finish(permit, 2.0, early=True)
    assert quota.gauges(3.0).output.level == pytest.approx(510_000)


def test_reserving_back_end_takes_max_tokens_and_gives_back_the_rest():
    config = GroupConfig(rpm=None, itpm=None, otpm=60_000, burst_s=60.0, reserve_output=True)
    quota = Quota(config, 0.0)
    first = quota.admit(10, 40_000, 0.0)
    assert not admitted(quota, 0.0, max_tokens=40_000)
    quota.produce(first, 500, 0.0, 0.0)
    quota.finish(first, 0.0)
    assert quota.gauges(0.0).output.level == pytest.approx(59_500)
    quota.finish(first, 0.0)
    assert quota.gauges(0.0).output.level == pytest.approx(59_500)


@pytest.mark.parametrize(("counts", "level"), [(False, 0.0), (True, -3.0)])
def test_refused_requests_count_where_the_group_says_so(counts, level):
    quota = Quota(GroupConfig(rpm=60, burst_s=1.0, refused_count=counts), 0.0)
    assert [admitted(quota, 0.0) for _ in range(4)] == [True, False, False, False]
    assert quota.gauges(0.0).requests.level == pytest.approx(level)


def test_foreign_load_leaves_us_the_rest_of_the_refill():
    config = GroupConfig(rpm=6000, itpm=None, otpm=None, burst_s=1.0, foreign=ForeignConfig())
    quota = Quota(config, 0.0)
    ours = sum(admitted(quota, i / 1000) for i in range(60_000))
    assert 0.70 <= ours / 6000 <= 0.72


def test_foreign_load_by_turns_is_there_half_of_the_time():
    foreign = Foreign(share=0.5, on_s=10.0, off_s=10.0)
    bucket = Bucket(60.0, 60.0, 0.0, foreign)
    bucket.gauge(100.0)
    assert bucket.foreign_use.wanted == pytest.approx(0.5 * 50)


def test_limits_change_when_their_step_comes():
    config = GroupConfig(rpm=600, burst_s=60.0, steps=[StepConfig(after_s=30.0, factor=0.5)])
    quota = Quota(config, 100.0)
    assert quota.gauges(129.0).requests == Gauge(limit=600, capacity=600, level=600)
    assert quota.gauges(131.0).requests == Gauge(limit=300, capacity=300, level=300)


def test_ramp_refuses_what_rises_too_fast_and_opens_as_time_passes():
    config = GroupConfig(rpm=6000, itpm=None, otpm=None, ramp=RampConfig(floor=0.1, doubling_s=10))
    quota = Quota(config, 0.0)
    refused = [quota.admit(1, 1, 0.0) for _ in range(50)][-1]
    assert isinstance(refused, Refused)
    assert refused.limit is Limit.RAMP
    assert refused.wait_s > 0
    per_second = [sum(admitted(quota, s + i / 200) for i in range(200)) for s in range(40)]
    assert per_second[2] < per_second[15] < per_second[30]
    assert per_second[-1] >= 100  # the quota alone binds now


def test_ramp_begins_again_after_an_idle_time():
    ramp = Ramp(limit=600, floor=0.1, doubling_s=1.0, idle_s=60.0)
    assert sum(ramp.wait_s(10.0 + i / 1000) == 0 for i in range(5)) == 1
    assert sum(ramp.wait_s(200.0 + i / 1000) == 0 for i in range(5)) == 1


def test_headers_round_tokens_to_thousands_and_sum_them():
    gauges = Gauges(
        requests=Gauge(limit=60, capacity=60, level=12.9),
        input=Gauge(limit=6_000, capacity=6_000, level=2_499.0),
        output=Gauge(limit=6_000, capacity=6_000, level=-100.0),
    )
    lines = dict(
        line.split(": ", 1) for line in messages_headers(gauges, 1_795_000_000.0).split("\r\n")[:-1]
    )
    short = {k.removeprefix("anthropic-ratelimit-"): v for k, v in lines.items()}
    assert short == {
        "requests-limit": "60",
        "requests-remaining": "12",
        "requests-reset": "2026-11-18T11:07:28Z",
        "tokens-limit": "12000",
        "tokens-remaining": "2000",
        "tokens-reset": "2026-11-18T11:07:41Z",
        "input-tokens-limit": "6000",
        "input-tokens-remaining": "2000",
        "input-tokens-reset": "2026-11-18T11:07:16Z",
        "output-tokens-limit": "6000",
        "output-tokens-remaining": "0",
        "output-tokens-reset": "2026-11-18T11:07:41Z",
    }
    assert "x-ratelimit-remaining-requests: 12\r\n" in chat_headers(gauges)
    assert "x-ratelimit-reset-tokens: 1m1s\r\n" in chat_headers(gauges)


def test_remaining_of_a_minute_counts_what_the_bucket_lacks():
    config = GroupConfig(rpm=600, burst_s=1.0, remaining=RemainingMeans.minute)
    quota = Quota(config, 0.0)
    for _ in range(4):
        assert admitted(quota, 0.0)
    gauge = quota.gauges(0.0).requests
    assert (gauge.level, gauge.full_in_s) == (596, pytest.approx(0.4))


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.012, "12ms"), (1, "1s"), (1.5, "1.5s"), (360, "6m0s"), (0, "0ms")]
)
def test_duration_is_written_as_chat_servers_do(seconds, text):
    assert duration(seconds) == text


@pytest.mark.parametrize(("wait_s", "told"), [(0.01, 1), (1.0, 1), (1.2, 2), (61.0, 61)])
def test_retry_after_is_whole_seconds_and_never_too_early(wait_s, told):
    assert retry_after(wait_s) == told
