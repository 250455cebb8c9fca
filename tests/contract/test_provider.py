"""What every provider promises, on a real HTTP server: the same tests for both wires."""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from runner.config.schema import ModelConfig, ProviderKind
from runner.core.values import (
    Answer,
    Conversation,
    EndState,
    Failure,
    FailureKind,
    Prepared,
    Reply,
)
from runner.providers.open import open_provider
from runner.providers.protocol import Provider
from tests.support.standin import State, serving
from tests.support.standin_faults import (
    ANSWER_FAULTS,
    STATUS_FAULTS,
    TRANSPORT_FAULTS,
    Settings,
)

KEY = "planted-key-5d1f0c77"
LIMIT = 1_000_000
K = FailureKind

HELLO = Conversation(system="Be brief.", messages=[{"role": "user", "content": "job=a hello"}])
Body = Callable[[Provider, State], Awaitable[Any]]


@pytest.fixture(params=[ProviderKind.anthropic, ProviderKind.openai])
def kind(request: pytest.FixtureRequest) -> ProviderKind:
    return request.param


def run(
    kind: ProviderKind, body: Body, settings: dict[str, Any] | None = None, **model: Any
) -> Any:
    """Open a provider on a stand-in and do something with the two."""

    async def main() -> Any:
        async with serving(**(settings or {})) as (url, state):
            base_url = f"{url}/v1" if kind is ProviderKind.openai else url
            given: dict[str, Any] = {"name": "m", "model": "some-model", "api_key_env": "K"}
            config = ModelConfig(provider=kind, base_url=base_url, **(given | model))
            provider = open_provider(config, environ={"K": KEY}, max_body_bytes=LIMIT)
            try:
                return await body(provider, state)
            finally:
                await provider.aclose()

    return asyncio.run(main())


async def call(provider: Provider, state: State) -> Answer | Failure:
    return await provider.send(provider.prepare(HELLO, 3))


def outcome_of(kind: ProviderKind, fault: str, **given: Any) -> Answer | Failure:
    return run(kind, call, {"faults": [{"kind": fault, **given}]})


def test_send_gives_the_body_as_received_with_id_and_label(kind):
    settings = {"text": "Good morning.", "headers": {"x-ratelimit-remaining-requests": "9"}}
    answer = run(kind, call, settings)
    assert isinstance(answer, Answer)
    assert b"Good morning." in answer.body
    assert answer.request_id == "req_1"
    assert answer.simulated
    assert answer.headers == {"x-ratelimit-remaining-requests": "9"}


def test_send_to_a_server_without_the_label_is_not_simulated(kind):
    answer = run(kind, call, {"simulated": False})
    assert isinstance(answer, Answer)
    assert not answer.simulated


def test_read_gives_the_reply_of_what_was_sent(kind):
    async def body(provider: Provider, state: State) -> Reply | Failure:
        answer = await call(provider, state)
        assert isinstance(answer, Answer)
        return provider.read(answer.body)

    reply = run(kind, body, {"text": "Good morning."})
    assert isinstance(reply, Reply)
    assert (reply.text, reply.end_state, reply.model) == (
        "Good morning.",
        EndState.ANSWERED,
        "some-model",
    )


@pytest.mark.parametrize("max_tokens", [50, 64_000])
def test_send_sends_the_prepared_bytes_on_every_attempt(kind, max_tokens):
    async def body(provider: Provider, state: State) -> tuple[Prepared, State]:
        prepared = provider.prepare(HELLO, 3)
        for _ in range(3):
            await provider.send(prepared)
        return prepared, state

    prepared, state = run(
        kind, body, {"faults": [{"kind": "overloaded", "first": 2}]}, max_tokens=max_tokens
    )
    assert state.calls == {prepared.digest: 3}
    assert state.outcomes == {"overloaded": 2, "ok": 1}


def test_prepare_sends_params_and_seed_only_where_configured(kind):
    async def body(provider: Provider, state: State) -> list[Prepared]:
        return [provider.prepare(HELLO, seed) for seed in (3, 4)]

    plain = run(kind, body)
    assert plain[0].body == plain[1].body
    seeded = run(kind, body, send_seed=True, params={"top_k": 5})
    assert [p.payload["seed"] for p in seeded] == [3, 4]
    assert seeded[0].payload["top_k"] == 5


EXPECTED = {
    "bad_request": K.BAD_REQUEST,
    "spend_limit_400": K.SPEND_LIMIT,
    "authentication": K.AUTHENTICATION,
    "billing": K.BILLING,
    "permission": K.PERMISSION,
    "unknown_model": K.UNKNOWN_MODEL,
    "request_timeout": K.TIMEOUT,
    "conflict": K.CONFLICT,
    "too_large": K.REQUEST_TOO_LARGE,
    "unprocessable": K.BAD_REQUEST,
    "rate_limited": K.RATE_LIMITED,
    "ramp_limited": K.RAMP_LIMITED,
    "spend_limit": K.SPEND_LIMIT,
    "contract_spend_limit": K.SPEND_LIMIT,
    "server_error": K.SERVER_ERROR,
    "bad_gateway": K.SERVER_ERROR,
    "unavailable": K.OVERLOADED,
    "gateway_timeout": K.TIMEOUT,
    "overloaded": K.OVERLOADED,
    "teapot": K.UNKNOWN_STATUS,
    "redirect": K.UNKNOWN_STATUS,
    "disconnect": K.CONNECTION,
    "reset": K.CONNECTION,
    "truncated": K.TRUNCATED_RESPONSE,
    "huge": K.RESPONSE_TOO_LARGE,
    "huge_chunked": K.RESPONSE_TOO_LARGE,
    "huge_error": K.SERVER_ERROR,
    "gzip_bomb": K.RESPONSE_TOO_LARGE,
}


