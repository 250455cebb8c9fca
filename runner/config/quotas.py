"""Which quota each model draws on: short forms, checks and the groups that result. Pure.

`quota: auto`, `quota: none` and `quota: <group>` are short for `{auto: true}`, `{}` and
`{group: <group>}`. A model with limits and no group is a group of its own, under its name.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeVar

from runner.config.quota_schema import ModelQuotaConfig, QuotaConfig, QuotaGroupConfig
from runner.config.schema import ModelConfig, ProviderKind, SweepConfig, called
from runner.config.source import Judge, nearest
from runner.config.yaml_tree import Node

IN_FLIGHT_WITH_QUOTA = 4096
"""Default of `max_in_flight` where a quota holds the rate: a bound for memory only."""
RESERVED_NAMES = frozenset({"auto", "none"})


@dataclass(frozen=True, slots=True, kw_only=True)
class QuotaUse:
    """What one model draws on."""

    group: str
    own: QuotaConfig | None = None
    """Limits that the model has for itself inside a shared group."""


def expand_short_forms(tree: Node) -> Node:
    """Return the tree with every `quota: <word>` of a model written out."""
    entries = dict(tree.entries)
    for name in ("models", "actors", "judges"):
        models = entries.get(name)
        if models is not None and models.items:
            entries[name] = Node([with_quota_expanded(m) for m in models.items], models.where)
    return Node(entries, tree.where)


def with_quota_expanded(model: Node) -> Node:
    """Return a model, or the defaults of models, with its quota written out."""
    quota = model.entries.get("quota")
    if quota is None:
        return model
    return Node({**model.entries, "quota": _written_out(quota)}, model.where)


def _written_out(quota: Node) -> Node:
    word = quota.value
    if not isinstance(word, str):
        return quota
    if word == "auto":
        return Node({"auto": Node(value=True, where=quota.where)}, quota.where)
    if word == "none":
        return Node({}, quota.where)
    return Node({"group": Node(word, quota.where)}, quota.where)


def groups_of(config: SweepConfig) -> tuple[dict[str, QuotaConfig], dict[str, QuotaUse]]:
    """Return (group name to its quota, model name to what it draws on).

    Every model draws on a group; one without any limit only has a breaker. What is left to judges
    is taken off (`of_share`).
    """
    shared = {group.name: group for group in config.quotas}
    groups: dict[str, QuotaConfig] = {}
    uses: dict[str, QuotaUse] = {}
    for model in called(config):
        quota = model.quota or ModelQuotaConfig()
        if quota.group is not None and quota.group in shared:
            group = shared[quota.group]
            groups[quota.group] = of_share(group, 1 - (group.judges or 0.0))
            own = quota if limits_rate(quota) else None
            uses[model.name] = QuotaUse(group=quota.group, own=own)
        else:
            # A group of that name is somebody else's: the model's own gets a mark.
            name = f"{model.name} (own)" if model.name in shared else model.name
            groups[name] = of_share(quota, 1 - (quota.judges or 0.0))
            uses[model.name] = QuotaUse(group=name)
    return groups, uses


Q = TypeVar("Q", bound=QuotaConfig)


def of_share(quota: Q, share: float) -> Q:
    """Return a quota of which only a share is aimed at: limits stay what they are."""
    return replace(quota, safety=quota.safety * share, judges=None)


def limits_rate(quota: QuotaConfig) -> bool:
    """Return whether a quota limits anything by rate, or will once it has learnt."""
    return quota.auto or not (quota.rpm is quota.itpm is quota.otpm is None)


def _paced(config: SweepConfig, model: ModelConfig) -> bool:
    """Return the same as `is_paced`, for judges too: a group always limits something."""
    if model in called(config):
        return is_paced(config, model)
    return model.quota is not None and (model.quota.group is not None or limits_rate(model.quota))


def is_paced(config: SweepConfig, model: ModelConfig) -> bool:
    """Return whether the model's requests wait for permits."""
    groups, uses = groups_of(config)
    use = uses[model.name]
    return limits_rate(groups[use.group]) or use.own is not None


