"""Which quota a judge draws on, and under whose authority.

Of a sweep that somebody holds a judge draws *inside* it: its calls get their permits and places from that
sweep's own coordinator (`dispatch/guests.py`), so there is one authority and any number of judges. A judge
on the endpoint and model id of one of the sweep's models is that model to it: same limits, same places,
same breaker. That needs the sweep's driver on this host. From elsewhere a judge draws *beside* the sweep,
on the share that the configuration leaves to judges (`quotas.<group>.judges`), which the sweep never
touches; a share that is declared is used from everywhere. Without one such a judge is refused. Once nobody
holds the sweep, a judge draws *alone*, on all of it. Beside and alone are paces of its own, so a second
`runner grade` whose judge would draw on the same waits for the first (`wait_for_others`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace

from runner.config.quota_schema import ModelQuotaConfig, QuotaConfig, QuotaGroupConfig
from runner.config.quotas import limits_rate, of_share
from runner.config.resolved import load_resolved
from runner.config.schema import ModelConfig, SweepConfig, called
from runner.core.clock import SystemClock
from runner.core.errors import ConfigError
from runner.core.process import LinuxProcesses
from runner.core.seams import KeyMissingError
from runner.pipeline.shared_budget import JUDGING
from runner.record.holder import Found, Standing, who_holds
from runner.record.layout import CONFIGURATION
from runner.record.manifest import load_state
from runner.record.place import Place, open_store


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """What a judge's calls draw on."""

    model: ModelConfig
    """The judge's, with its quota."""
    quotas: tuple[QuotaGroupConfig, ...] = ()
    """Groups of the judged sweep that it names."""
    known_as: str = ""
    """Inside: the model by the judged sweep's name; empty: it paces itself."""


def inside(model: ModelConfig, judged: SweepConfig) -> Drawing:
    """Return how a judge draws under the authority of the sweep that it judges.

    Raises:
        ConfigError: no such group.
    """
    own = model.quota or ModelQuotaConfig()
    group = _group(model, judged)
    twin = _twin(model, judged)
    if twin is not None and own.group in {None, (twin.quota or own).group}:
        model = replace(model, quota=twin.quota)
        return Drawing(model=model, quotas=tuple(judged.quotas), known_as=twin.name)
    quotas = () if group is None else tuple(judged.quotas)
    return Drawing(model=model, quotas=quotas, known_as=f"{model.name} (judge)")


def declared_share(model: ModelConfig, judged: SweepConfig) -> float | None:
    """Return the share that the judged sweep leaves to judges on this quota, None: none."""
    found = _shared(model, judged)
    return None if found is None else found[0].judges


def shares_limit(model: ModelConfig, judged: SweepConfig) -> bool:
    """Return whether the judged sweep and a judge draw on one limit."""
    return _shared(model, judged) is not None


def by_itself(model: ModelConfig, judged: SweepConfig, *, live: bool) -> Drawing:
    """Return how a judge draws at a pace of its own.

    Args:
        model: that judges.
        judged: the configuration of the judged sweep.
        live: somebody holds the judged sweep, or may: beside it; else alone.

    Raises:
        ConfigError: no such group; or a quota of the live sweep of which judges have no share.
    """
    own = model.quota or ModelQuotaConfig()
    group = _group(model, judged)
    shared = _shared(model, judged)
    part = 1.0
    if live and shared is not None:
        quota, key = shared
        part = _share(model, quota, key)
    if group is not None:
        return Drawing(model=model, quotas=(of_share(group, part),))
    twin = _twin(model, judged)
    if twin is not None and not limits_rate(own):  # the server's limits are what they are
        own = twin.quota or own
    if own.group is not None:
        (group,) = (g for g in judged.quotas if g.name == own.group)
        return Drawing(model=replace(model, quota=own), quotas=(of_share(group, part),))
    return Drawing(model=replace(model, quota=of_share(own, part)))


