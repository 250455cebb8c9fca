"""How the servers behind each kind of provider count, where they differ. Pure.

What a configuration says of a quota (`cache_reads_count`, `max_tokens_reserved`) comes first: the
same wire is spoken by servers of other habits (Bedrock reserves `max_tokens`, for instance).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from runner.config.quota_schema import QuotaConfig
from runner.config.schema import ProviderKind
from runner.limits.quota import Charging, GroupQuota, Ramp


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """Habits of a kind of server."""

    cache_reads_count: bool
    """Reads of a prompt cache count as input tokens."""
    max_tokens_reserved: bool
    """`max_tokens` counts as output from the start and is settled at the end."""


CAPABILITIES: Mapping[ProviderKind, Capabilities] = MappingProxyType(
    {
        ProviderKind.anthropic: Capabilities(cache_reads_count=False, max_tokens_reserved=False),
        ProviderKind.openai: Capabilities(cache_reads_count=True, max_tokens_reserved=True),
        ProviderKind.local: Capabilities(cache_reads_count=True, max_tokens_reserved=False),
    }
)


def capabilities_of(quota: QuotaConfig, provider: ProviderKind) -> Capabilities:
    """Return how the requests of a model are counted."""
    known = CAPABILITIES[provider]
    reads, reserved = quota.cache_reads_count, quota.max_tokens_reserved
    return Capabilities(
        cache_reads_count=known.cache_reads_count if reads is None else reads,
        max_tokens_reserved=known.max_tokens_reserved if reserved is None else reserved,
    )


def group_quota(quota: QuotaConfig, provider: ProviderKind) -> GroupQuota:
    """Return what the authority needs of a configured quota.

    Args:
        quota: of a group, or of a model inside one.
        provider: of the group's models.
    """
    reserved = capabilities_of(quota, provider).max_tokens_reserved
    return GroupQuota(
        rpm=quota.rpm,
        itpm=quota.itpm,
        otpm=quota.otpm,
        safety=quota.safety,
        auto=quota.auto,
        charging=Charging.RESERVED if reserved else Charging.PRODUCED,
        ramp=Ramp(start=quota.ramp.start, double_s=quota.ramp.double_s),
    )
