"""Streamed answers end as the records that plain calls would have made: both wires, over HTTP."""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict
from typing import Any

import pytest

from runner.config.schema import ModelConfig, ProviderKind, Streaming
from runner.config.streaming import longest_call_s
from runner.core.values import Answer, Conversation, EndState, Failure, FailureKind, Reply
from runner.providers.open import open_provider
from runner.simulate.load import load_simulation
from runner.simulate.server import serving

K = FailureKind
FAST = (
    *("latency.first_token_s=0", "latency.tokens_per_s=0"),
    *("output.mean_tokens=80", "output.sigma=0"),
)
TOOLS: list[Any] = [
    {"name": "send", "description": "", "input_schema": {"type": "object", "properties": {"to": {"type": "string"}}}}
]  # fmt: skip


@pytest.fixture(params=[ProviderKind.anthropic, ProviderKind.openai])
def kind(request: pytest.FixtureRequest) -> ProviderKind:
    return request.param


def call(kind: ProviderKind, *keys: str, tools: Any = (), limit: int = 1_000_000, **model: Any):
    """Send one conversation; returns the outcome, what it reads as, and when it was begun."""
    begun: list[str] = []

    async def main() -> Any:
        async with serving(load_simulation(None, [*FAST, *keys])) as (url, _):
            base_url = f"{url}/v1" if kind is ProviderKind.openai else url
            config = ModelConfig(
                name="m", model="some", provider=kind, base_url=base_url, send_seed=True, **model
            )
            provider = open_provider(config, environ={}, max_body_bytes=limit)
            said: list[Any] = [{"role": "user", "content": "hello"}]
            conversation = Conversation(system="Be brief.", messages=said, tools=tools)
            try:
                prepared = provider.prepare(conversation, 3)
                found = await provider.send(prepared, lambda: begun.append("begun"))
            finally:
                await provider.aclose()
            read = found if isinstance(found, Failure) else provider.read(found.body)
            return prepared, found, read, begun

    return asyncio.run(main())


def without_ids(found: Any) -> Any:
    """Leave out what no two calls have in common."""
    if isinstance(found, dict):
        return {k: without_ids(v) for k, v in found.items() if k not in {"id", "created"}}
    return [without_ids(v) for v in found] if isinstance(found, list | tuple) else found


def same_answer(kind: ProviderKind, *keys: str, tools: Any = ()) -> tuple[Any, Any]:
    """Ask twice for the same seeded answer: plain, and as a stream."""
    plain = call(kind, *keys, tools=tools, stream=Streaming.never)
    streamed = call(kind, *keys, tools=tools, stream=Streaming.always)
    assert json.loads(streamed[0].body)["stream"] is True
    assert "stream" not in json.loads(plain[0].body)
    assert plain[0].digest == streamed[0].digest, "a stream is no other request"
    return plain, streamed


@pytest.mark.parametrize("outcome", ["ordinary", "refusal", "empty", "max_tokens", "tool_use"])
def test_streamed_body_is_that_of_the_plain_call(kind, outcome):
    keys = () if outcome == "ordinary" else (f"personas.p.outcomes.{outcome}=1", "persona=p")
    (_, plain, reply, _), (_, streamed, same, begun) = same_answer(kind, *keys, tools=TOOLS)
    assert isinstance(plain, Answer)
    assert isinstance(streamed, Answer)
    assert without_ids(json.loads(streamed.body)) == without_ids(json.loads(plain.body))
    assert without_ids(asdict(same)) == without_ids(asdict(reply))
    assert begun == ["begun"]
    assert (streamed.simulated, bool(streamed.request_id)) == (True, True)
    assert any("remaining" in name for name in streamed.headers)


def test_streamed_pause_is_continued_like_a_plain_one():
    keys = ("personas.p.outcomes.pause_turn=1", "persona=p")
    _, (_, _, reply, _) = same_answer(ProviderKind.anthropic, *keys)
    assert reply.continues


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ("overloaded_mid_stream", K.OVERLOADED),
        ("truncated_stream", K.TRUNCATED_RESPONSE),
        ("cut_stream", K.TRUNCATED_RESPONSE),
        ("overloaded", K.OVERLOADED),
        ("rate_limited", K.RATE_LIMITED),
        ("spend_limit", K.SPEND_LIMIT),
    ],
)
def test_streamed_faults_are_told_apart(kind, fault, expected):
    _, _, failure, _ = call(kind, f"faults.{fault}=1", stream=Streaming.always)
    assert isinstance(failure, Failure)
    if kind is ProviderKind.openai and fault == "overloaded_mid_stream":
        expected = K.SERVER_ERROR  # chat completions have no word for overload inside a stream
    assert failure.kind is expected
    assert failure.message


def test_error_in_mid_stream_has_http_200(kind):
    _, _, failure, begun = call(kind, "faults.overloaded_mid_stream=1", stream=Streaming.always)
    assert (failure.status, begun) == (200, ["begun"])


def test_answer_larger_than_a_record_is_not_read_to_its_end(kind):
    keys = ("output.mean_tokens=2000", "output.sigma=0")
    _, failure, _, _ = call(kind, *keys, limit=2000, max_tokens=4000, stream=Streaming.always)
    assert isinstance(failure, Failure)
    assert failure.kind is K.RESPONSE_TOO_LARGE


def test_silent_stream_is_a_timeout_and_a_slow_one_is_not(kind):
    slow = ("latency.first_token_s=5", "latency.spread=0")
    _, failure, _, _ = call(kind, *slow, timeout_s=0.3, stream=Streaming.always)
    assert isinstance(failure, Failure)
    assert (failure.kind, failure.error_type) == (K.TIMEOUT, "silence")
    # 80 tokens in 0.8 s, in pieces of 20: no silence is as long as 0.5 s, the whole is longer.
    steady = ("latency.first_token_s=0", "latency.tokens_per_s=100", "output.sigma=0")
    _, _, reply, _ = call(kind, *steady, timeout_s=0.5, stream=Streaming.always)
    assert isinstance(reply, Reply)
    assert reply.end_state is EndState.ANSWERED


@pytest.mark.parametrize(("max_tokens", "streamed"), [(21_333, False), (21_334, True)])
def test_long_answers_are_streamed_by_themselves(kind, max_tokens, streamed):
    prepared, _, reply, _ = call(kind, max_tokens=max_tokens)
    assert ("stream" in json.loads(prepared.body)) is streamed
    assert isinstance(reply, Reply)


def test_longest_call_of_a_stream_grows_with_its_tokens():
    plain = ModelConfig(max_tokens=20_000)
    assert longest_call_s(plain) == 600
    assert longest_call_s(ModelConfig(max_tokens=64_000)) == 600 + 1800
