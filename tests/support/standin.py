"""A fast HTTP server that stands in for a model API: Messages API and chat completions.

`python -m tests.support.standin [--host H] [--port 0] [--config JSON]` prints the port in one line and serves
until its standard input closes or it is killed (`--forever`: only killed). `StandIn` runs it in a process of its own,
`serving()` inside the running event loop.

Control: `GET /_stats`, `POST /_config` (fields of Settings), `POST /_reset` (counters only).
Calls are counted when the whole request was read; an answer is counted as `answered` when a whole
HTTP 200 body was handed to the socket. A prompt that holds `job=<word>` is counted under the word.
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import hashlib
import json
import re
import select
import subprocess
import sys
import urllib.request
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Self, cast

import orjson

from runner.providers.headers import SIMULATED_HEADER
from tests.support.standin_faults import (
    ANSWER_FAULTS,
    STATUS_FAULTS,
    Fault,
    Settings,
    answer_text,
    chat_body,
    chunks,
    error_body,
    message_body,
)

_MARKER = re.compile(rb"job=([A-Za-z0-9_.:/-]+)")
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_KEY = re.compile(rb"\r\n(?:authorization: *bearer|x-api-key:) *([^\r\n]*)", re.IGNORECASE)
_REASONS = {200: "OK", 302: "Found"}


class State:
    """Settings and counters, shared by all connections."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.reset()

    def reset(self) -> None:
        """Forget all counts."""
        self.total = 0
        self.answered = 0
        self.in_flight = 0
        self.max_in_flight = 0
        self.connections = 0
        self.calls: Counter[str] = Counter()
        self.answers: Counter[str] = Counter()
        self.markers: Counter[str] = Counter()
        self.answered_markers: Counter[str] = Counter()
        self.conversations: dict[str, Counter[int]] = {}
        self.outcomes: Counter[str] = Counter()
        self.callers: Counter[str] = Counter()
        """By address: which machine sends."""

    def stats(self) -> bytes:
        """Return all counts as JSON."""
        return orjson.dumps(
            {
                "total": self.total,
                "answered": self.answered,
                "in_flight": self.in_flight,
                "max_in_flight": self.max_in_flight,
                "connections": self.connections,
                "calls": self.calls,
                "answers": self.answers,
                "markers": self.markers,
                "answered_markers": self.answered_markers,
                "conversations": self.conversations,
                "outcomes": self.outcomes,
                "callers": self.callers,
            },
            option=orjson.OPT_NON_STR_KEYS,
        )


class _Call:
    """One model call: what was asked, and what is to be done about it."""

    __slots__ = ("body", "chat", "digest", "fault", "key", "marker", "model", "turn")

    def __init__(self, state: State, chat: bool, head: bytes, body: bytes) -> None:
        self.chat = chat
        self.body = body
        state.total += 1
        found = _KEY.search(head)
        self.key = found[1].decode("latin-1").strip() if found else ""
        found = _MARKER.search(body)
        self.marker = found[1].decode() if found else ""
        if self.marker:
            state.markers[self.marker] += 1
        self.turn = 0
        self.model = "any"
        self.digest = "00000000"
        repeat = 1
        if state.settings.count_digests:
            self.digest = hashlib.sha256(body).hexdigest()
            state.calls[self.digest] += 1
            repeat = state.calls[self.digest]
            self._read(state)
        self.fault: Fault | None = None
        for fault in state.settings.faults:
            if fault.strikes(state.total, self.digest, repeat, body, self.turn):
                self.fault = fault
                break

    def _read(self, state: State) -> None:
        payload = orjson.loads(self.body)
        messages = payload["messages"]
        self.model = payload["model"]
        first = next(m for m in messages if m["role"] == "user")
        root = orjson.dumps([self.model, payload.get("system"), payload.get("seed"), first])
        self.turn = sum(m["role"] == "assistant" for m in messages)
        name = self.marker or hashlib.sha256(root).hexdigest()[:16]
        state.conversations.setdefault(name, Counter())[self.turn] += 1


