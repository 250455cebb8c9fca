"""Prompt caching: which prefix of a request is read, and which is written. Pure.

An entry is a prefix up to a breakpoint. It is written by the request that first had it there, can
be read only once that request's response has begun, and lives for its time-to-live from its last
use. A request reads the longest entry among its breakpoints and the 20 blocks before each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

TTL_S = {"5m": 300.0, "1h": 3600.0}
_LOOK_BACK = 20
_TOO_MANY = 50_000
"""Entries; then those that have run out are thrown away."""


@dataclass(frozen=True, slots=True)
class Prefix:
    """A request up to the end of one of its blocks."""

    digest: bytes
    """Of everything before and in the block."""
    tokens: int
    ttl: str | None
    """`5m` or `1h` where the block carries a breakpoint."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheUse:
    """Tokens of one request's input by how they were had."""

    read: int = 0
    written_5m: int = 0
    written_1h: int = 0

    @property
    def written(self) -> int:
        """All that was written."""
        return self.written_5m + self.written_1h


@dataclass(slots=True)
class _Entry:
    ready_at: float
    ends_at: float
    ttl_s: float


NOTHING = CacheUse()


class PromptCache:
    """The entries of one key and one model."""

    def __init__(self, min_tokens: int) -> None:
        """Start empty; prefixes below `min_tokens` are never kept."""
        self._min_tokens = min_tokens
        self._entries: dict[bytes, _Entry] = {}

    def look(self, prefixes: Sequence[Prefix], now: float) -> CacheUse:
        """Return what a request reads and would write; changes nothing but a read entry's life.

        Args:
            prefixes: one per block, shortest first.
            now: seconds.
        """
        breakpoints = [i for i, p in enumerate(prefixes) if self._writable(p)]
        if not breakpoints:
            return NOTHING
        read = self._longest_ready(prefixes, breakpoints, now)
        written = {"5m": 0, "1h": 0}
        reached = read
        for i in breakpoints:
            prefix = prefixes[i]
            if prefix.tokens > reached:
                written[prefix.ttl or "5m"] += prefix.tokens - reached
                reached = prefix.tokens
        return CacheUse(read=read, written_5m=written["5m"], written_1h=written["1h"])

    def write(self, prefixes: Sequence[Prefix], now: float, ready_at: float) -> None:
        """Keep a request's breakpoints, to be read from `ready_at` on."""
        if len(self._entries) > _TOO_MANY:
            self._entries = {d: e for d, e in self._entries.items() if e.ends_at > now}
        for prefix in prefixes:
            if not self._writable(prefix):
                continue
            ttl_s = TTL_S[prefix.ttl or "5m"]
            known = self._entries.get(prefix.digest)
            if known is None or known.ends_at <= now:
                self._entries[prefix.digest] = _Entry(ready_at, ready_at + ttl_s, ttl_s)
            else:
                known.ready_at = min(known.ready_at, ready_at)

    def _writable(self, prefix: Prefix) -> bool:
        return prefix.ttl is not None and prefix.tokens >= self._min_tokens

    def _longest_ready(
        self, prefixes: Sequence[Prefix], breakpoints: Sequence[int], now: float
    ) -> int:
        tried: set[int] = set()
        for end in reversed(breakpoints):
            for i in range(end, max(-1, end - _LOOK_BACK - 1), -1):
                if i in tried:
                    break
                tried.add(i)
                entry = self._entries.get(prefixes[i].digest)
                if entry is not None and entry.ready_at <= now < entry.ends_at:
                    entry.ends_at = now + entry.ttl_s
                    return prefixes[i].tokens
        return 0
