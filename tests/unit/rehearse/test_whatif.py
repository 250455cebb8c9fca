"""Changes that a rehearsal tries, and the published tiers."""

from __future__ import annotations

from dataclasses import replace

from runner.config.quota_schema import ModelQuotaConfig, QuotaGroupConfig
from runner.rehearse.outcome import rehearsed
from runner.rehearse.scene import Scene, Shape
from runner.rehearse.tiers import next_tier
from runner.rehearse.whatif import Variant, variants
from runner.simulate.config import GroupConfig
from tests.support.scenes import model, scene


def tried(one: Scene) -> dict[str, Variant]:
    return {v.what: v for v in variants(one, rehearsed(one))}


def test_binding_limit_is_doubled_in_configuration_and_server():
    found = tried(scene(model(rpm=3000, otpm=900_000_000, model="other"), seeds=100))
    assert set(found) == {"2 workers", "m: twice the requests", "m: the whole quota twice"}
    changed = found["m: twice the requests"].scene
    assert changed.groups["m"].rpm == 6000
    quota = changed.config.models[0].quota
    assert quota is not None
    assert (quota.rpm, quota.otpm) == (6000, 900_000_000)
    both = found["m: the whole quota twice"].scene
    assert (both.groups["m"].rpm, both.groups["m"].otpm) == (6000, 1_800_000_000)


def test_twice_the_binding_limit_takes_half_the_time():
    one = scene(model(rpm=600, model="other"), seeds=150)
    base = rehearsed(one)
    (twice,) = (v for v in variants(one, base) if v.what == "m: the whole quota twice")
    assert 0.45 <= rehearsed(twice.scene).duration_s / base.duration_s <= 0.6


def test_quota_that_models_share_is_changed_where_it_stands():
    shared = [
        replace(model(name, model="other"), quota=ModelQuotaConfig(group="g")) for name in "ab"
    ]
    one = scene(*shared, servers={"g": GroupConfig(rpm=600, itpm=None, otpm=None)})
    one = replace(one, config=replace(one.config, quotas=[QuotaGroupConfig(name="g", rpm=600)]))
    changed = tried(one)["g: the whole quota twice"].scene
    assert changed.config.quotas[0].rpm == changed.groups["g"].rpm == 1200


def test_learned_quota_stays_auto_while_its_server_gives_more():
    auto = replace(model(), quota=ModelQuotaConfig(auto=True))
    server = GroupConfig(rpm=1000, itpm=2_000_000, otpm=400_000)
    changed = tried(scene(auto, servers={"m": server}))["m: the limits of tier Build"].scene
    assert changed.groups["m"].rpm == 5000
    quota = changed.config.models[0].quota
    assert quota is not None
    assert quota.rpm is None


def test_places_are_doubled_where_they_bind():
    few = [model(name, max_in_flight=10) for name in "ab"]
    found = tried(scene(*few, seeds=50))["a, b: twice max_in_flight"]
    assert found.how == "models.a.max_in_flight=20 models.b.max_in_flight=20"
    assert [m.max_in_flight for m in found.scene.config.models] == [20, 20]


def test_quotas_of_groups_that_end_together_are_changed_together():
    equal = [model(name, rpm=600, model="other") for name in "ab"]
    one = scene(*equal, model("c", rpm=6000), seeds=100)
    base = rehearsed(one)
    (found,) = (v for v in variants(one, base) if v.what == "a, b: the whole quota twice")
    assert [found.scene.groups[g].rpm for g in "abc"] == [1200, 1200, 6000]
    assert rehearsed(found.scene).duration_s < 0.65 * base.duration_s


def test_cache_modes_are_tried_where_a_prefix_is_long_enough():
    long = Shape(calls=1, input_tokens=3000, shared_tokens=2000, shared_characters=8000)
    found = tried(scene(model(max_in_flight=50), shape=long))
    assert {w for w in found if w.startswith("cache")} == {"cache off", "cache 1h"}
    assert found["cache off"].how == "models.m.cache=off"
    short = Shape(calls=1, input_tokens=300, shared_tokens=200, shared_characters=800)
    assert not any(
        w.startswith("cache") for w in tried(scene(model(max_in_flight=50), shape=short))
    )


def test_next_tier_gives_less_of_nothing():
    def named(model_id: str, rpm: float | None, itpm: float | None, otpm: float | None):
        found = next_tier(model_id, rpm=rpm, itpm=itpm, otpm=otpm)
        return None if found is None else found.name

    assert named("claude-opus-4-5", 1000, 2_000_000, 400_000) == "Build"
    assert named("claude-opus-4-5", 5000, 5_000_000, 1_500_000) == "Scale"
    assert named("claude-opus-4-5", 10_000, 10_000_000, 2_000_000) is None
    assert named("claude-fable-5", 1000, None, None) == "Build"
    assert named("my-model", 1, 1, 1) is None
