"""One HTTP exchange over aiohttp, for every provider: bounded bodies, and errors told apart.

Owns sessions, the exchange itself and the reading of network errors. Knows no API.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import aiohttp
from multidict import CIMultiDictProxy
from yarl import URL

from runner.core.clock import SystemClock
from runner.core.values import Answer, Failure, FailureKind
from runner.providers.classify import classify
from runner.providers.event_stream import CONTENT_TYPE, Assembler
from runner.providers.headers import (
    SIMULATED_HEADER,
    Redactor,
    error_facts,
    rate_limit_headers,
    request_id,
    retry_after_s,
)

CONNECT_TIMEOUT_S = 10.0
"""An unreachable server is told in seconds, whatever the attempt's own deadline."""
_MAX_ERROR_BODY = 65_536


class ResponseTooLargeError(Exception):
    """The body exceeds the bound; reading was broken off and the connection dropped."""


class SilentError(Exception):
    """A stream sent nothing for too long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Streamed:
    """That and how a response is read as a stream."""

    assembler: Assembler
    """Fresh: of this call alone."""
    silence_s: float
    """The longest wait for the first byte, and between two."""
    begun: Callable[[], None]
    """Told when the response has begun."""


class Exchange(NamedTuple):
    """A response with its whole body (of an error: at most its first 64 KiB)."""

    status: int
    headers: CIMultiDictProxy[str]
    body: bytes


class Channel:
    """A session to one URL. Made on first use, because a session belongs to a running loop."""

    def __init__(
        self,
        url: str,
        *,
        connections: int,
        proxy: str | None,
        max_bytes: int,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Connect to nothing yet.

        Args:
            url: of every request.
            connections: at most so many side by side.
            proxy: URL of an HTTP proxy.
            max_bytes: of a response body.
            headers: of every request, where they are the same for all. `post` and `stream` given
                this very mapping have them merged already, once for the session. Names Accept,
                Content-Type, User-Agent and Accept-Encoding, or aiohttp adds its own.
        """
        self.url = URL(url)
        self._headers = headers
        self._connections = connections
        self._proxy = proxy
        self._max_bytes = max_bytes
        self._session: aiohttp.ClientSession | None = None

    def _open(self) -> aiohttp.ClientSession:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=self._connections, keepalive_timeout=30.0, ttl_dns_cache=300
            ),
            # The attempt's deadline is the caller's; here only the connect has one of its own.
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT_S),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers=self._headers,
            # Leaving headers out costs aiohttp more per request than finding them all there.
            skip_auto_headers=None
            if self._headers
            else ("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
        )
        return self._session

    def _own(self, headers: Mapping[str, str]) -> Mapping[str, str] | None:
        return None if headers is self._headers else headers

    async def post(self, headers: Mapping[str, str], body: bytes) -> Exchange:
        """Send one POST and read the whole response.

        Raises:
            ResponseTooLargeError: HTTP 200 with a body above `max_bytes`.
            aiohttp.ClientError, OSError: as the network has it; see `network_failure`.
        """
        session = self._session or self._open()
        response = await session.post(
            self.url,
            data=body,
            headers=self._own(headers),
            allow_redirects=False,
            proxy=self._proxy,
        )
        status, received = response.status, response.headers
        try:
            if status != 200:
                text = await _read_at_most(response, _MAX_ERROR_BODY, cut=True)
            elif 0 < (response.content_length or 0) <= self._max_bytes and (
                "Content-Encoding" not in received
            ):
                text = await response.read()
            else:
                text = await _read_at_most(response, self._max_bytes, cut=False)
            return Exchange(status, received, text)
        finally:
            # Of a body read to its end the connection is back in the pool already; else it goes.
            response.close()

    async def stream(self, headers: Mapping[str, str], body: bytes, how: Streamed) -> Exchange:
        """Send one POST and put its events together to the body that a plain call would have had.

        What is no event stream (an error; a server that answers whole all the same) is read as by
        `post`.

        Raises:
            SilentError: nothing came for `silence_s`.
            ResponseTooLargeError: the answer exceeds `max_bytes`.
            aiohttp.ClientError, OSError: as in `post`.
        """
        session = self._session or self._open()
        loop = asyncio.get_running_loop()
        silence = asyncio.timeout(how.silence_s)
        try:
            async with silence:
                response = await session.post(
                    self.url,
                    data=body,
                    headers=self._own(headers),
                    allow_redirects=False,
                    proxy=self._proxy,
                )
                try:
                    if response.status != 200:
                        text = await _read_at_most(response, _MAX_ERROR_BODY, cut=True)
                        return Exchange(response.status, response.headers, text)
                    how.begun()
                    if response.content_type != CONTENT_TYPE:
                        silence.reschedule(None)
                        text = await _read_at_most(response, self._max_bytes, cut=False)
                        return Exchange(200, response.headers, text)
                    async for piece in response.content.iter_any():
                        silence.reschedule(loop.time() + how.silence_s)
                        how.assembler.feed(piece)
                        if how.assembler.size > self._max_bytes:
                            raise ResponseTooLargeError
                    return Exchange(200, response.headers, how.assembler.body())
                finally:
                    response.close()
        except TimeoutError:
            if silence.expired():
                raise SilentError from None
            raise

    async def aclose(self) -> None:
        """Close all connections."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()


async def _read_at_most(response: aiohttp.ClientResponse, limit: int, *, cut: bool) -> bytes:
    """Read (and decode) piece by piece, because a length may be missing, wrong, or compressed."""
    if not cut and (response.content_length or 0) > limit:
        raise ResponseTooLargeError
    pieces: list[bytes] = []
    size = 0
    async for piece in response.content.iter_any():
        pieces.append(piece)
        size += len(piece)
        if size > limit:
            if cut:
                break
            raise ResponseTooLargeError
    return b"".join(pieces)[:limit]


def outcome(exchange: Exchange, redactor: Redactor) -> Answer | Failure:
    """Turn a response into the value that leaves the provider."""
    headers = exchange.headers
    if exchange.status == 200:
        return Answer(
            body=redactor.body(exchange.body),
            request_id=request_id(headers, redactor),
            simulated=SIMULATED_HEADER in headers,
            headers=rate_limit_headers(headers, redactor),
        )
    return status_failure(exchange.status, headers, exchange.body, redactor)


def status_failure(
    status: int, headers: Mapping[str, str], body: bytes, redactor: Redactor
) -> Failure:
    """Return the classified failure that an error status and its body stand for.

    Args:
        status: any but 200.
        headers: a case-insensitive mapping.
        body: the error body, or the beginning of one.
        redactor: knows the key.
    """
    error_type, error_code, message = error_facts(body)
    return Failure(
        kind=classify(status, error_type, error_code, message),
        message=redactor.text(message) or f"HTTP {status} without a message",
        status=status,
        error_type=redactor.value(error_type) if error_type else None,
        error_code=redactor.value(error_code) if error_code else None,
        request_id=request_id(headers, redactor),
        retry_after_s=retry_after_s(headers, SystemClock().wall()),
        simulated=SIMULATED_HEADER in headers,
        headers=rate_limit_headers(headers, redactor),
    )


def timeout_failure(timeout_s: float) -> Failure:
    """Return the failure of an attempt that met its own deadline."""
    return Failure(
        kind=FailureKind.TIMEOUT,
        message=f"no whole answer within {timeout_s:g} s (timeout_s)",
        error_type="deadline",
    )


def network_failure(error: BaseException, url: URL, redactor: Redactor) -> Failure:
    """Return the failure that an exception of an exchange stands for.

    Looks through the chain of causes for the exception that says most. What is no network error
    is a bug of ours: INTERNAL, with the type's name, because a text could hold the request.
    """
    where = f"{url.host}:{url.port}"
    chain = _causes(error)
    for cause in chain:
        found = _read_network_error(cause)
        if found is not None:
            kind, error_type, text = found
            return Failure(
                kind=kind, message=redactor.text(f"{where}: {text}"), error_type=error_type
            )
    names = " from ".join(type(cause).__name__ for cause in chain)
    return Failure(kind=FailureKind.INTERNAL, message=redactor.text(names), error_type="exception")


def _causes(error: BaseException) -> list[BaseException]:
    chain: list[BaseException] = []
    current: BaseException | None = error
    while current is not None and current not in chain and len(chain) < 10:
        chain.append(current)
        current = current.__cause__ or current.__context__
    return chain


def _read_network_error(error: BaseException) -> tuple[FailureKind, str, str] | None:  # noqa: C901, PLR0911  # one flat list of cases
    if isinstance(error, SilentError):
        return FailureKind.TIMEOUT, "silence", "the stream fell silent for timeout_s"
    if isinstance(error, ResponseTooLargeError):
        text = "the response is larger than max_record_bytes"
        return FailureKind.RESPONSE_TOO_LARGE, "response_too_large", text
    if isinstance(error, aiohttp.ClientPayloadError):
        return FailureKind.TRUNCATED_RESPONSE, "truncated", "the body broke off"
    if isinstance(error, aiohttp.ClientSSLError | ssl.SSLError):
        text = (
            "TLS failed; is the certificate right, are CA certificates installed (package "
            "ca-certificates, or SSL_CERT_FILE)?"
        )
        return FailureKind.CONNECTION, "tls", text
    if isinstance(error, aiohttp.ClientConnectorDNSError | socket.gaierror):
        return FailureKind.CONNECTION, "dns", "the name cannot be resolved"
    if isinstance(error, aiohttp.ServerTimeoutError):
        text = f"no connection within {CONNECT_TIMEOUT_S:g} s"
        return FailureKind.CONNECTION, "connect_timeout", text
    if isinstance(error, aiohttp.ClientProxyConnectionError | aiohttp.ClientHttpProxyError):
        return FailureKind.CONNECTION, "proxy", "the proxy does not connect"
    if isinstance(error, aiohttp.ServerDisconnectedError):
        text = "the server closed the connection without an answer"
        return FailureKind.CONNECTION, "disconnected", text
    if isinstance(error, aiohttp.ClientConnectorError | OSError):
        return _read_os_error(error)
    if isinstance(error, asyncio.IncompleteReadError | aiohttp.ClientResponseError):
        return FailureKind.BAD_RESPONSE, "no_http", "the server does not speak HTTP"
    if isinstance(error, aiohttp.ClientError):
        return FailureKind.CONNECTION, "connection", type(error).__name__
    return None


def _read_os_error(error: OSError) -> tuple[FailureKind, str, str]:
    refused = isinstance(error, ConnectionRefusedError) or error.errno == errno.ECONNREFUSED
    if refused:
        return FailureKind.CONNECTION, "refused", "connection refused; is the server running?"
    if error.errno in {errno.ECONNRESET, errno.EPIPE}:
        return FailureKind.CONNECTION, "reset", "connection reset"
    name = errno.errorcode.get(error.errno or 0, type(error).__name__)
    return FailureKind.CONNECTION, "connection", f"no connection ({name})"
