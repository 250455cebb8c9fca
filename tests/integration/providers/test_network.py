"""Networks that fail in ways which no HTTP server can play, and the SDK's own error classes."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from typing import Any

import anthropic
import httpx2
import pytest
from anthropic._error_classes import ERROR_CLASSES, make_status_error

from runner.config.schema import ModelConfig, ProviderKind
from runner.core.values import Answer, Conversation, Failure, FailureKind, Stop
from runner.providers.classify import FAILURES, classify
from runner.providers.headers import Redactor, error_facts
from runner.providers.open import open_provider
from runner.providers.wire import status_failure

HELLO = Conversation(system=None, messages=[{"role": "user", "content": "hello"}])
PROVIDERS = [ProviderKind.anthropic, ProviderKind.openai]


async def send(kind: ProviderKind, url: str) -> Answer | Failure:
    config = ModelConfig(name="m", provider=kind, model="m", base_url=url, timeout_s=20)
    provider = open_provider(config, environ={}, max_body_bytes=1000)
    try:
        return await provider.send(provider.prepare(HELLO, 0))
    finally:
        await provider.aclose()


def failure(kind: ProviderKind, url: str) -> Failure:
    outcome = asyncio.run(send(kind, url))
    assert isinstance(outcome, Failure)
    return outcome


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port that is bound but not listened on, so that nobody else can answer there."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


@pytest.mark.parametrize("kind", PROVIDERS)
def test_send_to_a_closed_port_is_refused(kind, closed_port):
    found = failure(kind, f"http://127.0.0.1:{closed_port}")
    assert (found.kind, found.error_type) == (FailureKind.CONNECTION, "refused")
    assert f"127.0.0.1:{closed_port}" in found.message


@pytest.mark.parametrize("kind", PROVIDERS)
def test_send_to_an_unknown_name_says_so(kind):
    found = failure(kind, "http://no-such-host.invalid")
    assert (found.kind, found.error_type) == (FailureKind.CONNECTION, "dns")


async def send_to_a_greeter(kind: ProviderKind, scheme: str) -> Answer | Failure:
    """Call a server that talks, but not HTTP."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)
        writer.write(b"220 mail.example.com ESMTP\r\n")
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        return await send(kind, f"{scheme}://127.0.0.1:{port}")


@pytest.mark.parametrize("kind", PROVIDERS)
def test_send_over_tls_to_a_server_without_tls_says_so(kind):
    found = asyncio.run(send_to_a_greeter(kind, "https"))
    assert isinstance(found, Failure)
    assert (found.kind, found.error_type) == (FailureKind.CONNECTION, "tls")


@pytest.mark.parametrize("kind", PROVIDERS)
def test_send_to_something_that_is_no_http_server_says_so(kind):
    found = asyncio.run(send_to_a_greeter(kind, "http"))
    assert isinstance(found, Failure)
    assert (found.kind, found.error_type) == (FailureKind.BAD_RESPONSE, "no_http")


def exported_error_classes() -> set[type[anthropic.APIStatusError]]:
    exported = [getattr(anthropic, name) for name in dir(anthropic)]
    return {c for c in exported if isinstance(c, type) and issubclass(c, anthropic.APIStatusError)}


@pytest.mark.parametrize(("status", "code"), ERROR_CLASSES, ids=str)
def test_every_error_class_of_the_sdk_lands_in_one_row(status: int, code: str | None):
    details: dict[str, Any] = {"details": {"error_code": code}} if code else {}
    body = {"type": "error", "error": {"type": "some_error", "message": "text", **details}}
    response = httpx2.Response(status, json=body, request=httpx2.Request("POST", "http://a"))
    error = make_status_error("text", body=body, response=response)
    assert type(error) is ERROR_CLASSES[status, code]
    found = status_failure(
        error.status_code, error.response.headers, error.response.content, Redactor(None)
    )
    assert found.kind is classify(error.status_code, error.type, error.error_code)
    assert (found.status, found.error_code) == (status, code)
    assert [kind for kind in FAILURES if kind is found.kind] == [found.kind]
    assert found.kind is not FailureKind.INTERNAL


def test_sdk_exports_no_status_error_that_the_table_test_leaves_out():
    general = {anthropic.APIStatusError, anthropic.InternalServerError}
    assert exported_error_classes() - general <= set(ERROR_CLASSES.values())


def test_spend_limits_of_the_sdk_stop_the_model():
    limits = [key for key in ERROR_CLASSES if key[1] and "spend_limit_reached" in key[1]]
    assert len(limits) == 3
    for status, code in limits:
        assert FAILURES[classify(status, "rate_limit_error", code)].stop is Stop.MODEL


def test_error_facts_agree_with_what_the_sdk_reads():
    body = {
        "type": "error",
        "error": {
            "type": "rate_limit_error",
            "message": "too fast",
            "details": {"error_code": "ramp_limit_exceeded"},
        },
    }
    response = httpx2.Response(429, json=body, request=httpx2.Request("POST", "http://a"))
    error = make_status_error("", body=body, response=response)
    assert error_facts(response.content) == (error.type, error.error_code, error.api_message)
