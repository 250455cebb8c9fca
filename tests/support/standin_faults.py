"""What the stand-in answers with: settings, the fault schedule, and response bodies.

Pure apart from the counters that a schedule needs. The HTTP side is `standin.py`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from typing import Any

import orjson

from runner.simulate.errors import ERRORS, ApiError
from runner.simulate.errors import error_body as simulated_error_body

STATUS_FAULTS = {
    name: (error.status, error.type, error.code, error.message) for name, error in ERRORS.items()
}
"""Kind to (status, error.type, error.details.error_code, message): what the simulator can say too."""

ANSWER_FAULTS = frozenset(
    {
        "refusal", "pause_turn", "max_tokens", "context_window", "stop_sequence", "tool_use",
        "thinking", "empty", "null_stop", "odd_stop", "control", "error_200", "surrogate",
        "not_json", "cut_json", "not_a_message", "echo_key",
    }
)  # fmt: skip
"""HTTP 200, whole body, something about it."""

TRANSPORT_FAULTS = frozenset(
    {
        "disconnect", "reset", "truncated", "hang", "slow", "huge", "huge_chunked", "huge_error",
        "gzip_bomb", "redirect",
    }
)  # fmt: skip
"""Something about how the bytes travel."""


@dataclass(kw_only=True)
class Fault:
    """One fault and when it strikes; conditions that are given must all hold."""

    kind: str
    """A key of STATUS_FAULTS, or a name in ANSWER_FAULTS or TRANSPORT_FAULTS."""
    at: list[int] = field(default_factory=list)
    """Call numbers, 1 = the first call after start or reset."""
    every: int = 0
    """Every n-th call."""
    share: float = 0.0
    """Of calls, by a hash of (body, how often it came): replayable, unlike a random draw."""
    first: int = 0
    """The first n calls of each distinct body."""
    contains: str = ""
    """Only bodies that hold this text."""
    turn: int | None = None
    """Only this 0-based turn of a conversation."""
    times: int = 0
    """At most so often in all; 0: no bound."""
    retry_after_s: float | None = None
    retry_after: str | None = None
    """The header's text as it is, for dates."""
    size: int = 50_000_000
    """Bytes of a huge body."""
    struck: int = 0

    def strikes(self, call: int, digest: str, repeat: int, body: bytes, turn: int) -> bool:
        """Decide for one call; `repeat` is 1 for the first call with this body."""
        if self.times and self.struck >= self.times:
            return False
        if self.contains and self.contains.encode() not in body:
            return False
        conditions = (
            (bool(self.at), call in self.at),
            (bool(self.every), bool(self.every) and call % self.every == 0),
            (bool(self.share), _unit(digest, repeat) < self.share),
            (bool(self.first), repeat <= self.first),
            (self.turn is not None, turn == self.turn),
        )
        if not all(holds for given, holds in conditions if given):
            return False
        self.struck += 1
        return True


def _unit(digest: str, repeat: int) -> float:
    raw = hashlib.sha256(f"{digest}/{repeat}".encode()).digest()
    return int.from_bytes(raw[:7], "big") / (1 << 56)


@dataclass(kw_only=True)
class Settings:
    """How the stand-in behaves; every field may be changed while it runs (POST /_config)."""

    latency_s: float = 0.0
    answer_bytes: int = 2000
    text: str | None = None
    """The answer's text; none: deterministic filler of answer_bytes."""
    texts: list[str] = field(default_factory=list)
    """Answers, chosen by the request's digest."""
    simulated: bool = True
    keys: list[str] | None = None
    """Accepted keys; none: any, and none at all."""
    models: list[str] | None = None
    """Known model ids; none: any."""
    headers: dict[str, str] = field(default_factory=dict)
    """Further response headers."""
    faults: list[Fault] = field(default_factory=list)
    count_digests: bool = True
    """Keep counts per body; off for benchmarks, where they cost CPU and memory."""

    @classmethod
    def of(cls, given: dict[str, Any]) -> Settings:
        """Build from JSON; an unknown key raises, so that a typo in a test cannot pass."""
        known = {f.name for f in fields(cls)}
        if unknown := set(given) - known:
            msg = f"unknown settings {sorted(unknown)}, known are {sorted(known)}"
            raise ValueError(msg)
        settings = cls(**given)
        settings.faults = [f if isinstance(f, Fault) else Fault(**f) for f in settings.faults]
        for fault in settings.faults:
            if fault.kind not in (STATUS_FAULTS.keys() | ANSWER_FAULTS | TRANSPORT_FAULTS):
                msg = f"unknown fault {fault.kind}"
                raise ValueError(msg)
        return settings


_FILLER = (
    "The budget meeting moved to Thursday, and the figures for the third quarter are in the "
    "shared folder. Please look at page four before you answer. "
)


