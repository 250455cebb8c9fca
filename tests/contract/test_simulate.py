"""The simulated server as the real SDK and our providers see it, over HTTP."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable
from typing import Any

import anthropic
import httpx2
import pytest

from runner.config.schema import ModelConfig, ProviderKind
from runner.core.values import Answer, Conversation, EndState, Failure, FailureKind, Reply
from runner.providers.open import open_provider
from runner.simulate.load import load_simulation
from runner.simulate.server import serving
from runner.simulate.service import Service

K = FailureKind
FAST = ("latency.first_token_s=0", "latency.tokens_per_s=0", "output.mean_tokens=60")
HELLO: list[Any] = [{"role": "user", "content": "hello"}]
TOOLS: list[Any] = [
    {"name": "send", "description": "", "input_schema": {"type": "object", "properties": {"to": {"type": "string"}}}}
]  # fmt: skip


def sdk(body: Callable[[anthropic.AsyncAnthropic, Service], Awaitable[Any]], *keys: str) -> Any:
    """Do something with an SDK client on a simulated server."""

    async def main() -> Any:
        async with serving(load_simulation(None, [*FAST, *keys])) as (url, service):
            client = anthropic.AsyncAnthropic(
                api_key="k", base_url=url, max_retries=0, open_telemetry=False
            )
            async with client:
                return await body(client, service)

    return asyncio.run(main())


async def create(client: anthropic.AsyncAnthropic, _: Service) -> Any:
    return await client.messages.create(model="m", max_tokens=500, messages=HELLO)


async def stream(client: anthropic.AsyncAnthropic, _: Service) -> Any:
    async with client.messages.stream(model="m", max_tokens=500, messages=HELLO) as events:
        return await events.get_final_message()


@pytest.mark.parametrize("call", [create, stream])
def test_sdk_gets_a_message_with_text_usage_and_stop_reason(call):
    message = sdk(call)
    assert message.stop_reason == "end_turn"
    assert message.content[0].text
    assert message.usage.input_tokens == 4
    assert message.usage.output_tokens == (len(message.content[0].text) + 3) // 4


def test_sdk_stream_says_the_same_as_the_call_without():
    async def both(client: anthropic.AsyncAnthropic, service: Service) -> Any:
        given: dict[str, Any] = {"model": "m", "max_tokens": 500, "messages": HELLO}
        return (
            await client.messages.create(**given, extra_body={"seed": 1}),
            [
                event.type
                async for event in await client.messages.create(
                    **given, stream=True, extra_body={"seed": 1}
                )
            ],
        )

    message, events = sdk(both)
    assert message.content
    assert events[0] == "message_start"
    assert events[-2:] == ["message_delta", "message_stop"]
    assert {"content_block_start", "content_block_delta", "content_block_stop"} < {*events}


def test_sdk_stream_helper_puts_a_tool_call_together():
    async def call(client: anthropic.AsyncAnthropic, _: Service) -> Any:
        async with client.messages.stream(
            model="m", max_tokens=500, messages=HELLO, tools=TOOLS
        ) as events:
            return await events.get_final_message()

    message = sdk(call, "personas.caller.outcomes.tool_use=1", "persona=caller")
    assert message.stop_reason == "tool_use"
    assert message.content[1].input == {"to": "text"}


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("overloaded", anthropic.InternalServerError),
        ("server_error", anthropic.InternalServerError),
        ("rate_limited", anthropic.RateLimitError),
        ("ramp_limited", anthropic.RateLimitError),
        ("spend_limit", anthropic.RateLimitError),
        ("authentication", anthropic.AuthenticationError),
        ("permission", anthropic.PermissionDeniedError),
        ("conflict", anthropic.ConflictError),
    ],
)
def test_sdk_raises_the_class_of_each_fault(fault, error):
    with pytest.raises(error) as caught:
        sdk(create, f"faults.{fault}=1")
    assert caught.value.request_id.startswith("req_simulated_")


def test_sdk_sees_an_error_in_mid_stream_as_an_error_with_status_200():
    with pytest.raises(anthropic.APIStatusError) as caught:
        sdk(stream, "faults.overloaded_mid_stream=1")
    assert (caught.value.status_code, caught.value.type) == (200, "overloaded_error")


def test_sdk_takes_a_truncated_stream_for_a_message_without_stop_reason():
    assert sdk(stream, "faults.truncated_stream=1").stop_reason is None


def test_sdk_sees_a_cut_stream_as_a_broken_connection():
    with pytest.raises((httpx2.HTTPError, anthropic.APIConnectionError)):
        sdk(stream, "faults.cut_stream=1")


def test_sdk_finds_the_headers_of_the_quota():
    async def call(client: anthropic.AsyncAnthropic, _: Service) -> Any:
        found = await client.messages.with_raw_response.create(
            model="m", max_tokens=500, messages=HELLO
        )
        return found.headers

    headers = sdk(call, "quota.rpm=100")
    assert headers["anthropic-ratelimit-requests-limit"] == "100"
    assert headers["anthropic-ratelimit-requests-remaining"] == "99"
    reset = headers["anthropic-ratelimit-requests-reset"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", reset)
    assert headers["x-runner-simulated"] == "1"


def test_sdk_counts_tokens_and_lists_models():
    async def call(client: anthropic.AsyncAnthropic, _: Service) -> Any:
        counted = await client.messages.count_tokens(model="a", messages=HELLO)
        listed = [m.id async for m in client.models.list()]
        return counted.input_tokens, listed, (await client.models.retrieve("a")).id

    assert sdk(call, "models.a={}", "models.b={}") == (4, ["a", "b"], "a")


def test_client_that_leaves_stops_what_it_would_have_paid_for():
    async def main() -> None:
        # Whole, the answer would leave a debt that takes 40 s to be refilled.
        config = load_simulation(
            None,
            [
                "latency={first_token_s: 0, tokens_per_s: 50, spread: 0}",
                "output.sigma=0",
                "output.mean_tokens=400",
                "quota={otpm: 600, burst_s: 10}",
            ],
        )
        async with serving(config) as (url, service):
            client = anthropic.AsyncAnthropic(api_key="k", base_url=url, max_retries=0)
            async with client:
                events = await client.messages.create(
                    model="m", max_tokens=500, messages=HELLO, stream=True
                )
                async for _ in events:
                    break
                await asyncio.sleep(0.2)  # some of it is generated
                await events.close()
            loop = asyncio.get_running_loop()
            async with asyncio.timeout(20):
                while True:
                    quota = json.loads(service.stats(loop.time()))["quotas"][0]["output"]
                    if quota["level"] >= 99:
                        return
                    await asyncio.sleep(0.01)

    asyncio.run(main())


# Our own providers


@pytest.fixture(params=[ProviderKind.anthropic, ProviderKind.openai])
def kind(request: pytest.FixtureRequest) -> ProviderKind:
    return request.param


def ours(kind: ProviderKind, *keys: str, text: str = "hello", tools: Any = ()) -> Any:
    """Send one conversation; returns the failure, or the reply and whether it was labelled."""

    async def main() -> Any:
        async with serving(load_simulation(None, [*FAST, *keys])) as (url, _):
            base_url = f"{url}/v1" if kind is ProviderKind.openai else url
            config = ModelConfig(name="m", model="some", provider=kind, base_url=base_url)
            provider = open_provider(config, environ={}, max_body_bytes=1_000_000)
            conversation = Conversation(
                system="Be brief.", messages=[{"role": "user", "content": text}], tools=tools
            )
            try:
                found = await provider.send(provider.prepare(conversation, 0))
            finally:
                await provider.aclose()
            return found if isinstance(found, Failure) else (found, provider.read(found.body))

    return asyncio.run(main())


def test_provider_reads_an_answer_that_is_labelled_simulated(kind):
    answer, reply = ours(kind)
    assert isinstance(answer, Answer)
    assert isinstance(reply, Reply)
    assert answer.simulated
    assert answer.request_id.startswith("req_simulated_")
    assert any("remaining" in name for name in answer.headers)
    assert (reply.end_state, bool(reply.text)) == (EndState.ANSWERED, True)
    assert reply.usage.input_tokens > 0


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ("overloaded", K.OVERLOADED),
        ("server_error", K.SERVER_ERROR),
        ("bad_gateway", K.SERVER_ERROR),
        ("rate_limited", K.RATE_LIMITED),
        ("ramp_limited", K.RAMP_LIMITED),
        ("spend_limit", K.SPEND_LIMIT),
        ("spend_limit_400", K.SPEND_LIMIT),
        ("too_large", K.REQUEST_TOO_LARGE),
        ("cut_stream", K.TRUNCATED_RESPONSE),
    ],
)
def test_provider_classifies_each_fault_and_keeps_the_label(kind, fault, expected):
    failure = ours(kind, f"faults.{fault}=1")
    assert isinstance(failure, Failure)
    assert failure.kind is expected
    assert failure.simulated or fault == "cut_stream"


def test_provider_is_refused_a_body_that_is_too_large(kind):
    failure = ours(kind, "max_body_bytes=1000", text="x" * 300_000)
    assert isinstance(failure, Failure)
    assert (failure.kind, failure.status) == (K.REQUEST_TOO_LARGE, 413)


@pytest.mark.parametrize(
    ("outcome", "state"),
    [
        ("refusal", EndState.REFUSED),
        ("empty", EndState.EMPTY),
        ("max_tokens", EndState.TRUNCATED),
        ("tool_use", EndState.ANSWERED),
    ],
)
def test_provider_reads_each_behaviour_as_its_end_state(kind, outcome, state):
    keys = (f"personas.p.outcomes.{outcome}=1", "persona=p", "output.mean_tokens=10")
    _, reply = ours(kind, *keys, tools=TOOLS)
    assert reply.end_state is state


def test_provider_is_asked_to_continue_a_pause():
    _, reply = ours(ProviderKind.anthropic, "personas.p.outcomes.pause_turn=1", "persona=p")
    assert reply.continues