def is_public(model: ModelConfig) -> bool:
    """Return whether a model is asked at its provider's public endpoint, not at a server of one's own."""
    return model.base_url is None and model.provider is not ProviderKind.local


def fill_in(config: SweepConfig, judge: Judge) -> None:
    """Fill in the defaults of quotas, and of what depends on them."""
    for key, model in [*_keyed(config), *_judges(config)]:
        if model.quota is None:
            model.quota = ModelQuotaConfig(auto=is_public(model))
        given = judge.given(f"{key}.max_in_flight")
        if not given and _paced(config, model):
            model.max_in_flight = IN_FLIGHT_WITH_QUOTA


def check_quotas(config: SweepConfig, judge: Judge) -> None:
    """Note what cannot be meant."""
    keyed = [*_keyed(config), *_judges(config)]
    used = {m.quota.group for _, m in keyed if m.quota is not None}
    for i, group in enumerate(config.quotas):
        _check_group(group, f"quotas.{group.name}" if group.name else f"quotas[{i}]", judge)
        if group.name and group.name not in used:
            judge.note(f"quotas.{group.name}", "no model uses it. Name it in a model's `quota`.")
    names = [group.name for group in config.quotas]
    for of_model, model in keyed:
        quota, key = model.quota, f"{of_model}.quota"
        if quota is None:
            continue
        if quota.group is not None and quota.group not in names:
            text = (
                f"there is no group {quota.group!r} under `quotas`. {nearest(quota.group, names)}"
            )
            judge.note(f"{key}.group", text.rstrip())
        if quota.group is not None and quota.auto:
            judge.note(f"{key}.auto", "belongs to the group. Write it to `quotas`.")
        _check_numbers(quota, key, judge)


def _keyed(config: SweepConfig) -> list[tuple[str, ModelConfig]]:
    """Return every model that is called, with its key in the configuration."""
    lists = (("models", config.models), ("actors", config.actors))
    return [(f"{name}.{model.name}", model) for name, models in lists for model in models]


def _judges(config: SweepConfig) -> list[tuple[str, ModelConfig]]:
    """Return the models that judge; a sweep does not call them itself."""
    return [(f"judges.{model.name}", model) for model in config.judges]


def _check_group(group: QuotaGroupConfig, key: str, judge: Judge) -> None:
    if not group.name:
        judge.note(f"{key}.name", "is missing. Give it one.")
    elif group.name in RESERVED_NAMES:
        text = f"{group.name!r} has a meaning of its own as a model's quota. Rename the group."
        judge.note(f"{key}.name", text)
    if not limits_rate(group):
        judge.note(key, "limits nothing. Give rpm, itpm or otpm, or `auto: true`.")
    _check_numbers(group, key, judge)


def _check_numbers(quota: QuotaConfig, key: str, judge: Judge) -> None:
    for name in ("rpm", "itpm", "otpm"):
        value = getattr(quota, name)
        if value is not None and not value > 0:
            judge.note(f"{key}.{name}", f"needs more than 0, not {value}.")
    if not 0 < quota.safety <= 1:
        judge.note(
            f"{key}.safety", f"is a share of the limit: above 0, at most 1, not {quota.safety}."
        )
    if quota.judges is not None and not 0 < quota.judges < 1:
        judge.note(f"{key}.judges", f"is a share: above 0, below 1, not {quota.judges}.")
    if not 0 < quota.ramp.start <= 1:
        judge.note(f"{key}.ramp.start", f"is a share: above 0, at most 1, not {quota.ramp.start}.")
    if not quota.ramp.double_s > 0:
        judge.note(f"{key}.ramp.double_s", f"needs more than 0, not {quota.ramp.double_s}.")
