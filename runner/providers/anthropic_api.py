"""The Messages API through the anthropic SDK: the only module that knows the SDK.

The SDK builds, authenticates and classifies each request; its own retries, tracing and response
models are off. Below it works `_AiohttpClient` instead of the SDK's aiohttp client: the same
aiohttp, but one read per body, bounded, without the redirect, cookie and auth layers, which pays
for the rest of the runner's work per job. SDK exceptions hold the key and the prompt, so they end
here: only `Failure` values leave.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import anthropic
import httpx2
from anthropic.resources.messages.messages import DEPRECATED_MODELS

from runner.config.schema import ModelConfig
from runner.config.streaming import longest_call_s, streams
from runner.core.values import Answer, Conversation, Failure, FailureKind, Prepared, Reply
from runner.providers.codec import ModelCodec
from runner.providers.event_stream import MessageAssembler
from runner.providers.headers import Redactor
from runner.providers.wire import (
    Channel,
    Exchange,
    Streamed,
    network_failure,
    outcome,
    status_failure,
    timeout_failure,
)

_STREAMED: ContextVar[Streamed | None] = ContextVar("_STREAMED", default=None)
"""How the present call's response is read: the SDK hands nothing of ours through to its client."""


def retirements() -> dict[str, date]:
    """Return the models that the SDK knows to end or to have ended, by id, with the day."""
    found: dict[str, date] = {}
    for model, said in DEPRECATED_MODELS.items():
        plain = re.sub(r"(?<=\d)(st|nd|rd|th)\b", "", said)
        found[model] = datetime.strptime(plain, "%B %d, %Y").replace(tzinfo=UTC).date()
    return found


class _AiohttpClient(httpx2.AsyncClient):
    """The `http_client` handed to the SDK: httpx2's interface, aiohttp's wire."""

    def __init__(self, channel: Channel) -> None:
        # A transport that is never used: the default one would load certificates for nothing.
        super().__init__(transport=httpx2.AsyncBaseTransport(), trust_env=False)
        self._channel = channel

    def build_request(
        self,
        method: str,
        url: httpx2.URL | str,
        *,
        content: Any = None,  # the type is httpx2's own
        headers: Any = None,
        **_: Any,
    ) -> httpx2.Request:
        """Return the SDK's request as it is; there are no client-wide headers to merge."""
        return httpx2.Request(method, url, headers=headers, content=content)

    async def send(self, request: httpx2.Request, **_: Any) -> httpx2.Response:
        """Carry out the request; the response is whole when this returns."""
        headers = {name: value for name, value in request.headers.items() if name != "host"}
        how = _STREAMED.get()
        if how is None:
            exchange = await self._channel.post(headers, request.content)
        else:
            exchange = await self._channel.stream(headers, request.content, how)
        return _Response(request, exchange)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._channel.aclose()
        await super().aclose()


class _Response(httpx2.Response):
    """A response that carries the exchange it came from.

    Of a success the SDK looks at the status only, so httpx2 is not made to handle header and
    body a second time.
    """

    def __init__(self, request: httpx2.Request, exchange: Exchange) -> None:
        failed = exchange.status != 200
        super().__init__(
            exchange.status,
            headers=_error_headers(exchange.headers) if failed else None,
            content=exchange.body if failed else None,
            request=request,
        )
        self.exchange = exchange


def _error_headers(headers: Mapping[str, str]) -> list[tuple[str, str]]:
    """Leave out what no longer describes the body: it is decoded and may be cut."""
    gone = {"content-encoding", "content-length", "transfer-encoding"}
    return [(name, value) for name, value in headers.items() if name.lower() not in gone]


_WITHOUT_A_CAUSE = (
    (FailureKind.TIMEOUT, anthropic.APITimeoutError),
    (FailureKind.CONNECTION, anthropic.APIConnectionError),
    (FailureKind.BAD_RESPONSE, anthropic.APIResponseValidationError),
    (FailureKind.AUTHENTICATION, anthropic.CredentialsError),
)


class AnthropicProvider:
    """One model behind the Messages API."""

    def __init__(
        self,
        model: ModelConfig,
        *,
        base_url: str,
        key: str | None,
        proxy: str | None,
        max_body_bytes: int,
    ) -> None:
        """Build the client; connects to nothing.

        Args:
            model: checked by `open_provider`.
            base_url: without the `/v1/messages`.
            key: sent as a bearer token; None sends no authentication.
            proxy: URL of an HTTP proxy.
            max_body_bytes: larger bodies are not read to their end.
        """
        self._model = model
        self._longest_s = longest_call_s(model)
        self._codec = ModelCodec(model)
        self._redactor = Redactor(key)
        self._path = f"{base_url.rstrip('/')}/v1/messages"
        self._channel = Channel(
            self._path,
            connections=model.max_in_flight,
            proxy=proxy,
            max_bytes=max_body_bytes,
        )
        headers: dict[str, Any] = {**model.headers}
        if key is None:
            headers["Authorization"] = anthropic.Omit()
        self._client = anthropic.AsyncAnthropic(
            api_key=key or "",  # without one the SDK would look for keys and profiles by itself
            base_url=base_url,
            timeout=model.timeout_s,
            max_retries=0,
            default_headers=headers,
            open_telemetry=False,
            http_client=_AiohttpClient(self._channel),
        )

    def prepare(self, conversation: Conversation, seed: int) -> Prepared:
        """Return the request; see Provider."""
        return self._codec.prepare(conversation, seed)

    async def send(
        self, prepared: Prepared, begun: Callable[[], None] | None = None
    ) -> Answer | Failure:
        """Make one attempt; see Provider."""
        longest_s = self._longest_s
        if streams(self._model):
            how = Streamed(
                assembler=MessageAssembler(),
                silence_s=self._model.timeout_s,
                begun=begun or _unheard,
            )
            token = _STREAMED.set(how)
        else:
            token = None
        try:
            async with asyncio.timeout(longest_s):
                response = await self._client.post(
                    self._path,
                    cast_to=httpx2.Response,
                    content=prepared.body,
                    options={"timeout": longest_s},
                )
        except TimeoutError:
            return timeout_failure(longest_s)
        except Exception as error:  # noqa: BLE001  # past here failures are values, ours included
            return self.failure(error)
        finally:
            if token is not None:
                _STREAMED.reset(token)
        if isinstance(response, _Response):
            return outcome(response.exchange, self._redactor)
        return network_failure(TypeError(), self._channel.url, self._redactor)

    def failure(self, error: Exception) -> Failure:
        """Return what an exception of the SDK, or of what is below it, stands for."""
        if isinstance(error, anthropic.APIStatusError):
            body = error.response.content
            return status_failure(error.status_code, error.response.headers, body, self._redactor)
        found = network_failure(error, self._channel.url, self._redactor)
        if found.kind is not FailureKind.INTERNAL:
            return found
        # Nothing in the chain of causes says more than the SDK does.
        for kind, sdk_class in _WITHOUT_A_CAUSE:
            if isinstance(error, sdk_class):
                return replace(found, kind=kind)
        return found

    def read(self, body: bytes) -> Reply | Failure:
        """Read a body; see Provider."""
        return self._codec.read(body)

    async def aclose(self) -> None:
        """Close connections; see Provider."""
        await self._client.close()


def _unheard() -> None:
    """Nobody waits for the beginning of this answer."""
