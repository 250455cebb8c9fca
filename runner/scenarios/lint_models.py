"""What models refuse, retire and cannot hold, before a request is sent.

What parameters are refused is as of November 2026, dated where it has a date; a model that is not in a table is
taken to refuse nothing. Days of retirement and contexts are handed in, as the kept packages have them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, cast

from runner.config.schema import ModelConfig, ProviderKind, SweepConfig
from runner.config.streaming import PLAIN_AT_MOST, streams
from runner.scenarios.findings import Findings, Severity

SAMPLING = ("temperature", "top_k", "top_p")
CHARACTERS_PER_TOKEN = 4
_NO_FORCED_TOOLS = re.compile(r"claude-(fable-5-[1-9]|opus-5-5)")
"""Models that answer 400 to `tool_choice` any and tool (release notes of 2026-09-01)."""
_NO_MANUAL_THINKING = re.compile(
    r"claude-(opus-4-[78]|(opus|sonnet|haiku|fable|mythos)-5|mythos-preview)"
)
"""Models that answer 400 to `thinking.type: enabled`."""
_ALWAYS_THINKS = re.compile(r"claude-(fable-5|opus-5-5)")
"""Models that answer 400 to `thinking.type: disabled`."""
_NO_PREFILL = re.compile(
    r"claude-((opus|sonnet)-4-[678]|(opus|sonnet|haiku|fable|mythos)-5|mythos-preview)"
)


def context_tokens(model: ModelConfig, known: Mapping[str, int]) -> int | None:
    """Return the model's context in tokens, where the configuration says it or it is known by model name."""
    if model.context_tokens is not None:
        return model.context_tokens
    if model.provider is ProviderKind.local:
        return model.local.context_tokens
    return known.get(model.name)


def refuses_prefill(model: ModelConfig) -> bool:
    """Return whether a conversation may not end with words put into the model's mouth."""
    return model.provider is ProviderKind.anthropic and bool(_NO_PREFILL.match(model.model))


def lint_model(
    model: ModelConfig,
    key: str,
    findings: Findings,
    *,
    today: date,
    retires: Mapping[str, date],
) -> None:
    """Note parameters that the model's API answers 400 to, and its retirement.

    Args:
        model: the model.
        key: its readable path.
        findings: where faults go.
        today: for retirements within 60 days.
        retires: the day that models end, by id.
    """
    if model.provider is not ProviderKind.anthropic:
        return
    for name in SAMPLING:
        if name in model.params:
            what = (
                f"the Messages API has had no {name} since version 2026-10-21: it answers "
                "400 even to the default value"
            )
            findings.error(f"{key}.params.{name}", what, "Remove it, for every model alike")
    choice = _kind(model.params.get("tool_choice"))
    if choice in {"any", "tool"} and _NO_FORCED_TOOLS.match(model.model):
        what = f"{model.model} answers 400 to a forced tool choice ({choice})"
        findings.error(f"{key}.params.tool_choice", what, "Use {type: auto}, for every model alike")
    thinking = _kind(model.params.get("thinking"))
    if thinking == "enabled" and _NO_MANUAL_THINKING.match(model.model):
        what = f"{model.model} answers 400 to thinking.type: enabled"
        findings.error(f"{key}.params.thinking", what, "Use {type: adaptive}, or remove it")
    if thinking == "disabled" and _ALWAYS_THINKS.match(model.model):
        what = f"{model.model} answers 400 to thinking.type: disabled"
        findings.error(f"{key}.params.thinking", what, "Use {type: adaptive}, or remove it")
    if model.max_tokens > PLAIN_AT_MOST and not streams(model):
        what = f"answers of more than {PLAIN_AT_MOST:,} tokens without a stream may be cut"
        fix = f"Remove stream: never, or see that timeout_s ({model.timeout_s:g}) is enough"
        findings.add(Severity.NOTE, f"{key}.stream", what, fix)
    ends = retires.get(model.model)
    if ends is not None and (ends - today).days <= 60:
        gone = ends < today
        what = f"{model.model} {'retired' if gone else 'retires'} on {ends.isoformat()}"
        fix = (
            "Take a model that stays" if gone else "Run it before that day, or take one that stays"
        )
        findings.add(Severity.WARNING, f"{key}.model", what, fix)


def lint_prefill(models: Sequence[ModelConfig], key: str, name: str, findings: Findings) -> None:
    """Note models that answer 400 where a conversation ends with words put into their mouth.

    Args:
        models: the models under test.
        key: of what ends with the assistant.
        name: of the first condition that does.
        findings: where faults go.
    """
    for model in models:
        if refuses_prefill(model):
            what = f"{model.model} ({model.name}) answers 400 to a conversation that ends with the assistant"
            fix = "End it with a user's message, or leave the model out"
            findings.error(key, what, f"{fix} (first met in {name})" if name else fix)


def lint_judges(config: SweepConfig, findings: Findings) -> None:
    """Note judges that are asked by a forced tool call and refuse it."""
    models = {m.name: m for m in (*config.models, *config.judges)}
    for grader in config.graders:
        model = models.get(grader.model or "")
        if model is None or grader.kind != "judge" or grader.output != "tool":
            continue
        if model.provider is ProviderKind.anthropic and _NO_FORCED_TOOLS.match(model.model):
            what = f"{model.model} answers 400 to a forced tool call"
            fix = "Write output: json_schema, or tool_auto"
            findings.error(f"graders.{grader.name}.output", what, fix)


def lint_series(models: Sequence[ModelConfig], findings: Findings) -> None:
    """Note request parameters that only some of the models get: then not only the model differs."""
    names = sorted({name for model in models for name in model.params})
    for name in names:
        without = [m.name for m in models if name not in m.params]
        if without and len(without) < len(models):
            having = next(m for m in models if name in m.params)
            what = f"{name} is not set for {', '.join(without[:4])}"
            fix = "Set it for all models or for none, or compare them knowing that it differs"
            findings.add(Severity.WARNING, f"models.{having.name}.params.{name}", what, fix)
    limits = {m.max_tokens for m in models}
    if len(limits) > 1:
        shown = ", ".join(f"{m.name} {m.max_tokens}" for m in models)
        what = f"max_tokens differs between models ({shown}): truncation will, too"
        fix = "Give all the same, or see what share of each is truncated"
        findings.add(Severity.NOTE, f"models.{models[0].name}.max_tokens", what, fix)


def lint_size(
    models: Sequence[ModelConfig],
    characters: int,
    key: str,
    name: str,
    findings: Findings,
    *,
    contexts: Mapping[str, int],
) -> None:
    """Note a request that does not fit into a model's context, answers and tool results left out.

    Args:
        models: the models under test.
        characters: of system, user turns and tools.
        key: of the scenario.
        name: of the condition.
        findings: where faults go.
        contexts: tokens by model name, where they are known.
    """
    tokens = characters // CHARACTERS_PER_TOKEN
    for model in models:
        context = context_tokens(model, contexts)
        if context is not None and tokens + model.max_tokens > context:
            what = (
                f"about {tokens:,} tokens and max_tokens {model.max_tokens:,} exceed the context "
                f"of {model.name} ({context:,})"
            )
            met = f" (first met in {name})" if name else ""
            fix = f"Lower max_tokens, or use another model{met}"
            findings.add(Severity.WARNING, key, what, fix)


def _kind(value: object) -> str:
    if isinstance(value, Mapping):
        return str(cast("Mapping[str, Any]", value).get("type", ""))
    return value if isinstance(value, str) else ""
