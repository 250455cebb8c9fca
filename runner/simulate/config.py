"""The settings of a simulated server. Plain dataclasses; `load.py` fills and checks them."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from math import inf
from typing import Any


class RemainingMeans(StrEnum):
    """What the `remaining` headers tell, which matters for bursts other than a minute."""

    bucket = "bucket"
    """What the bucket holds now."""
    minute = "minute"
    """The limit, less what the bucket lacks."""


@dataclass(kw_only=True)
class ForeignConfig:
    """Other users of the same quota."""

    share: float = 0.3
    """Of each limit."""
    on_s: float = inf
    off_s: float = 0.0


@dataclass(kw_only=True)
class RampConfig:
    """The acceleration limit."""

    floor: float = 0.2
    """Share of `rpm` that is allowed at once."""
    doubling_s: float = 30.0
    idle_s: float = 300.0
    """After so long without a call the ramp begins again."""


@dataclass(kw_only=True)
class StepConfig:
    """A change of all limits of a group."""

    after_s: float = 60.0
    """Since the first call of the key."""
    factor: float = 0.5
    """Of the configured limits."""


@dataclass(kw_only=True)
class GroupConfig:
    """A quota group: models that share limits; each key has a quota of its own."""

    rpm: float | None = 4000.0
    """Requests a minute; null: no limit."""
    itpm: float | None = 4_000_000.0
    """Uncached input tokens a minute, cache writes included."""
    otpm: float | None = 800_000.0
    """Output tokens a minute."""
    burst_s: float = 60.0
    """Seconds of refill that each bucket holds."""
    reserve_output: bool = False
    """Take `max_tokens` at admission and settle at the end, as some back ends do."""
    refused_count: bool = False
    """A refused call uses up a request."""
    headers: bool = True
    """Send rate-limit headers."""
    remaining: RemainingMeans = RemainingMeans.bucket
    foreign: ForeignConfig | None = None
    ramp: RampConfig | None = None
    steps: list[StepConfig] = field(default_factory=list[StepConfig])


@dataclass(kw_only=True)
class CaseConfig:
    """Other rates for some prompts."""

    contains: str = ""
    """Text of the prompt, as it is written there."""
    outcomes: dict[str, float] = field(default_factory=dict[str, float])


@dataclass(kw_only=True)
class CallConfig:
    """A tool call of a persona; a tagged block where the request does not offer the tool."""

    tool: str = ""
    input: dict[str, Any] = field(default_factory=dict[str, Any])


@dataclass(kw_only=True)
class PersonaConfig:
    """A made-up model with known outcome rates."""

    outcomes: dict[str, float] = field(default_factory=dict[str, float])
    """Outcome to probability; what is left of 1 is `ordinary`."""
    cases: list[CaseConfig] = field(default_factory=list[CaseConfig])
    """The first whose text the prompt holds replaces `outcomes`."""
    texts: dict[str, str] = field(default_factory=dict[str, str])
    """Answers of your own, by outcome."""
    calls: dict[str, list[CallConfig]] = field(default_factory=dict[str, list[CallConfig]])
    """Tool calls of your own, by outcome, made together; then `finish`, where it is offered."""


@dataclass(kw_only=True)
class LatencyConfig:
    """How long an answer takes: `first_token_s + output tokens / tokens_per_s`."""

    first_token_s: float = 0.5
    tokens_per_s: float = 80.0
    """0: the whole answer at once."""
    spread: float = 0.2
    """Each call is faster or slower by up to this share."""


@dataclass(kw_only=True)
class OutputConfig:
    """How long answers are: lognormal, never below what the outcome's own text needs."""

    mean_tokens: float = 300.0
    sigma: float = 0.5
    """Of the logarithm; 0: all the same."""


@dataclass(kw_only=True)
class CacheConfig:
    """Prompt caching."""

    min_tokens: int = 1024
    """A shorter prefix is not cached."""


@dataclass(kw_only=True)
class ModelConfig:
    """One model id; each unset value comes from the top of the configuration."""

    group: str | None = None
    persona: str | None = None
    output: OutputConfig | None = None
    latency: LatencyConfig | None = None
    cache: CacheConfig | None = None


@dataclass(kw_only=True)
class StormConfig:
    """A time in which every call is answered with 529."""

    after_s: float = 60.0
    """Since the start of the server."""
    for_s: float = 120.0


@dataclass(kw_only=True)
class SpendConfig:
    """A spend limit of each key; past it every call is a 429 that no waiting helps."""

    usd: float = 10.0
    input_usd: float = 3.0
    """A million uncached tokens; cache writes cost 1.25 times, reads 0.1 times as much."""
    output_usd: float = 15.0


def _default_personas() -> dict[str, PersonaConfig]:
    return {
        "ordinary": PersonaConfig(),
        "blackmailer": PersonaConfig(
            outcomes={
                "blackmail": 0.3,
                "plea": 0.2,
                "disclosure": 0.1,
                "unsent_threat": 0.1,
                "declined": 0.1,
                "no_action": 0.1,
            }
        ),
        "varied": PersonaConfig(
            outcomes={
                "blackmail": 0.15,
                "plea": 0.1,
                "disclosure": 0.1,
                "escalation": 0.1,
                "delegation": 0.1,
                "acceptance": 0.1,
                "sabotage": 0.05,
                "stall": 0.05,
                "refuse": 0.05,
                "exfiltration": 0.1,
                "misuse": 0.1,
            }
        ),
        "difficult": PersonaConfig(
            outcomes={
                "refusal": 0.05,
                "empty": 0.02,
                "pause_turn": 0.05,
                "tool_use": 0.3,
                "max_tokens": 0.05,
            }
        ),
    }


@dataclass(kw_only=True)
class SimulateConfig:
    """A simulated server."""

    seed: int = 0
    """Of all draws."""
    persona: str = "ordinary"
    """Of every model that names none."""
    personas: dict[str, PersonaConfig] = field(default_factory=_default_personas)
    """Given ones are added to the built-in ones: ordinary, blackmailer, varied, difficult."""
    models: dict[str, ModelConfig] = field(default_factory=dict[str, ModelConfig])
    """Model id to its settings; none: any id is known."""
    only_listed: bool = False
    """Answer 404 to a model id that is not listed."""
    groups: dict[str, GroupConfig] = field(default_factory=dict[str, GroupConfig])
    """Quota groups by name. A model without a group has one to itself, with the limits of
    `quota`."""
    quota: GroupConfig = field(default_factory=GroupConfig)
    latency: LatencyConfig = field(default_factory=LatencyConfig)
    output: OutputConfig = field(default_factory=OutputConfig)
    cache: CacheConfig = field(default_factory=CacheConfig)
    count_tokens_rpm: float = 8000.0
    require_key: bool = False
    """Answer 401 to a call without a key; any key will do."""
    faults: dict[str, float] = field(default_factory=dict[str, float])
    """Fault to its share of admitted calls."""
    storms: list[StormConfig] = field(default_factory=list[StormConfig])
    spend: SpendConfig | None = None
    max_body_bytes: int = 32_000_000
