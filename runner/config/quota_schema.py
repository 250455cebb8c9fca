"""Quotas as the configuration has them; units beside each key. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(kw_only=True)
class RampConfig:
    """How fast a cold or recovering quota group speeds up."""

    start: float = 0.5
    """Share of the known rate at the start."""
    double_s: float = 5.0
    """Seconds in which the rate may double."""


@dataclass(kw_only=True)
class QuotaConfig:
    """Limits by the minute for the whole cluster; None: that one does not limit."""

    rpm: float | None = None
    """Requests a minute."""
    itpm: float | None = None
    """Uncached input tokens a minute (cache writes count, reads do not)."""
    otpm: float | None = None
    """Output tokens a minute."""
    safety: float = 0.99
    """Share of each limit that is aimed at."""
    judges: float | None = None
    """Share of it that the sweep leaves to judges that grade it while it runs, from any host; between
    0 and 1. None: such judges draw on it inside the sweep, on its driver's host."""
    ramp: RampConfig = field(default_factory=RampConfig)
    auto: bool = False
    """Learn limits from response headers; where none come, find the requests a minute by trial."""
    cache_reads_count: bool | None = None
    """Whether reads of a prompt cache count as input; None: as the provider has it."""
    max_tokens_reserved: bool | None = None
    """Whether max_tokens counts as output from the start; None: as the provider has it."""


@dataclass(kw_only=True)
class QuotaGroupConfig(QuotaConfig):
    """A quota that models share by name (`models.<name>.quota: <name of the group>`)."""

    name: str = ""


@dataclass(kw_only=True)
class ModelQuotaConfig(QuotaConfig):
    """The quota of one model: limits of its own, a place in a group, or both.

    In a configuration also in short: `quota: auto`, `quota: none`, `quota: <name of a group>`.
    """

    group: str | None = None
