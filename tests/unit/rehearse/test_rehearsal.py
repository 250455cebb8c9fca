"""A sweep in virtual time: durations that arithmetic gives, too."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest

from runner.config.quota_schema import ModelQuotaConfig, QuotaGroupConfig
from runner.limits.quota import Meter
from runner.rehearse.outcome import Outcome, rehearsed
from runner.rehearse.rehearsal import EndlessError
from runner.rehearse.scene import Companion, Shape
from runner.simulate.config import GroupConfig, LatencyConfig, OutputConfig, StormConfig
from tests.support.scenes import model, scene

ALIKE = {
    "output": OutputConfig(mean_tokens=100, sigma=0.0),
    "latency": LatencyConfig(first_token_s=1.0, tokens_per_s=100, spread=0.0),
}
"""Every call takes two seconds."""


def test_sweep_when_requests_bind_takes_as_long_as_they_do():
    found = rehearsed(scene(model(rpm=600), seeds=150, **ALIKE))
    assert found.jobs == found.calls == 600
    # 600 requests at 10 a second, safety 0.99, an answer of 2 s; the ramp takes a few seconds.
    assert 62 <= found.duration_s <= 70
    (group,) = found.groups
    assert group.binds == "requests"
    (bucket,) = group.buckets
    assert bucket.meter is Meter.REQUESTS
    assert bucket.utilisation == pytest.approx(0.99, abs=0.01)
    assert found.refused_share == 0


def test_sweep_when_output_tokens_bind_uses_its_quota():
    found = rehearsed(
        scene(
            model(otpm=60_000),
            seeds=150,
            output=OutputConfig(mean_tokens=100, sigma=0.7),
        )
    )
    (group,) = found.groups
    assert group.binds == "output_tokens"
    assert 60 <= found.duration_s <= 75
    assert sum(m.output_tokens for m in found.models) == pytest.approx(60_000, rel=0.03)


def test_sweep_without_quota_is_bound_by_its_places():
    found = rehearsed(scene(model(max_in_flight=10), seeds=50, **ALIKE))
    (group,) = found.groups
    assert group.binds == "places"
    assert found.models[0].most_in_flight == 10
    assert 40 <= found.duration_s <= 44  # 200 calls of 2 s, ten at a time


def test_sweep_when_processors_bind_gains_by_a_second_worker():
    one = scene(model(max_in_flight=200), seeds=500, cpu_s={"m": 0.05}, **ALIKE)
    alone, two = rehearsed(one), rehearsed(replace(one, workers=2))
    assert alone.groups[0].binds == "workers"
    assert alone.duration_s == pytest.approx(2000 * 0.05, rel=0.1)
    assert two.duration_s == pytest.approx(alone.duration_s / 2, rel=0.15)


def test_workers_share_one_quota():
    many = rehearsed(scene(model(rpm=600), seeds=150, workers=4, **ALIKE))
    assert 60 <= many.duration_s <= 72
    assert many.refused_share == 0


def test_models_of_a_group_share_its_quota():
    shared = [replace(model(name), quota=ModelQuotaConfig(group="g")) for name in ("a", "b")]
    one = scene(
        *shared, seeds=75, servers={"g": GroupConfig(rpm=600, itpm=None, otpm=None)}, **ALIKE
    )
    one = replace(one, config=replace(one.config, quotas=[QuotaGroupConfig(name="g", rpm=600)]))
    found = rehearsed(one)
    assert found.calls == 600
    assert 62 <= found.duration_s <= 72
    assert [g.models for g in found.groups] == [("a", "b")]


def test_limit_of_a_models_own_holds_it_back_and_leaves_the_rest_to_others():
    a = replace(model("a"), quota=ModelQuotaConfig(group="g", rpm=120))
    b = replace(model("b"), quota=ModelQuotaConfig(group="g"))
    own = {"a": GroupConfig(rpm=120, itpm=None, otpm=None)}
    servers = {"g": GroupConfig(rpm=1200, itpm=None, otpm=None)}
    one = scene(a, b, seeds=50, servers=servers, own=own, **ALIKE)
    one = replace(one, config=replace(one.config, quotas=[QuotaGroupConfig(name="g", rpm=1200)]))
    found = rehearsed(one)
    ends = {m.model: m.ends_s for m in found.models}
    assert 95 <= ends["a"] <= 115  # 200 requests at 2 a second
    assert ends["b"] <= 25
    assert found.refused_share == 0


@pytest.mark.parametrize(("workers", "used"), [(1, 0.95), (4, 0.86)])
def test_cached_prefixes_when_input_binds_leave_little_of_the_quota_unused(
    workers: int, used: float
):
    shape = Shape(calls=3, input_tokens=1800, shared_tokens=1580, shared_characters=6300)
    found = rehearsed(
        scene(model(itpm=120_000, cache="5m"), seeds=60, shape=shape, workers=workers, **ALIKE)
    )
    # 716 calls of 220 tokens and four of 1,800, at 2,000 a second and safety 0.99: 83.2 s.
    (group,) = found.groups
    (bucket,) = group.buckets
    assert group.binds == "input_tokens"
    assert bucket.utilisation > used
    assert found.duration_s < 105
    assert found.refused_share == 0


def test_first_permits_when_no_size_is_known_do_not_cost_a_debt():
    # A block of calls at no cost on each of four workers would be 400,000 tokens on the first second.
    one = model(itpm=120_000)
    found = rehearsed(
        scene(one, seeds=32, shape=Shape(calls=1, input_tokens=1600), workers=4, **ALIKE)
    )
    # 128 calls of 1,600 tokens at 1,980 a second: 103.4 s.
    assert found.groups[0].buckets[0].utilisation > 0.95
    assert found.duration_s < 115
    assert found.refused_share == 0


def test_cached_prefix_is_written_once_a_condition_and_read_by_all_others():
    shape = Shape(calls=1, input_tokens=3000, shared_tokens=2000, shared_characters=8000)
    found = rehearsed(scene(model(max_in_flight=50), seeds=100, shape=shape, **ALIKE))
    (only,) = found.models
    assert only.written_tokens == 4 * 2000
    assert only.cached_tokens == 396 * 2000
    off = rehearsed(scene(model(max_in_flight=50, cache="off"), seeds=100, shape=shape, **ALIKE))
    assert off.models[0].cached_tokens == off.models[0].written_tokens == 0
    assert off.models[0].input_tokens == 400 * 3000


def test_job_of_several_calls_with_a_role_asks_both_models():
    shape = Shape(
        calls=3, input_tokens=100, companions=(Companion(model="r", calls=2, input_tokens=50),)
    )
    one = scene(
        model(max_in_flight=20),
        actors=(model("r", max_in_flight=5),),
        shape=shape,
        seeds=10,
        **ALIKE,
    )
    found = rehearsed(one)
    calls = {m.model: (m.jobs, m.calls, m.input_tokens) for m in found.models}
    assert calls == {"m": (40, 120, 12_000), "r": (0, 80, 4_000)}
    assert found.slowest.group == "m"


def test_calls_of_a_job_may_be_a_fraction_on_average():
    found = rehearsed(
        scene(model(max_in_flight=100), shape=Shape(calls=2.5, input_tokens=10), **ALIKE)
    )
    assert found.calls == pytest.approx(1000, rel=0.05)


def test_server_that_allows_less_than_configured_gives_429s_that_are_waited_out():
    less = GroupConfig(rpm=400, itpm=None, otpm=None, burst_s=1, headers=False)
    found = rehearsed(scene(model(rpm=600), seeds=100, servers={"m": less}, **ALIKE))
    assert found.jobs == 400
    assert 0 < found.refused_share < 0.2
    assert found.models[0].refused == found.calls - 400
    assert set(found.groups[0].refused_by) == {"requests"}
    assert found.duration_s >= 60


def test_storm_delays_a_sweep_by_its_length():
    calm = scene(model(rpm=600), seeds=150, **ALIKE)
    serving = replace(calm.serving["m"], storms=(StormConfig(after_s=20, for_s=60),))
    stormy = rehearsed(replace(calm, serving={"m": serving}))
    assert stormy.jobs == 600
    assert stormy.models[0].overloaded > 0
    assert 50 <= stormy.duration_s - rehearsed(calm).duration_s <= 140


def test_server_that_refuses_everything_is_endless(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("runner.rehearse.rehearsal.STUCK_S", 600.0)
    serving = scene(model(rpm=600)).serving["m"]
    never = replace(serving, storms=(StormConfig(after_s=0, for_s=1e5),))
    with pytest.raises(EndlessError):
        rehearsed(replace(scene(model(rpm=600), seeds=1), serving={"m": never}))


def test_rehearsal_is_the_same_each_time():
    one = scene(model(otpm=60_000), seeds=50)
    assert rehearsed(one) == rehearsed(one)


def test_phases_follow_one_another_to_the_end():
    found: Outcome = rehearsed(scene(model(rpm=600), seeds=150, **ALIKE))
    phases = found.groups[0].phases
    assert phases[0].start_s == 0
    assert phases[-1].end_s == pytest.approx(found.duration_s)
    assert all(a.end_s == b.start_s for a, b in pairwise(phases))