class Connection(asyncio.Protocol):
    """One client connection; requests are answered one after the other."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._buffer = bytearray()
        self._transport: asyncio.Transport
        self._task: asyncio.Task[None] | None = None
        self._writable = asyncio.Event()
        self._writable.set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are no subclass
        self._state.connections += 1
        self._caller = str(transport.get_extra_info("peername")[0])

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop what is still being answered."""
        if self._task:
            self._task.cancel()

    def pause_writing(self) -> None:
        """Hold back a huge body."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """Go on with a huge body."""
        self._writable.set()

    def data_received(self, data: bytes) -> None:
        """Collect a request and answer it."""
        self._buffer += data
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        found = _LENGTH.search(self._buffer, 0, end + 2)
        length = int(found[1]) if found else 0
        if len(self._buffer) < end + 4 + length:
            return
        head = bytes(self._buffer[: end + 2])
        body = bytes(self._buffer[end + 4 : end + 4 + length])
        del self._buffer[: end + 4 + length]
        self._dispatch(head, body)

    def _dispatch(self, head: bytes, body: bytes) -> None:
        path = head.split(b" ", 2)[1].partition(b"?")[0]
        state = self._state
        if path.endswith((b"/messages", b"/chat/completions")):
            call = _Call(state, path.endswith(b"/chat/completions"), head, body)
            state.callers[self._caller] += 1
            plain = call.fault is None or call.fault.kind not in {"hang", "slow"}
            state.in_flight += 1
            state.max_in_flight = max(state.max_in_flight, state.in_flight)
            if plain and not state.settings.latency_s and not _streams(call):
                self._answer(call)
                state.in_flight -= 1
            else:
                self._task = asyncio.get_running_loop().create_task(self._answer_later(call))
        elif path == b"/_stats":
            self._write(200, state.stats())
        elif path == b"/_config":
            self._configure(body)
        elif path == b"/_reset":
            state.reset()
            self._write(200, b"{}")
        else:
            self._write(404, error_body("not_found_error", None, "no such path"))

    def _configure(self, body: bytes) -> None:
        try:
            self._state.settings = Settings.of(json.loads(body))
        except (ValueError, TypeError) as error:
            self._write(400, str(error).encode())
        else:
            self._write(200, b"{}")

    async def _answer_later(self, call: _Call) -> None:
        try:
            await asyncio.sleep(self._state.settings.latency_s)
            if call.fault and call.fault.kind == "hang":
                await asyncio.sleep(3600)
            if _streams(call):
                await self._stream(call)
            else:
                self._answer(call)
        finally:
            self._state.in_flight -= 1

    def _answer(self, call: _Call) -> None:
        settings = self._state.settings
        kind = call.fault.kind if call.fault else None
        if settings.keys is not None and call.key not in settings.keys:
            kind = "authentication"
        elif settings.models is not None and call.model not in settings.models:
            kind = "unknown_model"
        self._state.outcomes[kind or "ok"] += 1
        if kind in STATUS_FAULTS:
            self._refuse(call, kind)
        elif kind == "disconnect":
            self._transport.close()
        elif kind == "reset":
            self._transport.abort()
        elif kind == "redirect":
            self._write(302, b"", extra="location: /elsewhere\r\n")
        else:
            body = self._body(call, kind)
            if kind == "truncated":
                self._write(200, body[: len(body) // 2], length=len(body))
                self._transport.close()
                return
            if kind == "gzip_bomb":
                body = gzip.compress(b"a" * (call.fault.size if call.fault else 0))
                self._write(200, body, extra="content-encoding: gzip\r\n")
                return
            self._write(200, body)
            self._count_answer(call)

    def _count_answer(self, call: _Call) -> None:
        if self._transport.is_closing():
            return
        self._state.answered += 1
        if self._state.settings.count_digests:
            self._state.answers[call.digest] += 1
        if call.marker:
            self._state.answered_markers[call.marker] += 1

    def _body(self, call: _Call, kind: str | None) -> bytes:
        make = chat_body if call.chat else message_body
        text = answer_text(self._state.settings, call.digest)
        shape = kind if kind in ANSWER_FAULTS else None
        return make(text, call.model, len(call.body), shape, call.key)

    def _refuse(self, call: _Call, kind: str) -> None:
        status, error_type, error_code, message = STATUS_FAULTS[kind]
        if kind == "authentication":
            message = f"{message} {call.key}"  # as unwise as real servers are
        extra = ""
        if call.fault and call.fault.retry_after_s is not None:
            extra = f"retry-after: {call.fault.retry_after_s:g}\r\n"
        if call.fault and call.fault.retry_after is not None:
            extra = f"retry-after: {call.fault.retry_after}\r\n"
        self._write(status, error_body(error_type, error_code, message), extra=extra)

    def _write(self, status: int, body: bytes, extra: str = "", length: int | None = None) -> None:
        if self._transport.is_closing():
            return
        self._transport.write(self._head(status, extra, length or len(body)) + body)

    def _head(self, status: int, extra: str, length: int | None) -> bytes:
        settings = self._state.settings
        if settings.simulated:
            extra += f"{SIMULATED_HEADER}: 1\r\n"
        for name, value in settings.headers.items():
            extra += f"{name}: {value}\r\n"
        framing = "transfer-encoding: chunked" if length is None else f"content-length: {length}"
        return (
            f"HTTP/1.1 {status} {_REASONS.get(status, 'Error')}\r\n"
            f"content-type: application/json\r\nrequest-id: req_{self._state.total}\r\n"
            f"{extra}{framing}\r\n\r\n"
        ).encode("latin-1")

    async def _stream(self, call: _Call) -> None:
        """Send a body in pieces: slowly, or of a size that nobody should hold in memory."""
        fault = call.fault
        assert fault is not None
        self._state.outcomes[fault.kind] += 1
        if fault.kind == "slow":
            body = self._body(call, None)
            self._transport.write(self._head(200, "", len(body)))
            for i in range(0, len(body), 100):
                self._transport.write(body[i : i + 100])
                await asyncio.sleep(0.02)
            self._count_answer(call)
            return
        chunked = fault.kind == "huge_chunked"
        status = 500 if fault.kind == "huge_error" else 200
        self._transport.write(self._head(status, "", None if chunked else fault.size))
        for piece in chunks(fault.size):
            await self._writable.wait()
            if self._transport.is_closing():
                return
            framed = b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece
            self._transport.write(framed)
        if chunked:
            self._transport.write(b"0\r\n\r\n")


def _streams(call: _Call) -> bool:
    kinds = {"slow", "huge", "huge_chunked", "huge_error"}
    return call.fault is not None and call.fault.kind in kinds


@asynccontextmanager
async def serving(**settings: Any) -> AsyncIterator[tuple[str, State]]:
    """Serve inside the running loop; yields the root URL and the state with its counters."""
    state = State(Settings.of(settings))
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(state), "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", state
    finally:
        server.close()


class StandIn:
    """The server in a process of its own; a context manager."""

    def __init__(self, host: str = "127.0.0.1", *, port: int = 0, **settings: Any) -> None:
        self._host = host
        self._settings = settings
        self._port = port
        self.process: subprocess.Popen[str]
        self.url = ""

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", "tests.support.standin"]
        self.process = subprocess.Popen(
            [
                *(*command, "--host", self._host, "--port", str(self._port)),
                *("--config", json.dumps(self._settings)),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        ready, _, _ = select.select([self.process.stdout], [], [], 30)
        line = self.process.stdout.readline() if ready else ""
        if not line.strip().isdigit():
            self.process.kill()
            msg = f"the stand-in did not start: {line!r}"
            raise RuntimeError(msg)
        self.url = f"http://{self._host}:{int(line)}"
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            if stream:
                stream.close()

    def stats(self) -> dict[str, Any]:
        """Return the counters."""
        return self._call("/_stats", None)

    def configure(self, **settings: Any) -> None:
        """Replace all settings; what is not given goes back to its default."""
        self._call("/_config", settings)

    def reset(self) -> None:
        """Set all counters to zero."""
        self._call("/_reset", {})

    def _call(self, path: str, body: dict[str, Any] | None) -> dict[str, Any]:
        data = None if body is None else json.dumps(body).encode()
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(self.url + path, data, timeout=30) as response:
            return json.load(response)


async def _serve(host: str, port: int, settings: Settings, forever: bool) -> None:
    loop = asyncio.get_running_loop()
    state = State(settings)
    server = await loop.create_server(lambda: Connection(state), host, port, backlog=4096)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    if forever:
        await server.serve_forever()
    # The parent's end of the pipe closes however the parent dies: no orphan.
    await loop.run_in_executor(None, sys.stdin.read)


def main() -> None:
    """Serve until standard input ends."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--config", default="{}", help="JSON of Settings")
    parser.add_argument("--forever", action="store_true", help="ignore standard input")
    args = parser.parse_args()
    try:
        import uvloop
    except ImportError:
        run = asyncio.run
    else:
        run = uvloop.run
    run(_serve(args.host, args.port, Settings.of(json.loads(args.config)), args.forever))


if __name__ == "__main__":
    main()
