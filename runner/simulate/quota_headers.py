"""Rate-limit headers of both wires, with their rounding. Pure.

Messages API: token counts are rounded to the nearest thousand, `reset` is the RFC 3339 time at
which the bucket will be full again. Chat completions: exact counts, `reset` as a duration.
`tokens` is the sum of input and output on both.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from functools import lru_cache
from math import ceil, floor

from runner.simulate.buckets import Gauge
from runner.simulate.limits import Gauges


def retry_after(wait_s: float) -> int:
    """Return whole seconds, not below `wait_s` and at least 1."""
    return max(1, ceil(wait_s - 1e-6))


def messages_headers(gauges: Gauges, wall: float) -> str:
    """Return `anthropic-ratelimit-*` lines, each with its line end.

    Args:
        gauges: the buckets.
        wall: Unix seconds.
    """
    lines: list[str] = []
    for name, gauge, step in (
        ("requests", gauges.requests, 1),
        ("tokens", _total(gauges), 1000),
        ("input-tokens", gauges.input, 1000),
        ("output-tokens", gauges.output, 1000),
    ):
        if gauge is not None:
            lines.append(
                f"anthropic-ratelimit-{name}-limit: {round(gauge.limit)}\r\n"
                f"anthropic-ratelimit-{name}-remaining: {_remaining(gauge, step)}\r\n"
                f"anthropic-ratelimit-{name}-reset: {_instant(ceil(wall + gauge.full_in_s))}\r\n"
            )
    return "".join(lines)


def chat_headers(gauges: Gauges) -> str:
    """Return `x-ratelimit-*` lines, each with its line end."""
    return "".join(_chat_lines(gauges))


def _chat_lines(gauges: Gauges) -> Iterator[str]:
    for name, gauge in (("requests", gauges.requests), ("tokens", _total(gauges))):
        if gauge is not None:
            yield (
                f"x-ratelimit-limit-{name}: {round(gauge.limit)}\r\n"
                f"x-ratelimit-remaining-{name}: {_remaining(gauge, 1)}\r\n"
                f"x-ratelimit-reset-{name}: {duration(gauge.full_in_s)}\r\n"
            )


def _total(gauges: Gauges) -> Gauge | None:
    first, second = gauges.input, gauges.output
    if first is None or second is None:
        return first or second
    # Full when the slower of the two is: its deficit, stretched to the rate of both.
    limit = first.limit + second.limit
    capacity = first.capacity + second.capacity
    missing = max(first.full_in_s, second.full_in_s) * limit / 60
    held = max(0.0, first.level) + max(0.0, second.level)
    return (
        Gauge(limit=limit, capacity=held + missing, level=held)
        if missing
        else Gauge(limit=limit, capacity=capacity, level=capacity)
    )


def _remaining(gauge: Gauge, step: int) -> int:
    if step == 1:
        return max(0, floor(gauge.level + 1e-6))
    return max(0, floor(gauge.level / step + 0.5) * step)


@lru_cache(maxsize=4096)
def _instant(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@lru_cache(maxsize=16)
def http_date(seconds: int) -> str:
    """Return Unix seconds as a `date` header has them (RFC 9110, 5.6.7)."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%a, %d %b %Y %H:%M:%S GMT")


def duration(seconds: float) -> str:
    """Write seconds as chat completions servers do: `12ms`, `1.5s`, `6m0s`."""
    milliseconds = ceil(seconds * 1000)
    if milliseconds < 1000:
        return f"{milliseconds}ms"
    minutes, rest = divmod(milliseconds, 60_000)
    return f"{minutes}m{rest / 1000:g}s" if minutes else f"{rest / 1000:g}s"
