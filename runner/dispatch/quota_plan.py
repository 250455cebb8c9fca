"""Who draws on what: the quota groups of a sweep and its models' places in them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from runner.config.quotas import QuotaUse, groups_of, limits_rate
from runner.config.schema import ModelConfig, SweepConfig, called
from runner.execute.purse import Purse
from runner.limits.quota import GroupQuota
from runner.providers.capabilities import capabilities_of, group_quota


@dataclass(frozen=True, slots=True, kw_only=True)
class QuotaPlan:
    """Who draws on what; the same for coordinator, workers and rehearsals."""

    groups: dict[str, GroupQuota]
    uses: dict[str, QuotaUse]
    """By model."""
    own: dict[str, GroupQuota]
    """Limits that a model has for itself inside its group."""
    paced: frozenset[str]
    """Models that wait for permits."""

    cache_reads_count: frozenset[str]
    """Models whose cache reads count as input."""
    sized: frozenset[str] = frozenset()
    """Models whose input tokens are limited, or may turn out to be."""

    def joined(self, other: QuotaPlan, models: frozenset[str]) -> QuotaPlan:
        """Return this plan with some models of another; its own groups stay as they are."""
        uses = {name: other.uses[name] for name in models}
        groups = {use.group: other.groups[use.group] for use in uses.values()}
        return QuotaPlan(
            groups=groups | self.groups,
            uses=self.uses | uses,
            own=self.own | {name: own for name, own in other.own.items() if name in models},
            paced=self.paced | (other.paced & models),
            cache_reads_count=self.cache_reads_count | (other.cache_reads_count & models),
            sized=self.sized | (other.sized & models),
        )

    def purses(self, models: Mapping[str, ModelConfig]) -> dict[str, Purse]:
        """Return new purses, a worker's, for the paced models."""
        return {
            name: Purse(
                model=name,
                max_tokens=model.max_tokens,
                charging=self.groups[self.uses[name].group].charging,
                cache_reads_count=name in self.cache_reads_count,
                sized=name in self.sized,
            )
            for name, model in models.items()
            if name in self.paced
        }


def quota_plan(config: SweepConfig) -> QuotaPlan:
    """Return who draws on what."""
    found, uses = groups_of(config)
    providers = {uses[m.name].group: m.provider for m in reversed(called(config))}
    own = {
        model.name: group_quota(use, model.provider)
        for model in called(config)
        if (use := uses[model.name].own) is not None
    }
    return QuotaPlan(
        groups={name: group_quota(quota, providers[name]) for name, quota in found.items()},
        uses=uses,
        own=own,
        paced=frozenset(
            model.name
            for model in called(config)
            if model.name in own or limits_rate(found[uses[model.name].group])
        ),
        sized=frozenset(
            model.name
            for model in called(config)
            if (own.get(model.name) or GroupQuota()).itpm
            or found[uses[model.name].group].itpm
            or found[uses[model.name].group].auto
        ),
        cache_reads_count=frozenset(
            model.name
            for model in called(config)
            if capabilities_of(found[uses[model.name].group], model.provider).cache_reads_count
        ),
    )
