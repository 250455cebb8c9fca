"""What is kept of a response's header and error text: little, and no secret. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime

import orjson

from runner.providers.json_values import as_object, as_text

SIMULATED_HEADER = "x-runner-simulated"
"""Set by simulators and stand-ins; whatever the provider's name, it labels the row."""

MAX_MESSAGE = 500
_MAX_HEADER_VALUE = 200
_MAX_HEADERS = 40

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]+")
_SECRETS = re.compile(
    r"(?i:(?:x-api-key|api[-_]key|authorization)[\"']?\s*[:=]\s*[\"']?"
    r"(?:(?:bearer|basic)\s+)?[^\s\"',;]{6,})"
    r"|(?i:\b(?:bearer|basic)\s+[^\s\"',;]{6,})"
    r"|\bsk-[A-Za-z0-9_\-*.]{6,}"
)
_ID = re.compile(r"[0-9A-Za-z_-]+").fullmatch
_REMOVED = "[removed]"


SHORTEST_KEY = 12
"""A shorter one is the dummy of a local server (`test`, `x`): taking it out of answers would
change what the model said and protect nothing."""


class Redactor:
    """Removes the configured key, and what looks like one, from text and bodies."""

    def __init__(self, key: str | None) -> None:
        self._key = key or None
        self._key_bytes = key.encode() if key else None
        self._is_secret = key is not None and len(key) >= SHORTEST_KEY

    def __repr__(self) -> str:
        return "Redactor()"

    def text(self, text: str, limit: int = MAX_MESSAGE) -> str:
        """Return text fit for rows and terminals: no secret, no control code, cut to `limit`.

        Secrets go first, so that the cut cannot leave half of one.
        """
        key = self._key
        if len(text) <= limit and _ID(text) and "sk-" not in text and not (key and key in text):
            return text  # nearly every request id: nothing else of the below can be in it
        text = text[: 20 * limit]
        if self._key is not None:
            text = text.replace(self._key, _REMOVED)
        return _CONTROL.sub(" ", _SECRETS.sub(_REMOVED, text)).strip()[:limit]

    def body(self, body: bytes) -> bytes:
        """Return the body, without the key in the rare case that a server echoed it."""
        if self._key_bytes is not None and self._key_bytes in body and self._is_secret:
            return body.replace(self._key_bytes, _REMOVED.encode())
        return body

    def value(self, text: str) -> str:
        """Return a short header value without the key and without control codes."""
        return self.text(text, _MAX_HEADER_VALUE)


def rate_limit_headers(headers: Mapping[str, str], redactor: Redactor) -> dict[str, str]:
    """Return the headers that speak of quotas, names in lower case."""
    kept: dict[str, str] = {}
    for name, value in headers.items():
        lower = name.lower()
        if (
            "ratelimit" in lower or lower.startswith(("anthropic-priority-", "anthropic-fast-"))
        ) and len(kept) < _MAX_HEADERS:
            kept[redactor.value(lower)] = redactor.value(value)
    return kept


def request_id(headers: Mapping[str, str], redactor: Redactor) -> str | None:
    """Return the server's id of the request; header names are case-insensitive mappings' keys."""
    found = headers.get("request-id") or headers.get("x-request-id")
    return redactor.value(found) if found else None


def retry_after_s(headers: Mapping[str, str], now: float) -> float | None:
    """Return the seconds that the server asks to wait, None where it does not say.

    `retry-after-ms`, else `retry-after` in seconds or as an HTTP date. A date is measured
    against the response's own `date` header, since two hosts' clocks differ; without one,
    against `now`.

    Args:
        headers: a case-insensitive mapping.
        now: Unix seconds here.
    """
    milliseconds = _number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    text = headers.get("retry-after")
    seconds = _number(text)
    if seconds is not None or text is None:
        return seconds
    until = _date(text)
    if until is None:
        return None
    server_now = _date(headers.get("date") or "")
    return max(0.0, until - (server_now if server_now is not None else now))


def _number(text: str | None) -> float | None:
    try:
        number = float(text) if text is not None else None
    except ValueError:
        return None
    return number if number is not None and math.isfinite(number) and number >= 0 else None


def _date(text: str) -> float | None:
    try:
        parsed = parsedate_to_datetime(text)
    except ValueError:
        return None
    return (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp()


def error_facts(body: bytes) -> tuple[str | None, str | None, str]:
    """Return (type, code, message) of an error body, as any of the known servers writes it.

    Messages API: `{"error": {"type", "message", "details": {"error_code"}}}`; chat completions:
    `{"error": {"type", "message", "code"}}`, `{"error": "text"}` or the fields at the top. What
    is not JSON is itself the message. Numeric codes repeat the status and are dropped.
    """
    try:
        whole: object = orjson.loads(body)
    except orjson.JSONDecodeError:
        whole = None
    fields = as_object(whole)
    error: object = fields.get("error", fields)
    if isinstance(error, str):
        return None, None, error
    fields = as_object(error)
    codes = (as_object(fields.get("details")).get("error_code"), fields.get("code"))
    code = next((c for c in map(as_text, codes) if c is not None and not c.isdigit()), None)
    message = as_text(fields.get("message"))
    if message is None:
        message = body.decode("utf-8", "replace")
    return as_text(fields.get("type")), code, message
