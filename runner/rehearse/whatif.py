"""What another worker, a larger quota or another cache setting would change: scenes to rehearse. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from runner.config.quota_schema import QuotaConfig
from runner.config.quotas import groups_of
from runner.config.schema import ModelConfig, SweepConfig
from runner.limits.quota import Meter
from runner.providers.caching import caches
from runner.rehearse.outcome import GroupOutcome, Outcome
from runner.rehearse.scene import Scene
from runner.rehearse.tiers import Tier, next_tier
from runner.simulate.config import GroupConfig

KEYS = {Meter.REQUESTS: "rpm", Meter.INPUT: "itpm", Meter.OUTPUT: "otpm"}
NEAR = 0.5
"""Used share of a limit from which it may come to bind."""
LATE = 0.9
"""Share of the duration from which on a group's end may decide it."""


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
    """Twice the requests in flight, for all models that they bind."""
    bound = [m for g in outcome.groups if g.binds == "places" for m in g.models]
    models = [m for m in scene.config.models if m.name in bound]
    changed = scene.config
    for model in models:
        changed = _with_model(changed, replace(model, max_in_flight=model.max_in_flight * 2))
    if models:
        yield Variant(
            what=f"{_names(models)}: twice max_in_flight",
            how=" ".join(f"models.{m.name}.max_in_flight={m.max_in_flight * 2}" for m in models),
            scene=replace(scene, config=changed),
        )


def _quotas(scene: Scene, outcome: Outcome) -> Iterator[Variant]:
    """Twice each limit that is near, then all of the quota: for all groups that end late at once."""
    ends = {m.model: m.ends_s for m in outcome.models if m.jobs}
    late = [
        g
        for g in outcome.groups
        if g.buckets and max(ends.get(m, 0.0) for m in g.models) >= LATE * outcome.duration_s
    ]
    if not late:
        return
    named = ", ".join(g.group for g in late)
    used = {b.meter for g in late for b in g.buckets if b.utilisation >= NEAR}
    for meter in (m for m in Meter if m in used and any(len(g.buckets) > 1 for g in late)):
        servers = {g.group: _twice(scene, g, meter) for g in late}
        word = meter.value.replace("_", " ")
        yield _quota(scene, servers, f"{named}: twice the {word}")
    tiers = {g.group: _tier(scene, g) for g in late}
    names = {t.name for t in tiers.values() if t is not None}
    if len(names) == 1 and None not in tiers.values():
        what = f"{named}: the limits of tier {names.pop()}"
    else:
        what = f"{named}: the whole quota twice"
        tiers = dict.fromkeys(tiers)
    yield _quota(scene, {g.group: _more(scene, g, tiers[g.group]) for g in late}, what)


def _twice(scene: Scene, group: GroupOutcome, meter: Meter) -> GroupConfig:
    limits = {KEYS[b.meter]: b.limit * 2 for b in group.buckets if b.meter is meter}
    return replace(scene.groups[group.group], **limits)


def _tier(scene: Scene, group: GroupOutcome) -> Tier | None:
    server = scene.groups[group.group]
    ids = [m.model for m in scene.config.models if m.name in group.models]
    return next_tier(ids[0], rpm=server.rpm, itpm=server.itpm, otpm=server.otpm) if ids else None


def _more(scene: Scene, group: GroupOutcome, tier: Tier | None) -> GroupConfig:
    server = scene.groups[group.group]
    if tier is not None:
        return replace(server, rpm=tier.rpm, itpm=tier.itpm, otpm=tier.otpm)
    return replace(server, **{KEYS[b.meter]: b.limit * 2 for b in group.buckets})


def _quota(scene: Scene, servers: dict[str, GroupConfig], what: str) -> Variant:
    """Change limits where they are configured, and at the servers."""
    config = scene.config
    changed = replace(
        config,
        quotas=[
            replace(g, **_given(servers[g.name], g)) if g.name in servers else g
            for g in config.quotas
        ],
    )
    shared = {g.name for g in config.quotas}
    groups = groups_of(config)[1]
    for model in (*config.models, *config.actors):
        group = groups[model.name].group
        if group in servers and group not in shared and model.quota is not None:
            quota = replace(model.quota, **_given(servers[group], model.quota))
            changed = _with_model(changed, replace(model, quota=quota))
    held = {**scene.groups, **servers}
    return Variant(what=what, how="", scene=replace(scene, config=changed, groups=held))


def _given(server: GroupConfig, quota: QuotaConfig) -> dict[str, float | None]:
    """Return the new limits of those that a configuration gives; `auto` learns the others."""
    return {k: getattr(server, k) for k in KEYS.values() if getattr(quota, k) is not None}


def _names(models: Sequence[ModelConfig]) -> str:
    return ", ".join(m.name for m in models)


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
        how = " ".join(f"models.{m.name}.cache={mode}" for m in worth)
        yield Variant(what=f"cache {mode}", how=how, scene=replace(scene, config=changed))


def _with_model(config: SweepConfig, model: ModelConfig) -> SweepConfig:
    def put(models: list[ModelConfig]) -> list[ModelConfig]:
        return [model if m.name == model.name else m for m in models]

    return replace(config, models=put(config.models), actors=put(config.actors))
