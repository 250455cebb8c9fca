"""What a simulated model answers, decided by draws that are arguments. Pure.

An answer is a function of (persona, request, draws). `draws_of` makes draws out of a seed, the
request and a counter, so that a server with the same settings gives the same answers again.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import exp
from statistics import NormalDist
from typing import NamedTuple

from runner.core.values import Block
from runner.simulate.config import LatencyConfig, OutputConfig, PersonaConfig
from runner.simulate.deeds import STORY_OUTCOMES, story_deed
from runner.simulate.request import Asked
from runner.simulate.texts import Act, Deed, answer_text, filler
from runner.simulate.tooling import (
    STAGES,
    Place,
    Stage,
    calls,
    one_call,
    place_of,
    slug,
    structured,
    works_with_tools,
)

ORDINARY = "ordinary"
BEHAVIOURS: Mapping[str, str] = {
    "refusal": "HTTP 200 with `stop_reason: refusal` and no content",
    "refusal_mid_output": "the same after some of the answer was written, which is billed",
    "empty": "a normal stop without content",
    "pause_turn": "`stop_reason: pause_turn`; the continuation ends normally",
    "tool_use": "calls the first tool that the request offers; ordinary where it offers none",
    "max_tokens": "writes until `max_tokens`, at most 4,000 tokens more than usual",
}
"""Outcomes that are no matter of text, with what they do."""
_ENDS: Mapping[str, str] = {"pause_turn": "pause_turn", "refusal_mid_output": "refusal"}
"""Outcomes that are an ordinary text with another stop reason."""
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
    decides: bool = True
    """Counts as its conversation's outcome: its first answer, or the one that acts."""


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

    The rates speak of the first answer of a conversation: a continued pause and later turns are
    answered ordinarily, a conversation with tools goes on with the outcome that it began with, so
    that none goes on for ever.
    """
    tokens = length_of(output, draws.length)
    place = place_of(asked)
    if place is not None:
        return _go_on(persona, asked, place, tokens)
    if asked.continues or asked.later or asked.called:
        return _cut(ORDINARY, filler(tokens), asked, decides=False)
    outcome = outcome_of(persona, asked.text, draws.outcome)
    if asked.tools and asked.must_call and outcome != "refusal":
        return _forced(persona, outcome, asked, tokens)
    if asked.tools and outcome == "tool_use":
        return _calling("tool_use", (one_call("tool_use", asked.tools[0], asked),), tokens)
    return _first(persona, ORDINARY if outcome == "tool_use" else outcome, asked, tokens)


def _first(persona: PersonaConfig, outcome: str, asked: Asked, tokens: int) -> SimulatedAnswer:
    """Return the first answer of a conversation in which no call is forced."""
    if outcome in {"refusal", "empty"}:
        stop_reason = "refusal" if outcome == "refusal" else "end_turn"
        return SimulatedAnswer(
            outcome=outcome, content=(), stop_reason=stop_reason, output_tokens=1
        )
    if outcome == "max_tokens":
        return _cut(outcome, filler(min(asked.max_tokens, tokens + _RUNAWAY) + 1), asked)
    told, deed = _deed(persona, outcome, asked.text)
    if asked.schema is not None:
        return _cut(told, structured(deed.beside if deed else "", asked.schema), asked)
    if works_with_tools(deed.acts if deed else (), asked):
        return _tooled(outcome, told, deed or Deed(), STAGES, asked=asked, tokens=tokens)
    found = _cut(told, answer_text(None if deed is None else deed.text(), tokens), asked)
    ends = _ENDS.get(outcome)
    if ends is not None and found.stop_reason == "end_turn":
        return replace(found, stop_reason=ends)
    return found


def _deed(persona: PersonaConfig, outcome: str, prompt: str) -> tuple[str, Deed | None]:
    """Return (the outcome as the prompt allows it, what is said and done; None: anything)."""
    given = persona.texts.get(outcome)
    called = persona.calls.get(outcome)
    if given is None and called is None:
        return story_deed(outcome, prompt)
    acts = tuple(Act(call.tool, call.input) for call in called or ())
    return outcome, Deed(said=given or "", acts=acts)


def _forced(persona: PersonaConfig, outcome: str, asked: Asked, tokens: int) -> SimulatedAnswer:
    """Return the call that the request demands: the persona's own, where it has one of that tool."""
    told, deed = _deed(persona, outcome, asked.text)
    made = calls(outcome, Stage.ACT, deed.acts, asked) if deed else ()
    if made:
        return _calling(told, made[:1], tokens, said="")
    return _calling("tool_use", (one_call("tool_use", asked.tools[0], asked),), tokens)


def _go_on(persona: PersonaConfig, asked: Asked, place: Place, tokens: int) -> SimulatedAnswer:
    """Continue a conversation with tools."""
    outcome = next((o for o in known_outcomes(persona) if slug(o) == place.outcome), ORDINARY)
    left = STAGES[STAGES.index(place.stage) + 1 :]
    told, deed = _deed(persona, outcome, asked.text)
    return _tooled(outcome, told, deed or Deed(), left, asked=asked, tokens=tokens)


def _tooled(
    drawn: str, told: str, deed: Deed, left: Sequence[Stage], *, asked: Asked, tokens: int
) -> SimulatedAnswer:
    """Return the calls of the first stage that has any; without one, an ordinary end.

    The answer in which the acts fall due decides: only then has the mail been read that may allow
    or forbid the outcome that was drawn.
    """
    decides, said = False, ""
    for stage in left:
        if stage is Stage.ACT:
            decides, said = True, deed.beside or (filler(min(tokens, 40)) if deed.acts else "")
        made = calls(drawn, stage, deed.acts, asked)
        if made:  # what there is to say goes with the acts; without any, with the last call
            return _calling(told, made, tokens, said=said, decides=decides)
    return _cut(told, answer_text(said or None, tokens), asked, decides=decides)


def known_outcomes(persona: PersonaConfig) -> frozenset[str]:
    """Return the outcomes that a persona may be given rates for."""
    return frozenset({ORDINARY, *BEHAVIOURS, *STORY_OUTCOMES, *persona.texts, *persona.calls})


def _cut(outcome: str, text: str, asked: Asked, *, decides: bool = True) -> SimulatedAnswer:
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
        decides=decides,
    )


def _calling(
    outcome: str,
    made: tuple[Block, ...],
    tokens: int,
    *,
    said: str | None = None,
    decides: bool = True,
) -> SimulatedAnswer:
    """Return an answer that calls tools."""
    said = filler(min(tokens, 40)) if said is None else said
    content: tuple[Block, ...] = ({"type": "text", "text": said},) if said else ()
    used = len(said) // 4 + sum(len(str(block["input"])) // 4 + 10 for block in made)
    return SimulatedAnswer(
        outcome=outcome,
        content=(*content, *made),
        stop_reason="tool_use",
        output_tokens=used,
        decides=decides,
    )
