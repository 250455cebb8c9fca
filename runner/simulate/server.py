"""The simulated server's shell: HTTP/1.1 over asyncio, in real time. All decisions are `Service`'s.

No task per call: a response is a timer, a stream one timer after the other. A client that leaves
stops its generation, and with it the output that counts against its quota.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import cast
from urllib.parse import parse_qsl, unquote

from runner.core.clock import SystemClock
from runner.simulate.config import SimulateConfig
from runner.simulate.request import Wire
from runner.simulate.service import Ending, Served, Service

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_KEY = re.compile(rb"\r\n(?:authorization: *bearer|x-api-key:) *([^\r\n]*)", re.IGNORECASE)
_EXPECTS = re.compile(rb"\r\nexpect: *100-continue", re.IGNORECASE)
_MAX_HEAD = 65_536
STATS_PATH = "/simulate/stats"


class Connection(asyncio.Protocol):
    """One client connection; requests are answered one after the other."""

    def __init__(self, service: Service, clock: SystemClock) -> None:
        self._service = service
        self._clock = clock
        self._buffer = bytearray()
        self._busy: Served | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport
        self._continued = False
        self._unread = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are no subclass

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # asyncio's signature
        """Stop what is still being generated."""
        if self._timer is not None:
            self._timer.cancel()
        if self._busy is not None:
            self._service.finish(self._busy, self._loop.time(), early=True)

    def data_received(self, data: bytes) -> None:
        """Collect a request and answer it."""
        if self._unread > 0:
            # Of a body that was refused: to close before it is all there would reset the
            # connection, and the client might never see the answer.
            self._unread -= len(data)
            if self._unread <= 0:
                self._transport.close()
            return
        self._buffer += data
        if self._busy is None:
            self._read()

    def _read(self) -> None:
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            if len(self._buffer) > _MAX_HEAD:
                self._transport.abort()
            return
        head = bytes(self._buffer[: end + 2])
        found = _LENGTH.search(head)
        length = int(found[1]) if found else 0
        _, path, _ = _request_line(head)
        if length > self._service.config.max_body_bytes:
            wire = Wire.CHAT if path.endswith("/chat/completions") else Wire.MESSAGES
            self._unread = end + 4 + length - len(self._buffer)
            self._buffer.clear()
            self._send(self._service.refuse_size(wire), close=self._unread <= 0)
            return
        if len(self._buffer) < end + 4 + length:
            if not self._continued and _EXPECTS.search(head):
                self._continued = True
                self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            return
        body = bytes(self._buffer[end + 4 : end + 4 + length])
        del self._buffer[: end + 4 + length]
        self._continued = False
        self._dispatch(head, body)

    def _dispatch(self, head: bytes, body: bytes) -> None:
        method, path, query = _request_line(head)
        service, now = self._service, self._loop.time()
        found = _KEY.search(head)
        key = found[1].decode("latin-1").strip() if found else ""
        match method, path:
            case "POST", "/v1/messages":
                served = service.call(Wire.MESSAGES, body, key, now, self._clock.wall())
            case "POST", "/v1/chat/completions":
                served = service.call(Wire.CHAT, body, key, now, self._clock.wall())
            case "POST", "/v1/messages/count_tokens":
                served = service.count(body, key, now)
            case "GET", "/v1/models":
                served = service.models(None, key)
            case "GET", _ if path.startswith("/v1/models/"):
                served = service.models(unquote(path.removeprefix("/v1/models/")), key)
            case "GET", "/v1/organizations/rate_limits":
                served = service.rate_limits(dict(parse_qsl(query)), key)
            case "GET", "/simulate/stats":
                self._write_whole(200, "", service.stats(now))
                return
            case _:
                served = service.no_such_path(path)
        self._answer(served)

    def _answer(self, served: Served) -> None:
        self._busy = served
        if served.pieces:
            self._later(served.first_s, lambda: self._stream(served))
        else:
            self._later(served.first_s + served.seconds, lambda: self._whole(served))

    def _later(self, seconds: float, then: Callable[[], None]) -> None:
        if seconds <= 0:
            then()
        else:
            self._timer = self._loop.call_later(seconds, then)

    def _whole(self, served: Served) -> None:
        if served.ending is Ending.CUT:
            body = served.body
            lines = self._head_lines(served)
            self._write_whole(served.status, lines, body[: len(body) // 2], length=len(body))
            self._done(served, close=True)
            return
        self._send(served)

    def _send(self, served: Served, *, close: bool = False) -> None:
        self._write_whole(served.status, self._head_lines(served), served.body)
        self._done(served, close=close)

    def _stream(self, served: Served) -> None:
        lines = self._head_lines(served)
        head = (
            f"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n{lines}"
            "transfer-encoding: chunked\r\n\r\n"
        )
        self._transport.write(head.encode("latin-1"))
        self._next_pieces(served, 0, self._loop.time())

    def _next_pieces(self, served: Served, at: int, begun: float) -> None:
        """Write all pieces that are due, and come back for the next."""
        elapsed = self._loop.time() - begun
        due: list[bytes] = []
        pieces = served.pieces
        while at < len(pieces) and pieces[at].at * served.seconds <= elapsed:
            due.append(pieces[at].data)
            at += 1
        if due:
            data = b"".join(due)
            self._transport.write(b"%x\r\n%b\r\n" % (len(data), data))
        if at < len(pieces):
            wait_s = pieces[at].at * served.seconds - elapsed
            self._timer = self._loop.call_later(
                wait_s, lambda: self._next_pieces(served, at, begun)
            )
            return
        if served.ending is Ending.CUT:
            self._transport.write(b"ffff\r\ndata: ")  # a chunk that is longer than what follows
        else:
            self._transport.write(b"0\r\n\r\n")
        self._done(served, close=served.ending is Ending.CUT)

    def _done(self, served: Served, *, close: bool) -> None:
        self._service.finish(served, self._loop.time())
        self._busy = self._timer = None
        if close:
            self._transport.close()
        elif self._buffer:
            self._loop.call_soon(self._read_next)

    def _read_next(self) -> None:
        if self._busy is None and not self._transport.is_closing():
            self._read()

    def _head_lines(self, served: Served) -> str:
        return self._service.head(served, self._loop.time(), self._clock.wall())

    def _write_whole(self, status: int, lines: str, body: bytes, length: int | None = None) -> None:
        kind = "text/html" if body.startswith(b"<") else "application/json"
        head = (
            f"HTTP/1.1 {status} {_reason(status)}\r\ncontent-type: {kind}\r\n{lines}"
            f"content-length: {len(body) if length is None else length}\r\n\r\n"
        )
        self._transport.write(head.encode("latin-1") + body)


def _request_line(head: bytes) -> tuple[str, str, str]:
    """Return (method, path, query)."""
    method, _, rest = head.partition(b" ")
    path, _, query = rest.partition(b" ")[0].partition(b"?")
    return method.decode("latin-1"), path.decode("latin-1"), query.decode("latin-1")


def _reason(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Overloaded"


@asynccontextmanager
async def serving(config: SimulateConfig, port: int = 0) -> AsyncGenerator[tuple[str, Service]]:
    """Serve on this machine only; yields the base URL and the service.

    Args:
        config: checked settings.
        port: 0 for any free one.

    Raises:
        OSError: the port is taken.
    """
    loop = asyncio.get_running_loop()
    clock = SystemClock()
    service = Service(config, loop.time())
    server = await loop.create_server(
        lambda: Connection(service, clock), "127.0.0.1", port, backlog=4096
    )
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", service
    finally:
        server.close()
