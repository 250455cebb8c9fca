"""Streamed answers put together again: the body that a plain call would have had. Pure.

Bytes go in as they come; of a long answer only its text is kept, not the hundred bytes of frame
around each token. What breaks off, ends too early or ends in an `error` event is told apart:

* an `error` event (an overload in the middle of an answer, HTTP 200 long since sent) gives the
  body that holds the error, which `read` classifies as any error inside HTTP 200;
* a stream that ends, properly or not, before it has said why it stops gives a body without a stop
  reason, or none at all: `truncated_response`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Protocol

import orjson

from runner.providers.json_values import as_list, as_object, as_text
from runner.providers.openai_chat import UNPARSABLE_ARGUMENTS

CONTENT_TYPE = "text/event-stream"


class Assembler(Protocol):
    """Makes one body out of one stream."""

    @property
    def size(self) -> int:
        """Return about how many bytes it holds."""
        ...

    def feed(self, data: bytes) -> None:
        """Take the next bytes."""
        ...

    def body(self) -> bytes:
        """Return the body as far as it came; empty where not even its beginning did."""
        ...


class Events:
    """Splits a byte stream into the `data` of its server-sent events (WHATWG HTML, 9.2.6)."""

    __slots__ = ("_data", "_rest")

    def __init__(self) -> None:
        """Start at the beginning of a stream."""
        self._rest = b""
        self._data: list[bytes] = []

    @property
    def held(self) -> int:
        """Return the bytes of the event that is not whole yet."""
        return len(self._rest) + sum(map(len, self._data))

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield the data of each event that is whole now: its blank line has come."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        for raw in lines:
            line = raw.removesuffix(b"\r")
            if line.startswith(b"data:"):
                self._data.append(line[5:].removeprefix(b" "))
            elif not line and self._data:
                whole, self._data = b"\n".join(self._data), []
                yield whole


def _object(data: bytes) -> dict[str, Any]:
    try:
        return as_object(orjson.loads(data))
    except orjson.JSONDecodeError:
        return {}


class MessageAssembler:
    """A stream of the Messages API (event types and deltas as of 2026-10-21)."""

    def __init__(self) -> None:
        """Start before `message_start`."""
        self._size = 0
        self._events = Events()
        self._message: dict[str, Any] = {}
        self._blocks: list[dict[str, Any]] = []
        self._texts: list[dict[str, list[str]]] = []
        """Per block: its growing texts by field."""
        self._error: bytes | None = None

    @property
    def size(self) -> int:
        """Return about how many bytes it holds."""
        return self._size + self._events.held

    def feed(self, data: bytes) -> None:
        """Take the next bytes."""
        for event in self._events.feed(data):
            self._take(event)

    def body(self) -> bytes:
        """Return the `message`, or the error that ended it."""
        if self._error is not None:
            return self._error
        if not self._message:
            return b""
        content = [_block(b, t) for b, t in zip(self._blocks, self._texts, strict=True)]
        return orjson.dumps(self._message | {"content": content})

    def _take(self, data: bytes) -> None:
        event = _object(data)
        match event.get("type"):
            case "message_start":
                self._message = as_object(event.get("message"))
                self._size += len(data)
            case "content_block_start":
                self._blocks.append(as_object(event.get("content_block")))
                self._texts.append({})
                self._size += len(data)
            case "content_block_delta":
                self._grow(event.get("index"), as_object(event.get("delta")))
            case "message_delta":
                self._message |= as_object(event.get("delta"))
                usage = {k: v for k, v in as_object(event.get("usage")).items() if v is not None}
                self._message["usage"] = as_object(self._message.get("usage")) | usage
            case "error":
                self._error = data
            case _:
                pass  # ping, content_block_stop, message_stop, and what a later API may add

    def _grow(self, index: object, delta: Mapping[str, Any]) -> None:
        if not isinstance(index, int) or not 0 <= index < len(self._blocks):
            return
        kind = as_text(delta.get("type")) or ""
        if kind == "citations_delta":
            block = self._blocks[index]
            block["citations"] = [*as_list(block.get("citations")), delta.get("citation")]
            return
        name = {"input_json_delta": "partial_json"}.get(kind, kind.removesuffix("_delta"))
        piece = as_text(delta.get(name))
        if piece is not None:
            self._texts[index].setdefault(name, []).append(piece)
            self._size += len(piece)


def _block(block: Mapping[str, Any], texts: Mapping[str, list[str]]) -> dict[str, Any]:
    whole = dict(block)
    for name, pieces in texts.items():
        text = "".join(pieces)
        if name == "partial_json":
            whole["input"] = _arguments(text)
        else:
            whole[name] = (as_text(block.get(name)) or "") + text
    return whole


def _arguments(text: str) -> dict[str, Any]:
    try:
        given: object = orjson.loads(text or "{}")
    except orjson.JSONDecodeError:
        return {UNPARSABLE_ARGUMENTS: text}
    found = as_object(given)
    return found if found or given == {} else {UNPARSABLE_ARGUMENTS: text}


class ChatAssembler:
    """A stream of chat completion chunks; only the first choice, as the runner asks for one."""

    def __init__(self) -> None:
        """Start before the first chunk."""
        self._size = 0
        self._events = Events()
        self._head: dict[str, Any] = {}
        self._texts: dict[str, list[str]] = {}
        self._calls: dict[int, dict[str, Any]] = {}
        self._finish: str | None = None
        self._error: bytes | None = None

    @property
    def size(self) -> int:
        """Return about how many bytes it holds."""
        return self._size + self._events.held

    def feed(self, data: bytes) -> None:
        """Take the next bytes."""
        for event in self._events.feed(data):
            chunk = _object(event)  # `[DONE]` is no object
            if chunk.get("error") is not None:
                self._error = event
            elif chunk:
                self._take(chunk)

    def body(self) -> bytes:
        """Return the `chat.completion`, or the error that ended it."""
        if self._error is not None:
            return self._error
        if not self._head:
            return b""
        message: dict[str, Any] = {"role": "assistant", "content": None}
        message |= {name: "".join(pieces) for name, pieces in self._texts.items()}
        if self._calls:
            message["tool_calls"] = [self._calls[i] for i in sorted(self._calls)]
        choice = {"index": 0, "message": message, "finish_reason": self._finish}
        return orjson.dumps(self._head | {"object": "chat.completion", "choices": [choice]})

    def _take(self, chunk: dict[str, Any]) -> None:
        choice = as_object(next(iter(as_list(chunk.pop("choices", None))), None))
        if not self._head:
            self._size += len(chunk) * 50
        self._head |= {k: v for k, v in chunk.items() if v is not None}
        self._finish = as_text(choice.get("finish_reason")) or self._finish
        for name, value in as_object(choice.get("delta")).items():
            if name == "tool_calls":
                for call in as_list(value):
                    self._grow_call(as_object(call))
            elif name != "role" and isinstance(value, str):
                if value:
                    self._texts.setdefault(name, []).append(value)
                self._size += len(value)

    def _grow_call(self, piece: Mapping[str, Any]) -> None:
        index = piece.get("index")
        number = index if isinstance(index, int) else len(self._calls)
        call = self._calls.setdefault(
            number, {"id": "", "type": "function", "function": {"name": "", "arguments": ""}}
        )
        call["id"] = as_text(piece.get("id")) or call["id"]
        function = as_object(piece.get("function"))
        for name in ("name", "arguments"):
            more = as_text(function.get(name)) or ""
            call["function"][name] += more
            self._size += len(more)
