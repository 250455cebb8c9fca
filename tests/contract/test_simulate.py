"""The simulated server as the real SDK and our providers see it, over HTTP."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any

import aiohttp
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
        ("overloaded", anthropic.OverloadedError),
        ("server_error", anthropic.InternalServerError),
        ("rate_limited", anthropic.RateLimitError),
        ("ramp_limited", anthropic.RampLimitExceededError),
        ("spend_limit", anthropic.EnforcedSpendLimitReachedError),
        ("contract_spend_limit", anthropic.ContractSpendLimitReachedError),
        ("too_large", anthropic.ContentTooLargeError),
        ("authentication", anthropic.AuthenticationError),
        ("permission", anthropic.PermissionDeniedError),
        ("conflict", anthropic.ConflictError),
    ],
)
def test_sdk_raises_the_class_of_each_fault(fault, error):
    with pytest.raises(error) as caught:
        sdk(create, f"faults.{fault}=1")
    assert caught.value.request_id.startswith("req_simulated_")
    says_when = fault in {"rate_limited", "ramp_limited"}
    assert ("retry-after" in caught.value.response.headers) == says_when


def test_sdk_sees_an_error_in_mid_stream_as_an_error_with_status_200():
    with pytest.raises(anthropic.APIStatusError) as caught:
        sdk(stream, "faults.overloaded_mid_stream=1")
    assert (caught.value.status_code, caught.value.type) == (200, "overloaded_error")


def test_sdk_takes_a_truncated_stream_for_a_message_without_stop_reason():
    assert sdk(stream, "faults.truncated_stream=1").stop_reason is None


def test_sdk_sees_a_cut_stream_as_a_broken_connection():
    with pytest.raises((httpx2.HTTPError, anthropic.APIConnectionError)):
        sdk(stream, "faults.cut_stream=1")


async def headers_of(client: anthropic.AsyncAnthropic, _: Service) -> Any:
    found = await client.messages.with_raw_response.create(
        model="m", max_tokens=500, messages=HELLO
    )
    return found.headers


def test_sdk_finds_the_headers_of_all_buckets_with_their_rounding_and_reset():
    headers = sdk(headers_of, "quota={rpm: 100, itpm: 61400, otpm: 80600}", "output.sigma=0")
    for name, limit, remaining in (
        ("requests", 100, {"99"}),
        ("input-tokens", 61_400, {"61000"}),
        ("output-tokens", 80_600, {"80000", "81000"}),
        ("tokens", 142_000, {"142000"}),
    ):
        prefix = f"anthropic-ratelimit-{name}-"
        assert headers[prefix + "limit"] == str(limit)
        assert headers[prefix + "remaining"] in remaining
        assert headers[prefix + "reset"].endswith("Z")
    assert headers["x-runner-simulated"] == "1"
    assert headers["anthropic-organization-id"] == "simulated"


def test_sdk_is_told_when_a_bucket_will_be_full_not_when_the_next_call_may_come():
    async def call(client: anthropic.AsyncAnthropic, service: Service) -> Any:
        for _ in range(5):
            await create(client, service)
        return await headers_of(client, service)

    headers = sdk(call, "quota={rpm: 60, burst_s: 30}")
    now = parsedate_to_datetime(headers["date"])
    reset = datetime.fromisoformat(headers["anthropic-ratelimit-requests-reset"])
    remaining = int(headers["anthropic-ratelimit-requests-remaining"])
    # 30 fit at 1 a second: what is missing is refilled then, give or take the rounding to seconds.
    assert 0 <= (reset - now).total_seconds() - (29 - remaining) <= 2
    assert remaining >= 24


@pytest.mark.parametrize("burst_s", [1, 10, 60])
def test_sdk_may_burst_as_far_as_the_bucket_holds_and_is_told_how_long_to_wait(burst_s):
    async def call(client: anthropic.AsyncAnthropic, service: Service) -> Any:
        for n in range(100):
            try:
                await create(client, service)
            except anthropic.RateLimitError as error:
                return n, error.response.headers, error.error_code
        raise AssertionError("never refused")

    # Two a minute: nothing to speak of comes back while the test runs.
    admitted, headers, code = sdk(call, f"quota={{rpm: 2, burst_s: {burst_s}}}")
    assert admitted == max(1, 2 * burst_s // 60)
    assert 25 <= int(headers["retry-after"]) <= 30
    assert code is None


@pytest.mark.parametrize("limit", ["itpm: 1000", "otpm: 30"])
def test_sdk_is_refused_by_each_token_bucket_and_the_message_names_it(limit):
    async def call(client: anthropic.AsyncAnthropic, service: Service) -> Any:
        for _ in range(20):
            await client.messages.create(
                model="m", max_tokens=500, messages=[{"role": "user", "content": "w" * 2000}]
            )

    with pytest.raises(anthropic.RateLimitError, match="put tokens per minute"):
        sdk(call, f"quota={{{limit}, burst_s: 60}}")


def test_sdk_meets_the_acceleration_limit_as_the_class_of_its_own_with_retry_after():
    async def call(client: anthropic.AsyncAnthropic, service: Service) -> Any:
        for _ in range(50):
            await create(client, service)

    with pytest.raises(anthropic.RampLimitExceededError) as caught:
        sdk(call, "quota={rpm: 600, ramp: {floor: 0.1, doubling_s: 600}}")
    assert int(caught.value.response.headers["retry-after"]) >= 1


def test_sdk_that_has_spent_its_cap_is_refused_without_retry_after():
    async def call(client: anthropic.AsyncAnthropic, service: Service) -> Any:
        for _ in range(50):
            await create(client, service)

    with pytest.raises(anthropic.EnforcedSpendLimitReachedError) as caught:
        sdk(call, "spend.usd=0.005")
    assert "retry-after" not in caught.value.response.headers


def test_sdk_sees_somebody_else_on_its_quota():
    async def call(client: anthropic.AsyncAnthropic, service: Service) -> Any:
        before = await headers_of(client, service)
        name = "anthropic-ratelimit-output-tokens-remaining"
        async with asyncio.timeout(20):
            while True:  # twice the refill is drawn by others: the level falls without our doing
                await asyncio.sleep(0.05)
                after = await headers_of(client, service)
                if int(after[name]) < int(before[name]) - 3000:
                    return

    sdk(call, "quota={otpm: 6000000, foreign: {share: 2}}", "output.mean_tokens=1")


@pytest.mark.parametrize("key", ["authorization", "x-api-key"])
def test_plain_client_may_send_its_key_in_either_header(key):
    async def main() -> Any:
        async with serving(load_simulation(None, [*FAST, "require_key=true"])) as (url, _):
            body = {"model": "m", "max_tokens": 9, "messages": HELLO}
            value = "Bearer k" if key == "authorization" else "k"
            async with (
                aiohttp.ClientSession() as session,
                session.post(f"{url}/v1/messages", json=body) as without,
                session.post(f"{url}/v1/messages", json=body, headers={key: value}) as given,
            ):
                return without.status, given.status, given.headers["x-runner-simulated"]

    assert asyncio.run(main()) == (401, 200, "1")


def test_sdk_waits_longer_for_longer_answers():
    async def call(client: anthropic.AsyncAnthropic, _: Service) -> Any:
        loop = asyncio.get_running_loop()
        begun = loop.time()
        message = await client.messages.create(model="m", max_tokens=500, messages=HELLO)
        return message.usage.output_tokens, loop.time() - begun

    tokens, seconds = sdk(
        call, "latency={first_token_s: 0.05, tokens_per_s: 200, spread: 0}", "output.sigma=0"
    )
    assert seconds >= 0.05 + tokens / 200  # never earlier; how much later is the machine's affair


@pytest.mark.parametrize("call", [create, stream])
def test_sdk_reads_refusals_before_and_amid_the_output(call):
    keys = ("persona=p", "spend.usd=1")
    before = sdk(call, *keys, "personas.p.outcomes.refusal=1")
    amid = sdk(call, *keys, "personas.p.outcomes.refusal_mid_output=1")
    for message in (before, amid):
        assert message.stop_reason == "refusal"
        assert message.stop_details.type == "refusal"
    assert (before.content, bool(amid.content[0].text)) == ([], True)
    assert amid.usage.output_tokens > before.usage.output_tokens


@pytest.mark.parametrize(("outcome", "paid"), [("refusal", False), ("refusal_mid_output", True)])
def test_refusal_is_billed_only_after_output_but_always_uses_the_quota(outcome, paid):
    async def call(client: anthropic.AsyncAnthropic, service: Service) -> Any:
        headers = await headers_of(client, service)
        counts = json.loads(service.stats(asyncio.get_running_loop().time()))
        return headers["anthropic-ratelimit-requests-remaining"], counts["spent_usd"]

    keys = ("persona=p", f"personas.p.outcomes.{outcome}=1", "spend.usd=1", "quota.rpm=100")
    remaining, spent = sdk(call, *keys)
    assert (remaining, spent > 0) == ("99", paid)


def test_sdk_continues_a_paused_turn_by_sending_it_back():
    async def call(client: anthropic.AsyncAnthropic, _: Service) -> Any:
        given: dict[str, Any] = {"model": "m", "max_tokens": 500}
        paused = await client.messages.create(**given, messages=HELLO)
        back = [*HELLO, {"role": "assistant", "content": paused.content}]
        return paused, await client.messages.create(**given, messages=back)

    paused, done = sdk(call, "persona=p", "personas.p.outcomes.pause_turn=1")
    assert (paused.stop_reason, done.stop_reason) == ("pause_turn", "end_turn")


def test_sdk_sends_a_tool_result_back_and_the_turn_ends():
    async def call(client: anthropic.AsyncAnthropic, _: Service) -> Any:
        given: dict[str, Any] = {"model": "m", "max_tokens": 500, "tools": TOOLS}
        asked = await client.messages.create(**given, messages=HELLO)
        use = asked.content[-1]
        result = {"type": "tool_result", "tool_use_id": use.id, "content": "sent"}
        back = [
            *HELLO,
            {"role": "assistant", "content": asked.content},
            {"role": "user", "content": [result]},
        ]
        return use, await client.messages.create(**given, messages=back)

    use, done = sdk(call, "persona=p", "personas.p.outcomes.tool_use=1")
    assert (use.type, use.name, use.input) == ("tool_use", "send", {"to": "text"})
    assert done.stop_reason == "end_turn"


def test_sdk_reads_the_rate_limits_of_the_organisation():
    async def call(client: anthropic.AsyncAnthropic, _: Service) -> Any:
        listed = [entry async for entry in client.organization.rate_limits.list(limit=1)]
        of_b = [entry async for entry in client.organization.rate_limits.list(model="b")]
        with pytest.raises(anthropic.NotFoundError):
            await client.organization.rate_limits.list(model="c")
        return listed, of_b

    listed, of_b = sdk(
        call,
        "groups.g={rpm: 50, itpm: 1000, otpm: null}",
        "models.a.group=g",
        "models.b={}",
        "only_listed=true",
    )
    assert [entry.group.type for entry in listed] == ["model_group", "model_group", "token_count"]
    assert listed[0].models == ["a"]
    assert {v.type: v.value for v in listed[0].limits} == {
        "requests_per_minute": 50,
        "input_tokens_per_minute_cache_aware": 1000,
    }
    (entry,) = of_b
    assert entry.models == ["b"]
    assert {v.value for v in entry.limits} == {4000, 4_000_000, 800_000}


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
        ("refusal_mid_output", EndState.REFUSED),
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