def answer_text(settings: Settings, digest: str) -> str:
    """Return the text of a normal answer."""
    if settings.texts:
        return settings.texts[int(digest[:8], 16) % len(settings.texts)]
    if settings.text is not None:
        return settings.text
    repeats = settings.answer_bytes // len(_FILLER) + 1
    return (digest[:8] + " " + _FILLER * repeats)[: settings.answer_bytes]


_STOPS = {
    "refusal": ("refusal", "content_filter"),
    "pause_turn": ("pause_turn", "stop"),
    "max_tokens": ("max_tokens", "length"),
    "context_window": ("model_context_window_exceeded", "length"),
    "stop_sequence": ("stop_sequence", "stop"),
    "tool_use": ("tool_use", "tool_calls"),
    "null_stop": (None, None),
    "odd_stop": ("something_new", "something_new"),
}
_TOOL_INPUT = {"to": "a@example.com", "count": 2}


def message_body(text: str, model: str, prompt_bytes: int, kind: str | None, key: str) -> bytes:
    """Return a Messages API body, with the peculiarity that `kind` names."""
    content: list[dict[str, Any]] = [{"type": "text", "text": text}]
    if kind in {"refusal", "empty"}:
        content = []
    elif kind == "tool_use":
        content.append({"type": "tool_use", "id": "toolu_1", "name": "send", "input": _TOOL_INPUT})
    elif kind == "thinking":
        content.insert(0, {"type": "thinking", "thinking": "I wonder.", "signature": "c2ln"})
    elif kind == "pause_turn":
        content = [{"type": "text", "text": "One moment. "}]
    body: dict[str, Any] = {
        "id": "msg_standin",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": content,
        "stop_reason": _STOPS.get(kind or "", ("end_turn",))[0],
        "stop_sequence": "END" if kind == "stop_sequence" else None,
        "usage": {
            "input_tokens": prompt_bytes // 4,
            "output_tokens": len(text) // 4,
            "cache_creation_input_tokens": 3,
            "cache_read_input_tokens": 5,
            "output_tokens_details": {"thinking_tokens": 7 if kind == "thinking" else 0},
            "service_tier": "standard",
        },
    }
    return _peculiar(orjson.dumps(body), text, kind, key)


def chat_body(text: str, model: str, prompt_bytes: int, kind: str | None, key: str) -> bytes:
    """Return a chat completions body, with the peculiarity that `kind` names."""
    message: dict[str, Any] = {"role": "assistant", "content": text}
    if kind in {"refusal", "empty"}:
        message["content"] = None
    elif kind == "tool_use":
        call = {"name": "send", "arguments": orjson.dumps(_TOOL_INPUT).decode()}
        message["tool_calls"] = [{"id": "toolu_1", "type": "function", "function": call}]
    elif kind == "thinking":
        message["reasoning_content"] = "I wonder."
    body: dict[str, Any] = {
        "id": "chatcmpl-standin",
        "object": "chat.completion",
        "model": model,
        "choices": [
            {
                "index": 0,
                "message": message,
                "finish_reason": _STOPS.get(kind or "", (None, "stop"))[1],
            }
        ],
        "usage": {
            "prompt_tokens": prompt_bytes // 4 + 5,
            "completion_tokens": len(text) // 4,
            "prompt_tokens_details": {"cached_tokens": 5},
            "completion_tokens_details": {"reasoning_tokens": 7 if kind == "thinking" else 0},
        },
    }
    return _peculiar(orjson.dumps(body), text, kind, key)


def _peculiar(body: bytes, text: str, kind: str | None, key: str) -> bytes:
    marker = orjson.dumps(text)
    if kind == "control":
        return body.replace(marker, b'"\\u001b[31mred\\u0000\\u0007 \\u202e end"')
    if kind == "surrogate":
        return body.replace(marker, b'"half a pair: \\ud83d end"')
    if kind == "echo_key":
        return body.replace(marker, orjson.dumps(f"your key is {key}"))
    if kind == "not_json":
        return b"<html><body>welcome to the proxy</body></html>"
    if kind == "cut_json":
        return body[: len(body) // 2]
    if kind == "not_a_message":
        return b'{"hello": "world"}'
    if kind == "error_200":
        return error_body("overloaded_error", None, "overloaded in the middle")
    return body


def error_body(error_type: str | None, error_code: str | None, message: str) -> bytes:
    """Return the error JSON of the Messages API, or the bare text where there is no type."""
    error = ApiError(status=0, type=error_type, code=error_code, message=message)
    return simulated_error_body(error, "req_standin")


def chunks(size: int, piece: int = 1 << 16) -> Iterator[bytes]:
    """Yield `size` bytes of filler."""
    while size > 0:
        yield b"a" * min(piece, size)
        size -= piece
