"""What the types cannot say: names, ranges, and keys that make no sense together. Pure.

Axes, templates and conditions are judged by `runner.scenarios`, requests by `runner.providers`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields
from urllib.parse import urlsplit

from runner.config.quotas import check_quotas
from runner.config.schema import (
    CACHE_MODES,
    EngineConfig,
    GraderConfig,
    ModelConfig,
    ProviderKind,
    RetryConfig,
    ScenarioConfig,
    SweepConfig,
)
from runner.config.source import Judge, nearest
from runner.config.streaming import PLAIN_AT_MOST, S_PER_TOKEN, streams
from runner.core.identity import canonical_json

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+@-]{0,99}")
_NAME_RULE = (
    "is not usable as the name of a file. Use up to 100 letters, digits and . _ + @ -, "
    "beginning with a letter or digit."
)
MOST_TURNS = 50
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_MAY_BE_ZERO = frozenset(
    {
        "grace_s",
        "wait_initial_s",
        "rate_limit_wait_s",
        "overload_wait_s",
        "infrastructure_wait_s",
        "take_over_s",
        *("input", "output", "cache_read", "cache_write", "cache_write_1h", "jobs", "share"),
    }
)
_ENDPOINTS = {
    ProviderKind.anthropic: ("/v1", "/v1/messages", "/messages"),
    ProviderKind.openai: ("/chat/completions", "/completions"),
}


def check(config: SweepConfig, judge: Judge) -> None:
    """Note everything in a typed configuration that cannot be meant.

    Args:
        config: as typed, before defaults are filled in.
        judge: where problems go, and what the user wrote.
    """
    _check_name(config.name, "name", judge)
    if config.output is not None and not config.output.strip():
        judge.note("output", "is empty. Name a directory, or leave the key out for outputs/<name>.")
    if config.seed_block < 1:
        judge.note("seed_block", "needs at least 1.")
    if not config.scenarios:
        judge.note(
            "scenarios", "there is none. List at least one, or a `path:` to a file with one."
        )
    if not config.models:
        judge.note("models", "there is none. List at least one.")
    for i, scenario in enumerate(config.scenarios):
        _check_scenario(scenario, _key("scenarios", scenario.name, i), judge)
    for i, model in enumerate(config.models):
        _check_model(model, _key("models", model.name, i), judge)
    check_graders(config, judge)
    check_quotas(config, judge)
    _check_money(config, judge)
    _check_ages(config, judge)
    for i, model in enumerate(config.actors):
        _check_model(model, _key("actors", model.name, i), judge)
    _check_positive(config.retry, "retry", judge)
    _check_positive(config.engine, "engine", judge)
    _check_bounds(config.retry, config.engine, judge)


def check_graders(config: SweepConfig, judge: Judge, *, alone: bool = False) -> None:
    """Note what is wrong with `graders` and `judges`; as `check`, which does this too.

    Args:
        config: where they are.
        judge: where problems go.
        alone: of a file without models, whose judges may name those of a sweep that is not known here.
    """
    for i, model in enumerate(config.judges):
        _check_model(model, _key("judges", model.name, i), judge)
    models = None if alone else {m.name for m in (*config.judges, *config.models)}
    for name in sorted({m.name for m in config.judges} & {m.name for m in config.models} - {""}):
        judge.note(f"judges.{name}", "a model of `models` has this name too. Rename one.")
    for i, grader in enumerate(config.graders):
        _check_grader(grader, _key("graders", grader.name, i), models, judge)


def _check_money(config: SweepConfig, judge: Judge) -> None:
    for name, price in config.prices.items():
        _check_positive(price, f"prices.{name}", judge)
        if price.like is None and (price.input is None or price.output is None):
            text = "needs `input` and `output` (USD per million tokens), or `like: MODEL-ID`."
            judge.note(f"prices.{name}", text)
        elif price.like is not None and price.input is not None:
            judge.note(f"prices.{name}", "has numbers beside `like`. Keep one of them.")
    _check_positive(config.budget, "budget", judge)
    _check_positive(config.tripwire, "tripwire", judge)
    if config.tripwire.share > 1:
        judge.note("tripwire.share", "is a share from 0 to 1.")


def _check_ages(config: SweepConfig, judge: Judge) -> None:
    names, models = config.analysis.older_to_newer, [m.name for m in config.models]
    for name in names:
        if name not in models:
            text = f"{name!r} is no model of this sweep. {nearest(name, models)}"
            judge.note("analysis.older_to_newer", text)
    if len(set(names)) < len(names):
        judge.note("analysis.older_to_newer", "names a model twice.")


def _key(kind: str, name: str, index: int) -> str:
    return f"{kind}.{name}" if name else f"{kind}[{index}]"


def _check_name(name: str, key: str, judge: Judge) -> None:
    if not name:
        judge.note(key, "is missing. Give it one.")
    elif not _NAME.fullmatch(name) or name.endswith("."):
        judge.note(key, f"{name!r} {_NAME_RULE}")


def _check_scenario(scenario: ScenarioConfig, key: str, judge: Judge) -> None:
    _check_name(scenario.name, f"{key}.name", judge)
    if scenario.path is not None:
        judge.note(f"{key}.path", "a scenario that was read from a file cannot name another.")
    if scenario.version < 1:
        judge.note(f"{key}.version", "counts from 1.")
    if not 1 <= scenario.end.turns <= MOST_TURNS:
        judge.note(f"{key}.end.turns", f"is a number from 1 to {MOST_TURNS}.")
    if scenario.end.output_tokens is not None and scenario.end.output_tokens < 1:
        judge.note(f"{key}.end.output_tokens", "needs 1 or more.")
    _check_given(scenario, key, judge)
    for axis, levels in scenario.axes.items():
        if levels is None or levels in ([], {}):
            judge.note(f"{key}.axes.{axis}", "the axis has no level. Add one, or remove the axis.")
    for name in (*("variables", "axes", "tools", "grading", "labels", "environment", "perturbations"),
                 "options", "history"):  # fmt: skip
        _check_canonical(getattr(scenario, name), f"{key}.{name}", judge)


def _check_given(scenario: ScenarioConfig, key: str, judge: Judge) -> None:
    """Note where nothing says what the model is told, or two keys do."""
    if not (scenario.python or scenario.history or (scenario.user or "").strip()):
        text = "is missing: the model is asked nothing. Write the first message."
        if scenario.prompts is not None:
            text = 'is missing. To send the prompts as they are, write user: "{{ user }}".'
        judge.note(f"{key}.user", text)
    if not (
        scenario.prompts is None or (isinstance(scenario.prompts, list | str) and scenario.prompts)
    ):
        judge.note(f"{key}.prompts", "is neither a list of prompts nor the path of a file of them.")
    for name in _WRITTEN if scenario.python else ():
        if getattr(scenario, name):
            text = "has no place beside `python`, which returns it in its Scene. Keep one of them."
            judge.note(f"{key}.{name}", text)


_WRITTEN = (
    *("system", "user", "turns", "history", "prompts", "variables", "fragments", "types"),
    *("perturbations", "environment", "roles", "tools"),
)
"""What a scenario in a file says, and one in Python returns."""
_GRADER_KEYS = {
    "rule": ("gates", "outcomes"),
    "python": ("use",),
    "judge": ("model", "rubric", "outcomes"),
}
"""Kind of grader to the keys without which it says nothing."""
_GRADER_WORDS = {
    "role": ("outcome", "label"),
    "view": ("actions", "text", "reasoning"),
    "output": ("json_schema", "tool", "tool_auto"),
}


def _check_grader(grader: GraderConfig, key: str, models: set[str] | None, judge: Judge) -> None:
    _check_name(grader.name, f"{key}.name", judge)
    if "@" in grader.name:
        judge.note(f"{key}.name", "may hold no @, which separates name and digest in verdicts/.")
    if grader.kind not in _GRADER_KEYS:
        judge.note(f"{key}.kind", f"is none of {', '.join(_GRADER_KEYS)}. Choose one.")
    for needed in _GRADER_KEYS.get(grader.kind, ()):
        if not getattr(grader, needed):
            judge.note(f"{key}.{needed}", f"is missing: a {grader.kind} needs it.")
    _check_grader_values(grader, key, judge)
    if (
        grader.kind == "judge"
        and grader.model
        and models is not None
        and grader.model not in models
    ):
        judge.note(f"{key}.model", "names no entry of `judges` or `models`. Add it to `judges`.")


def _check_grader_values(grader: GraderConfig, key: str, judge: Judge) -> None:
    for name, words in _GRADER_WORDS.items():
        if getattr(grader, name) not in (None, *words):
            judge.note(f"{key}.{name}", f"is none of {', '.join(words)}. Choose one.")
    if grader.version < 1:
        judge.note(f"{key}.version", "counts from 1.")
    if not 1 <= grader.votes <= 99:
        judge.note(f"{key}.votes", "is a number from 1 to 99.")
    for name in ("gates", "outcomes"):
        _check_canonical(getattr(grader, name), f"{key}.{name}", judge)


def _check_model(model: ModelConfig, key: str, judge: Judge) -> None:
    _check_name(model.name, f"{key}.name", judge)
    _check_canonical(model.params, f"{key}.params", judge)
    _check_positive(model, key, judge)
    _check_positive(model.local, f"{key}.local", judge)
    _check_cache(model, key, judge)
    if judge.refused(f"{key}.provider"):
        return
    if model.provider is ProviderKind.local:
        for name in ("base_url", "api_key_env", "endpoint_id"):
            if getattr(model, name) is not None:
                text = (
                    "has no meaning for provider: local, which serves the model itself. Remove it."
                )
                judge.note(f"{key}.{name}", text)
        return
    if not model.model:
        judge.note(f"{key}.model", "is missing. Give the id that the API knows the model by.")
    if judge.given(f"{key}.local"):
        text = (
            f"has no meaning for provider: {model.provider}. Remove it, or write provider: local."
        )
        judge.note(f"{key}.local", text)
    if model.api_key_env is not None and not _VARIABLE.fullmatch(model.api_key_env):
        # The value is not printed: somebody may have put the key itself here.
        text = "is not the name of an environment variable. Name the one that holds the key."
        judge.note(f"{key}.api_key_env", text)
    _check_stream(model, key, judge)
    if model.base_url is not None:
        _check_url(model.base_url, model.provider, f"{key}.base_url", judge)
    elif model.send_seed and model.provider is ProviderKind.anthropic:
        judge.note(f"{key}.send_seed", "the public Anthropic API takes no seed. Remove it.")


def _check_stream(model: ModelConfig, key: str, judge: Judge) -> None:
    """Refuse what the SDK refuses: a plain call that its answer may outlast."""
    longest = S_PER_TOKEN * model.max_tokens
    plain = model.provider is ProviderKind.anthropic and not streams(model)
    if plain and model.max_tokens > PLAIN_AT_MOST and model.timeout_s < longest:
        text = (
            f"answers of up to {model.max_tokens:,} tokens may take {longest:,.0f} s, and a plain call "
            f"would be cut after timeout_s: {model.timeout_s:g}. Remove `stream: never`, lower "
            f"max_tokens to {PLAIN_AT_MOST:,}, or raise timeout_s to {longest:.0f}."
        )
        judge.note(f"{key}.stream", text)


def _check_cache(model: ModelConfig, key: str, judge: Judge) -> None:
    if model.cache not in CACHE_MODES:
        judge.note(f"{key}.cache", f"{model.cache!r} is none of {', '.join(CACHE_MODES)}.")
    elif model.cache in ("5m", "1h") and model.provider is not ProviderKind.anthropic:
        text = (
            f"{model.cache} has no meaning for provider: {model.provider}, whose servers cache by "
            "themselves. Remove it, or write cache: off."
        )
        judge.note(f"{key}.cache", text)


def _check_url(url: str, provider: ProviderKind, key: str, judge: Judge) -> None:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        judge.note(key, "is no address. Write http(s)://host[:port][/path].")
        return
    if parts.username or parts.password:
        judge.note(
            key, "carries a user or password. Put the key into a variable named by api_key_env."
        )
    elif parts.scheme not in ("http", "https") or not parts.hostname:
        judge.note(key, "is no address. Write http(s)://host[:port][/path].")
    elif parts.query or parts.fragment:
        judge.note(key, "has a query or fragment. Keep scheme, host, port and path.")
    for ending in _ENDPOINTS.get(provider, ()):
        if parts.path.rstrip("/").endswith(ending):
            judge.note(key, f"ends in {ending}, which the client adds itself. Remove that.")
            return


def _check_positive(part: object, key: str, judge: Judge) -> None:
    for f in fields(part):  # pyright: ignore[reportArgumentType]  # a dataclass of the schema
        value = getattr(part, f.name)
        if isinstance(value, bool) or not isinstance(value, int | float):
            continue
        if value != value or value < 0 or (value == 0 and f.name not in _MAY_BE_ZERO):  # noqa: PLR0124  # NaN
            least = "0 or more" if f.name in _MAY_BE_ZERO else "more than 0"
            judge.note(f"{key}.{f.name}", f"needs {least}, not {value}.")


def _check_bounds(retry: RetryConfig, engine: EngineConfig, judge: Judge) -> None:
    if retry.wait_max_s < retry.wait_initial_s:
        judge.note("retry.wait_max_s", f"is below retry.wait_initial_s ({retry.wait_initial_s}).")
    if engine.lease_ttl_s < 3 * engine.heartbeat_s:
        text = "needs 3 heartbeats or more (engine.heartbeat_s), or a late one costs the lease."
        judge.note("engine.lease_ttl_s", text)
    if engine.unsealed_max_bytes < engine.seal_bytes:
        text = f"is below engine.seal_bytes ({engine.seal_bytes}): nothing could ever run."
        judge.note("engine.unsealed_max_bytes", text)
    if engine.unsealed_max_age_s < engine.seal_age_s:
        text = f"is below engine.seal_age_s ({engine.seal_age_s}): workers would stop at each seal."
        judge.note("engine.unsealed_max_age_s", text)


def _check_canonical(value: Mapping[str, object] | list[object], key: str, judge: Judge) -> None:
    """Identity needs JSON that says each value exactly."""
    try:
        canonical_json(value, key)
    except ValueError as error:
        path, _, text = str(error).partition(": ")
        judge.note(path, f"{text}.")
