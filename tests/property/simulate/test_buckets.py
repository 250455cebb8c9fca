"""No window ever admits more than the bucket allows, and headers tell what the bucket does."""

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.simulate.buckets import Bucket, Foreign
from runner.simulate.config import GroupConfig
from runner.simulate.limits import Quota, Refused
from runner.simulate.quota_headers import messages_headers, retry_after

LIMITS = st.floats(60, 1e6)
BURSTS = st.sampled_from([0.5, 1.0, 10.0, 60.0])
GAPS = st.floats(0, 20)
FOREIGN = st.none() | st.builds(
    Foreign, share=st.floats(0, 1.5), on_s=st.floats(0.1, 50), off_s=st.floats(0, 50)
)
WALL = 1_795_000_000.0


@given(
    LIMITS,
    BURSTS,
    FOREIGN,
    st.lists(st.tuples(GAPS, st.floats(0, 2e5), st.booleans()), max_size=40),
)
def test_taken_in_any_window_is_at_most_a_full_bucket_and_the_refill(limit, burst_s, foreign, asks):
    bucket = Bucket(limit, burst_s, 0.0, foreign)
    now = 0.0
    taken: list[tuple[float, float]] = []
    for gap, amount, flows in asks:
        now += gap
        if flows:
            bucket.flow(amount / 100, now, gap)  # only makes less room
        elif bucket.take(amount, now):
            taken.append((now, amount))
    for i, (start, _) in enumerate(taken):
        admitted, largest = 0.0, 0.0
        for at, amount in taken[i:]:
            admitted += amount
            largest = max(largest, amount)
            # More than the capacity is let through out of a full bucket only, into debt.
            allowed = max(bucket.capacity, largest) + limit / 60 * (at - start)
            assert admitted <= allowed * (1 + 1e-9) + 1e-3


@given(LIMITS, BURSTS, st.floats(1, 1e5), st.floats(0, 1e5))
def test_wait_is_exactly_when_a_lone_client_gets_through(limit, burst_s, amount, used):
    bucket = Bucket(limit, burst_s, 0.0)
    bucket.charge(used, 0.0)
    wait_s = bucket.wait_s(amount, 0.0)
    if wait_s > 1e-3:
        assert not bucket.has(amount, wait_s * 0.99)
    assert bucket.has(amount, wait_s + 1e-6)


@given(LIMITS, st.lists(st.tuples(st.floats(0, 1e4), GAPS, GAPS), max_size=10), st.data())
def test_flows_drain_their_amount_whatever_the_steps_in_which_time_passes(limit, flows, data):
    """One bucket is looked at often and one only at the end."""
    watched, unwatched = Bucket(limit, 60.0, 0.0), Bucket(limit, 60.0, 0.0)
    for bucket in (watched, unwatched):
        bucket.charge(bucket.capacity * 3, 0.0)  # far from full, so that nothing is lost
        for amount, start, seconds in flows:
            bucket.flow(amount, start, seconds)
    times = sorted(data.draw(st.lists(st.floats(0, 41), max_size=10)))
    for at in times:
        watched.gauge(at)
    end = 41.0
    expected = -2 * watched.capacity + limit / 60 * end - sum(a for a, _, _ in flows)
    capped = min(watched.capacity, expected)
    assert watched.gauge(end).level == pytest.approx(capped, rel=1e-6, abs=0.1)
    assert unwatched.gauge(end).level == pytest.approx(capped, rel=1e-6, abs=0.1)


@given(LIMITS, BURSTS, FOREIGN, st.floats(0, 1e5), st.lists(GAPS, max_size=10))
def test_others_get_no_more_than_they_want_and_make_no_debt(limit, burst_s, foreign, used, gaps):
    bucket = Bucket(limit, burst_s, 0.0, foreign)
    now = 0.0
    for gap in gaps:
        now += gap
        bucket.take(used, now)
        level = bucket.gauge(now).level
        lone = bucket.capacity - used
        assert min(0.0, lone) - 1e-3 <= level <= bucket.capacity * (1 + 1e-9)
    use = bucket.foreign_use
    assert use.taken <= use.wanted * (1 + 1e-9) + 1e-6
    assert use.taken <= (bucket.capacity + limit / 60 * now) * (1 + 1e-9) + 1e-6


CALLS = st.lists(
    st.tuples(GAPS, st.integers(0, 30_000), st.integers(0, 5_000), st.floats(0, 30)), max_size=40
)


@given(
    CALLS,
    st.builds(
        GroupConfig,
        rpm=st.none() | st.floats(1, 600),
        itpm=st.none() | st.floats(1000, 1e6),
        otpm=st.none() | st.floats(1000, 1e6),
        burst_s=BURSTS,
        reserve_output=st.booleans(),
        refused_count=st.booleans(),
    ),
)
def test_quota_takes_all_or_nothing_and_its_headers_say_what_it_holds(calls, config):
    quota = Quota(config, 0.0)
    now = 0.0
    for gap, prompt, output, seconds in calls:
        now += gap
        before = quota.gauges(now)
        found = quota.admit(prompt, 5_000, now)
        after = quota.gauges(now)
        if isinstance(found, Refused):
            assert found.wait_s > 0
            assert retry_after(found.wait_s) >= found.wait_s - 1e-5
            assert (after.input, after.output) == (before.input, before.output)
        else:
            quota.produce(found, output, now, seconds)
            if config.reserve_output:
                quota.finish(found, now + seconds)
                now += seconds
        told = parsed(messages_headers(quota.gauges(now), WALL))
        for name, gauge, step in (
            ("requests", quota.gauges(now).requests, 1),
            ("input-tokens", quota.gauges(now).input, 1000),
            ("output-tokens", quota.gauges(now).output, 1000),
        ):
            if gauge is None:
                assert f"{name}-limit" not in told
                continue
            remaining = int(told[f"{name}-remaining"])
            assert remaining >= 0
            assert remaining % step == 0
            if gauge.level >= 0:
                assert abs(remaining - gauge.level) <= max(1, step / 2) + 1e-6
            # The reset is when the bucket is full again, to the second.
            reset = datetime.fromisoformat(told[f"{name}-reset"]).timestamp() - WALL
            assert -1e-3 <= reset - gauge.full_in_s <= 1 + 1e-3


def parsed(lines: str) -> dict[str, str]:
    pairs = (line.split(": ", 1) for line in lines.strip().split("\r\n") if line)
    return {name.removeprefix("anthropic-ratelimit-"): value for name, value in pairs}
