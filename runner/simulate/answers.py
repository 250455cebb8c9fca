"""What a simulated model answers, decided by draws that are arguments. Pure.

An answer is a function of (persona, request, draws). `draws_of` makes draws out of a seed, the
request and a counter, so that a server with the same settings gives the same answers again.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import exp
from statistics import NormalDist
from typing import Any, NamedTuple

from runner.core.values import Block
from runner.providers.json_values import as_list, as_object
from runner.simulate.config import LatencyConfig, OutputConfig, PersonaConfig
from runner.simulate.request import Asked, Tool
from runner.simulate.texts import STORY_OUTCOMES, answer_text, filler, story_text

ORDINARY = "ordinary"
BEHAVIOURS: Mapping[str, str] = {
    "refusal": "HTTP 200 with `stop_reason: refusal` and no content",
    "empty": "a normal stop without content",
    "pause_turn": "`stop_reason: pause_turn`; the continuation ends normally",
    "tool_use": "calls the first tool that the request offers; ordinary where it offers none",
    "max_tokens": "writes until `max_tokens`, at most 4,000 tokens more than usual",
}
"""Outcomes that are no matter of text, with what they do."""
_PAUSES = ("pause_turn",)
_RUNAWAY = 4000
_NORMAL = NormalDist()
_EDGE = 1e-9


class Draws(NamedTuple):
    """Independent uniform numbers in [0, 1) for one call."""

    outcome: float
    length: float
    pace: float
    fault: float
    fault_at: float
    """Where in a stream a fault strikes."""


def draws_of(seed: int, digest: bytes, number: int) -> Draws:
    """Return the draws of a request's `number`-th answer."""
    hashed = hashlib.blake2b(
        digest, key=struct.pack("<qQ", seed, number), digest_size=8 * len(Draws._fields)
    ).digest()
    return Draws(*(value / 2**64 for value in struct.unpack(f"<{len(Draws._fields)}Q", hashed)))


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedAnswer:
    """One answer, before it is put into JSON."""

    outcome: str
    """The truth: what the persona's rates speak of."""
    content: tuple[Block, ...]
    stop_reason: str
    stop_sequence: str | None = None
    output_tokens: int


def outcome_of(persona: PersonaConfig, prompt: str, draw: float) -> str:
    """Return the outcome that a draw falls on."""
    case = next((c for c in persona.cases if c.contains in prompt), None)
    edge = 0.0
    for outcome, share in (persona.outcomes if case is None else case.outcomes).items():
        edge += share
        if draw < edge:
            return outcome
    return ORDINARY


def length_of(output: OutputConfig, draw: float) -> int:
    """Return a lognormal number of tokens with the configured mean, at least 1."""
    z = _NORMAL.inv_cdf(min(1 - _EDGE, max(_EDGE, draw)))
    return max(1, round(output.mean_tokens * exp(output.sigma * z - output.sigma**2 / 2)))


def latency_of(latency: LatencyConfig, tokens: int, draw: float) -> tuple[float, float]:
    """Return (seconds to the first token, seconds of generation after it)."""
    factor = 1 + latency.spread * (2 * draw - 1)
    seconds = tokens / latency.tokens_per_s if latency.tokens_per_s else 0.0
    return latency.first_token_s * factor, seconds * factor


def answer(
    persona: PersonaConfig, output: OutputConfig, asked: Asked, draws: Draws
) -> SimulatedAnswer:
    """Return the answer to a request.

    A continued pause and a tool's result are always answered ordinarily: the rates speak of the
    first answer, and no conversation goes on for ever.
    """
    outcome = outcome_of(persona, asked.text, draws.outcome)
    if asked.continues or asked.answers_tool or (outcome == "tool_use" and not asked.tools):
        outcome = ORDINARY
    tokens = length_of(output, draws.length)
    if outcome == "refusal":
        return _bare(outcome, "refusal")
    if outcome == "empty":
        return _bare(outcome, "end_turn")
    if outcome == "tool_use":
        return _calling(asked, tokens)
    if outcome == "max_tokens":
        return _cut(outcome, filler(min(asked.max_tokens, tokens + _RUNAWAY) + 1), asked)
    core = persona.texts.get(outcome)
    if core is None and not (asked.continues or asked.answers_tool):
        core = story_text(outcome, asked.text)
    found = _cut(outcome, answer_text(core, tokens), asked)
    if outcome in _PAUSES and found.stop_reason == "end_turn":
        return SimulatedAnswer(
            outcome=outcome,
            content=found.content,
            stop_reason="pause_turn",
            output_tokens=found.output_tokens,
        )
    return found


def known_outcomes(persona: PersonaConfig) -> frozenset[str]:
    """Return the outcomes that a persona may be given rates for."""
    return frozenset({ORDINARY, *BEHAVIOURS, *STORY_OUTCOMES, *persona.texts})


def _bare(outcome: str, stop_reason: str) -> SimulatedAnswer:
    return SimulatedAnswer(outcome=outcome, content=(), stop_reason=stop_reason, output_tokens=1)


def _cut(outcome: str, text: str, asked: Asked) -> SimulatedAnswer:
    """Return a text answer that keeps to the request's bounds."""
    stop_reason, stop_sequence = "end_turn", None
    found = [(at, stop) for stop in asked.stops if (at := text.find(stop)) >= 0]
    if found:
        at, stop_sequence = min(found)
        text, stop_reason = text[:at], "stop_sequence"
    if len(text) > asked.max_tokens * 4:
        text, stop_reason, stop_sequence = text[: asked.max_tokens * 4], "max_tokens", None
    content: tuple[Block, ...] = ({"type": "text", "text": text},) if text else ()
    return SimulatedAnswer(
        outcome=outcome,
        content=content,
        stop_reason=stop_reason,
        stop_sequence=stop_sequence,
        output_tokens=(len(text) + 3) // 4,
    )


def _calling(asked: Asked, tokens: int) -> SimulatedAnswer:
    tool = asked.tools[0]
    said = filler(min(tokens, 40))
    given = arguments_for(tool)
    content: tuple[Block, ...] = (
        {"type": "text", "text": said},
        {
            "type": "tool_use",
            "id": f"toolu_{asked.digest.hex()[:24]}",
            "name": tool.name,
            "input": given,
        },
    )
    used = len(said) // 4 + len(str(given)) // 4 + 10
    return SimulatedAnswer(
        outcome="tool_use", content=content, stop_reason="tool_use", output_tokens=used
    )


def arguments_for(tool: Tool) -> dict[str, Any]:
    """Return arguments that a tool's schema takes: one value per required property."""
    properties = as_object(tool.schema.get("properties"))
    required: Sequence[object] = as_list(tool.schema.get("required")) or [*properties]
    return {str(name): _value_for(as_object(properties.get(str(name)))) for name in required}


def _value_for(schema: Mapping[str, Any], depth: int = 0) -> object:
    options = as_list(schema.get("enum"))
    if options:
        return options[0]
    kind = schema.get("type")
    if kind == "object" and depth < 5:
        inner = as_object(schema.get("properties"))
        return {name: _value_for(as_object(s), depth + 1) for name, s in inner.items()}
    simple: dict[object, object] = {
        "integer": 1,
        "number": 1.5,
        "boolean": True,
        "array": [],
        "object": {},
    }
    return simple.get(kind, "text")