async def wait_for_others(
    directory: Place, drawing: Drawing, *, but: str, say: Callable[[str], None]
) -> None:
    """Wait until no other process judges this sweep on the same quota at a pace of its own.

    Args:
        directory: of the judged sweep.
        drawing: of the judge that is to begin.
        but: the folder name of its own sweep.
        say: told for whom it waits.

    Raises:
        RecordError: a judge's sweep is damaged.
        StorageError: it cannot be read.
    """
    folder = Place(f"{directory.absolute()}/{JUDGING}")
    try:
        names = await folder.names()
    except OSError:
        return  # none has ever judged
    for name in names:
        told = name == but
        while name != but and (other := await _who_draws(folder, name, drawing)) is not None:
            if not told:
                told = True
                say(f"waits: judge {name.rpartition('@')[0]} is run by {other}, on the same quota")
            await asyncio.sleep(1.0)


async def _who_draws(folder: Place, name: str, drawing: Drawing) -> Found | None:
    """Return who runs a judge that draws on the same, None where nobody does."""
    store = open_store(f"{folder.absolute()}/{name}")
    state = await load_state(store)
    if state.is_free:
        return None
    try:
        text = (await store.get(CONFIGURATION)).decode()
    except KeyMissingError:
        return None
    other = load_resolved(text, f"{JUDGING}/{name}/{CONFIGURATION}")
    if not _same_quota(other.models[0], drawing.model):
        return None
    found = await who_holds(
        store, LinuxProcesses(), SystemClock(), state, take_over_s=other.engine.take_over_s
    )
    return None if found.standing in {Standing.FREE, Standing.DEAD} else found


def _same_quota(one: ModelConfig, other: ModelConfig) -> bool:
    a, b = one.quota or ModelQuotaConfig(), other.quota or ModelQuotaConfig()
    if a.group is not None or b.group is not None:
        return a.group == b.group
    return _same_endpoint(one, other) and limits_rate(a) and limits_rate(b)


def _group(model: ModelConfig, judged: SweepConfig) -> QuotaGroupConfig | None:
    """Return the group of the judged sweep that a judge names, None where it names none."""
    name = model.quota.group if model.quota is not None else None
    if name is None:
        return None
    group = next((g for g in judged.quotas if g.name == name), None)
    if group is None:
        names = ", ".join(g.name for g in judged.quotas) or "none"
        msg = (
            f"judges.{model.name}.quota.group: the judged sweep has no quota {name!r} (it has: "
            f"{names}). Name one of them, or give the judge limits of its own."
        )
        raise ConfigError(msg)
    return group


def _twin(model: ModelConfig, judged: SweepConfig) -> ModelConfig | None:
    return next((m for m in called(judged) if _same_endpoint(m, model)), None)


def _shared(model: ModelConfig, judged: SweepConfig) -> tuple[QuotaConfig, str] | None:
    """Return the quota that both draw on, and its key; None where there is no such limit."""
    group = _group(model, judged)
    if group is not None:
        drawn = any(m.quota is not None and m.quota.group == group.name for m in called(judged))
        return (group, f"quotas.{group.name}") if drawn else None
    twin = _twin(model, judged)
    if twin is None:
        return None
    theirs = twin.quota or ModelQuotaConfig()
    if theirs.group is not None:
        group = next(g for g in judged.quotas if g.name == theirs.group)
        return group, f"quotas.{group.name}"
    return (theirs, f"models.{twin.name}.quota") if limits_rate(theirs) else None


def _same_endpoint(one: ModelConfig, other: ModelConfig) -> bool:
    return (one.provider, one.base_url, one.model, one.api_key_env) == (
        other.provider, other.base_url, other.model, other.api_key_env,
    )  # fmt: skip


def _share(model: ModelConfig, quota: QuotaConfig, key: str) -> float:
    if quota.judges is None:
        msg = (
            f"judge {model.name}: it draws on the same quota as the sweep that is running, and that is driven "
            "from another host, container, user or version of runner: judges can join it only where its "
            f"driver runs. Grade there, leave judges a share of the quota ({key}.judges: 0.2, in the "
            "sweep's configuration), or grade when it has ended."
        )
        raise ConfigError(msg)
    return quota.judges
