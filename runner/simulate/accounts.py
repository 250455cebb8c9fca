"""What a simulated server keeps per key: quotas, caches, money; and which settings a model has. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

from runner.simulate.buckets import Bucket
from runner.simulate.cache import PromptCache
from runner.simulate.config import GroupConfig, ModelConfig, SimulateConfig
from runner.simulate.limits import Quota


@dataclass(slots=True, kw_only=True)
class Account:
    """One key."""

    counting: Bucket
    """Calls of `count_tokens` have a limit of their own."""
    quotas: dict[str, Quota] = field(default_factory=dict[str, Quota])
    """By quota group; a model without one has a group of its own name."""
    caches: dict[str, PromptCache] = field(default_factory=dict[str, PromptCache])
    """By model id."""
    spent_usd: float = 0.0


class Accounts:
    """All keys that were used so far; each begins with full buckets."""

    def __init__(self, config: SimulateConfig) -> None:
        """Start without any."""
        self._config = config
        self._plain_model = ModelConfig()
        self._by_key: dict[str, Account] = {}

    def knows(self, model: str) -> bool:
        """Tell whether a model id is served."""
        return not self._config.only_listed or model in self._config.models

    def model(self, model: str) -> ModelConfig:
        """Return a model's own settings."""
        return self._config.models.get(model, self._plain_model)

    def group(self, model: str) -> GroupConfig:
        """Return the limits that a model is under."""
        group = self.model(model).group
        return self._config.quota if group is None else self._config.groups[group]

    def of(self, key: str, now: float) -> Account:
        """Return a key's account."""
        found = self._by_key.get(key)
        if found is None:
            counting = Bucket(self._config.count_tokens_rpm, 60.0, now)
            found = self._by_key[key] = Account(counting=counting)
        return found

    def quota(self, account: Account, model: str, now: float) -> Quota:
        """Return the quota that a key's calls of a model draw on."""
        name = self.model(model).group or model
        found = account.quotas.get(name)
        if found is None:
            found = account.quotas[name] = Quota(self.group(model), now)
        return found

    def cache(self, account: Account, model: str) -> PromptCache:
        """Return a key's prompt cache for a model."""
        found = account.caches.get(model)
        if found is None:
            settings = self.model(model).cache or self._config.cache
            found = account.caches[model] = PromptCache(settings.min_tokens)
        return found

    def spent_usd(self) -> float:
        """Return what all keys have spent."""
        return sum(a.spent_usd for a in self._by_key.values())

    def levels(self, now: float) -> list[dict[str, object]]:
        """Return the state of every quota; keys are numbered in order of arrival, not named."""
        return [
            {"key": number, "group": group, **_levels(quota, now)}
            for number, account in enumerate(self._by_key.values(), 1)
            for group, quota in account.quotas.items()
        ]


def _levels(quota: Quota, now: float) -> dict[str, object]:
    quota.gauges(now)  # brings the limits up to now
    buckets = {"requests": quota.requests, "input": quota.input, "output": quota.output}
    return {
        name: {
            "limit": bucket.limit,
            "level": bucket.gauge(now).level,
            "used": bucket.own_use,
            "foreign_wanted": bucket.foreign_use.wanted,
            "foreign_taken": bucket.foreign_use.taken,
        }
        for name, bucket in buckets.items()
        if bucket is not None
    }