def test_expectations_cover_every_fault_of_the_stand_in():
    assert EXPECTED.keys() | {"hang", "slow"} == STATUS_FAULTS.keys() | TRANSPORT_FAULTS


@pytest.mark.parametrize("fault", EXPECTED)
def test_send_classifies_every_fault(kind, fault):
    failure = outcome_of(kind, fault)
    assert isinstance(failure, Failure)
    assert failure.kind is EXPECTED[fault]
    assert failure.message
    if fault in STATUS_FAULTS:
        status, error_type, error_code, _ = STATUS_FAULTS[fault]
        assert (failure.status, failure.error_type, failure.error_code) == (
            status,
            error_type,
            error_code,
        )
        assert failure.request_id == "req_1"
        assert failure.simulated


def test_send_stops_reading_a_body_that_never_ends(kind):
    failure = outcome_of(kind, "huge_chunked", size=10**13)
    assert isinstance(failure, Failure)
    assert failure.kind is K.RESPONSE_TOO_LARGE


def test_send_goes_on_after_any_fault_with_the_same_provider(kind):
    async def body(provider: Provider, state: State) -> None:
        for fault in EXPECTED:
            state.settings = Settings.of({"faults": [{"kind": fault}]})
            assert isinstance(await call(provider, state), Failure)
            state.settings = Settings.of({})
            assert isinstance(await call(provider, state), Answer), f"after {fault}"

    run(kind, body)


def test_send_reads_retry_after(kind):
    failure = outcome_of(kind, "rate_limited", retry_after_s=2.5)
    assert isinstance(failure, Failure)
    assert failure.retry_after_s == 2.5


def test_send_with_a_deadline_that_passes_is_a_timeout(kind):
    failure = run(kind, call, {"faults": [{"kind": "hang"}]}, timeout_s=0.1)
    assert isinstance(failure, Failure)
    assert (failure.kind, failure.status) == (K.TIMEOUT, None)


def test_send_with_a_deadline_counts_the_whole_body_not_each_read(kind):
    failure = run(kind, call, {"faults": [{"kind": "slow"}]}, timeout_s=0.1)
    assert isinstance(failure, Failure)
    assert failure.kind is K.TIMEOUT


def test_send_when_cancelled_raises_and_leaves_the_provider_usable(kind):
    async def body(provider: Provider, state: State) -> Answer | Failure:
        task = asyncio.create_task(call(provider, state))  # pyright: ignore[reportArgumentType]
        while not state.in_flight:
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        state.settings = Settings.of({})
        return await call(provider, state)

    assert isinstance(run(kind, body, {"faults": [{"kind": "hang"}]}), Answer)


def test_send_uses_a_connection_again(kind):
    async def body(provider: Provider, state: State) -> int:
        for _ in range(5):
            await call(provider, state)
        return state.connections

    assert run(kind, body) == 1


def test_send_keeps_to_max_in_flight_connections(kind):
    async def body(provider: Provider, state: State) -> State:
        async with asyncio.TaskGroup() as group:
            for _ in range(20):
                group.create_task(call(provider, state))  # pyright: ignore[reportArgumentType]
        return state

    state = run(kind, body, {"latency_s": 0.01}, max_in_flight=4)
    assert (state.answered, state.connections) == (20, 4)


def test_send_without_a_key_variable_sends_no_key(kind, monkeypatch):
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    answer = run(kind, call, {"keys": [""]}, api_key_env=None)
    assert isinstance(answer, Answer)


def test_send_with_the_key_passes_a_server_that_checks_it(kind):
    assert isinstance(run(kind, call, {"keys": [KEY]}), Answer)
    failure = run(kind, call, {"keys": ["another"]})
    assert isinstance(failure, Failure)
    assert failure.kind is K.AUTHENTICATION


@pytest.mark.parametrize(
    "fault", sorted(STATUS_FAULTS.keys() | ANSWER_FAULTS | TRANSPORT_FAULTS - {"slow"})
)
def test_no_outcome_holds_the_key(kind, fault):
    settings = {
        "faults": [{"kind": fault}],
        "headers": {"x-ratelimit-owner": KEY, "anthropic-ratelimit-note": f"of {KEY}"},
    }
    outcome = run(kind, call, settings, timeout_s=0.5 if fault == "hang" else 60)
    assert KEY not in repr(outcome)
    assert KEY.encode() not in pickle.dumps(outcome)
    assert b"job=a hello" not in pickle.dumps(outcome), "the prompt is no part of an outcome"


def test_no_provider_shows_the_key(kind):
    async def body(provider: Provider, state: State) -> str:
        return repr(provider) + str(vars(provider))

    assert KEY not in run(kind, body).replace(f"Bearer {KEY}", "")  # the header map is private
