"""Reads rate-limit headers of both wires into readings per meter. Pure.

`anthropic-ratelimit-{requests,input-tokens,output-tokens}-{limit,remaining,reset}` and
`x-ratelimit-{limit,remaining,reset}-{requests,tokens}`. Limits are per minute but for servers that
count requests by the day, which a reset far beyond a minute gives away. The total `tokens` meter
is left out: the two it sums up bind earlier, or say the same. Absent, negative or unreadable is
unknown.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from math import isfinite

from runner.limits.quota import Meter, Reading, Readings

_NAMES = {
    Meter.REQUESTS: "requests",
    Meter.INPUT: "input-tokens",
    Meter.OUTPUT: "output-tokens",
}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|us|µs|ns|h|m|s)")
_UNIT_S = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_EPOCH = 1e8
"""A plain number above is Unix seconds (or, above a thousand times that, milliseconds)."""
_BY_DAY_S = 600.0
"""A bucket of a minute that is full again only after more than this is none of a minute."""


def parse_readings(headers: Mapping[str, str], server_now: float | None) -> Readings:
    """Return what is said of each meter; empty where nothing is.

    Args:
        headers: names in lower case.
        server_now: Unix seconds by the response's own `date`, None where it has none: then
            absolute resets are unknown, since two hosts' clocks differ.
    """
    found: Readings = {}
    for meter, name in _NAMES.items():
        prefix = f"anthropic-ratelimit-{name}-"
        reading = _reading(
            headers.get(prefix + "limit"),
            headers.get(prefix + "remaining"),
            headers.get(prefix + "reset"),
            server_now,
        )
        if reading is None and meter is Meter.REQUESTS:
            reading = _reading(
                headers.get("x-ratelimit-limit-requests"),
                headers.get("x-ratelimit-remaining-requests"),
                headers.get("x-ratelimit-reset-requests"),
                server_now,
            )
        if reading is not None:
            found[meter] = reading
    return found


def _reading(
    limit: str | None, remaining: str | None, reset: str | None, server_now: float | None
) -> Reading | None:
    reading = Reading(
        limit=_number(limit), remaining=_number(remaining), resets_in_s=seconds(reset, server_now)
    )
    if not reading.limit or (reading.resets_in_s or 0.0) > _BY_DAY_S:
        return None
    return reading


def seconds(text: str | None, server_now: float | None) -> float | None:
    """Return a reset as seconds from now: RFC 3339, a Go duration, plain or Unix seconds."""
    if text is None:
        return None
    text = text.strip()
    number = _number(text)
    if number is not None:
        if number < _EPOCH:
            return number
        at = number / 1000.0 if number >= 1000.0 * _EPOCH else number
        return None if server_now is None else max(0.0, at - server_now)
    if _PART.sub("", text) == "" and text:
        return sum(float(n) * _UNIT_S[unit] for n, unit in _PART.findall(text))
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    if server_now is None:
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, moment.timestamp() - server_now)


def _number(text: str | None) -> float | None:
    try:
        number = float(text) if text is not None else None
    except ValueError:
        return None
    return number if number is not None and isfinite(number) and number >= 0 else None
