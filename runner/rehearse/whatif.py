"""What another worker, a larger quota or another cache setting would change: scenes to rehearse. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from runner.config.schema import ModelConfig, SweepConfig
from runner.limits.quota import Meter
from runner.providers.caching import caches
from runner.rehearse.outcome import GroupOutcome, Outcome
from runner.rehearse.scene import Scene
from runner.rehearse.tiers import next_tier
from runner.simulate.config import GroupConfig

KEYS = {Meter.REQUESTS: "rpm", Meter.INPUT: "itpm", Meter.OUTPUT: "otpm"}
NEAR = 0.5
"""Used share of a limit from which it may come to bind."""
MOST_GROUPS = 3
"""Groups, the slowest first, whose quota is varied."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One change, and how it would be typed."""

    what: str
    how: str
    """Option or override; empty where it is not ours to change."""
    scene: Scene


def variants(scene: Scene, outcome: Outcome) -> list[Variant]:
    """Return the changes worth knowing of, given what binds at present."""
    return [
        *_workers(scene),
        *_places(scene, outcome),
        *_quotas(scene, outcome),
        *_caches(scene),
    ]


def _workers(scene: Scene) -> Iterator[Variant]:
    for count in sorted({scene.workers + 1, scene.workers * 2}):
        yield Variant(
            what=f"{count} workers",
            how=f"--workers {count}",
            scene=replace(scene, workers=count),
        )


def _places(scene: Scene, outcome: Outcome) -> Iterator[Variant]:
    """Twice the requests in flight, where they are what binds."""
    for group in outcome.groups:
        if not any(p.what == "places" for p in group.phases):
            continue
        for model in (m for m in scene.config.models if m.name in group.models):
            twice = model.max_in_flight * 2
            changed = _with_model(scene.config, replace(model, max_in_flight=twice))
            yield Variant(
                what=f"{model.name}: {twice} in flight",
                how=f"models.{model.name}.max_in_flight={twice}",
                scene=replace(scene, config=changed),
            )


def _quotas(scene: Scene, outcome: Outcome) -> Iterator[Variant]:
    ends = {m.model: m.ends_s for m in outcome.models}
    slowest = sorted(outcome.groups, key=lambda g: -max(ends[m] for m in g.models))
    limited = [g for g in slowest if g.buckets][:MOST_GROUPS]
    for place, group in enumerate(limited):
        server = scene.groups[group.group]
        if place == 0 and len(group.buckets) > 1:
            for bucket in (b for b in group.buckets if b.utilisation >= NEAR):
                key = KEYS[bucket.meter]
                doubled = replace(server, **{key: bucket.limit * 2})
                name = bucket.meter.value.replace("_", " ")
                yield _quota(scene, group, doubled, f"twice the {name}")
        ids = [m.model for m in scene.config.models if m.name in group.models]
        tier = (
            next_tier(ids[0], rpm=server.rpm, itpm=server.itpm, otpm=server.otpm) if ids else None
        )
        if tier is not None:
            more = replace(server, rpm=tier.rpm, itpm=tier.itpm, otpm=tier.otpm)
            yield _quota(scene, group, more, f"the limits of tier {tier.name}")
        else:
            limits = {KEYS[b.meter]: b.limit * 2 for b in group.buckets}
            yield _quota(scene, group, replace(server, **limits), "the whole quota twice")


def _quota(scene: Scene, group: GroupOutcome, server: GroupConfig, what: str) -> Variant:
    config = scene.config
    shared = [g for g in config.quotas if g.name == group.group]
    limits = {key: getattr(server, key) for key in KEYS.values()}
    if shared:
        changed = replace(
            config,
            quotas=[
                replace(g, **_given(limits, g)) if g.name == group.group else g
                for g in config.quotas
            ],
        )
    else:
        changed = config
        for model in (*config.models, *config.actors):
            if model.name in group.models and model.quota is not None:
                quota = replace(model.quota, **_given(limits, model.quota))
                changed = _with_model(changed, replace(model, quota=quota))
    return Variant(
        what=f"{group.group}: {what}",
        how="",
        scene=replace(scene, config=changed, groups={**scene.groups, group.group: server}),
    )


def _given(limits: dict[str, float | None], quota: object) -> dict[str, float | None]:
    """Return the new limits of those that a configuration gives; `auto` learns the others."""
    return {k: v for k, v in limits.items() if getattr(quota, k) is not None}


def _caches(scene: Scene) -> Iterator[Variant]:
    """Other modes, where there is a prefix that could be cached."""
    worth = [
        m
        for m in scene.config.models
        if any(
            caches(replace(m, cache="5m"), scene.shape(c.number).shared_characters)
            for c in scene.plan.of_model(m.name)
        )
    ]
    if not worth:
        return
    now = {"5m" if m.cache == "auto" else m.cache for m in worth}
    for mode in ("off", "5m", "1h"):
        if now == {mode}:
            continue
        changed = scene.config
        for m in worth:
            changed = _with_model(changed, replace(m, cache=mode))
        how = f"models.{worth[0].name}.cache={mode}" if len(worth) == 1 else f"cache: {mode}"
        yield Variant(what=f"cache {mode}", how=how, scene=replace(scene, config=changed))


def _with_model(config: SweepConfig, model: ModelConfig) -> SweepConfig:
    def put(models: list[ModelConfig]) -> list[ModelConfig]:
        return [model if m.name == model.name else m for m in models]

    return replace(config, models=put(config.models), actors=put(config.actors))
