"""A continuously refilled token bucket with fluid consumers. Pure: every method is told the time.

The bucket holds `limit / 60 * burst_s` tokens at most and gains `limit / 60` a second. Three kinds
of consumers draw on it:

* `take`: all or nothing, at one moment (a request, its uncached input);
* `flow`: a fixed amount, spread evenly over a time (output while it is generated); it is owed
  whatever the level, so the level may fall below zero: a debt, in which nothing is admitted;
* foreign load: a steady rate of somebody else on the same quota, who is refused like us where
  there is nothing left, and therefore never makes a debt.

Times are seconds on any clock that does not run backwards; an earlier time counts as the last one.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from math import inf

_TOLERANCE = 1e-6
"""Tokens; sums of floats over hours stay far below."""


_SHORTEST_FLOW_S = 1e-3


@dataclass(frozen=True, slots=True, kw_only=True)
class Foreign:
    """Somebody else's steady use of the same quota."""

    share: float
    """Of the limit, 0 or more."""
    on_s: float = inf
    """Seconds of use, then `off_s` seconds of none, and again from the start."""
    off_s: float = 0.0

    def at(self, since_start_s: float) -> tuple[float, float]:
        """Return (share now, seconds until it changes)."""
        if not self.off_s or self.on_s == inf:
            return self.share, inf
        place = since_start_s % (self.on_s + self.off_s)
        if place < self.on_s:
            return self.share, self.on_s - place
        return 0.0, self.on_s + self.off_s - place


@dataclass(slots=True, kw_only=True, eq=False)
class Flow:
    """An amount that drains evenly; a handle for `Bucket.stop`."""

    rate: float
    running: bool = False
    over: bool = False


@dataclass(slots=True, kw_only=True)
class ForeignUse:
    """What the others wanted and what they got, in tokens since the start."""

    wanted: float = 0.0
    taken: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Gauge:
    """A bucket at one moment, as headers tell it."""

    limit: float
    """Tokens a minute."""
    capacity: float
    level: float
    """Below zero: a debt."""

    @property
    def full_in_s(self) -> float:
        """Seconds until the bucket is full, if nobody draws on it."""
        return max(0.0, self.capacity - self.level) * 60 / self.limit


class Bucket:
    """One limit of a quota; full at the start."""

    def __init__(
        self, limit: float, burst_s: float, now: float, foreign: Foreign | None = None
    ) -> None:
        """Make a full bucket.

        Args:
            limit: tokens a minute, above 0.
            burst_s: seconds of refill that it holds.
            now: seconds.
            foreign: others who draw on it.
        """
        self.burst_s = burst_s
        self.own_use = 0.0
        """Tokens since the start that were taken, charged or drained, less what was given back."""
        self.foreign_use = ForeignUse()
        self._foreign = foreign
        self._start = self._at = now
        self._drain = 0.0
        self._flows = 0
        self._changes: list[tuple[float, int, bool, Flow]] = []
        self._serial = 0
        self._set(limit)
        self._level = self.capacity

    def _set(self, limit: float) -> None:
        self.limit = limit
        self._rate = limit / 60
        # Never below one token, or a small quota with a short burst could admit nothing at all.
        self.capacity = max(1.0, self._rate * self.burst_s)

    def resize(self, limit: float, now: float) -> None:
        """Change the limit; a level above the new capacity is lost."""
        self._advance(now)
        self._set(limit)
        self._level = min(self._level, self.capacity)

    def gauge(self, now: float) -> Gauge:
        """Return the bucket at this moment."""
        self._advance(now)
        return Gauge(limit=self.limit, capacity=self.capacity, level=self._level)

    def has(self, amount: float, now: float) -> bool:
        """Tell whether `amount` could be taken; more than the capacity only out of a full bucket."""
        self._advance(now)
        return self._level >= min(amount, self.capacity) - _TOLERANCE

    def take(self, amount: float, now: float) -> bool:
        """Take `amount`, or nothing and return False."""
        if not self.has(amount, now):
            return False
        self._level -= amount
        self.own_use += amount
        return True

    def spend(self, amount: float) -> None:
        """Take what `has` has just found, at the same moment."""
        self._level -= amount
        self.own_use += amount

    def charge(self, amount: float, now: float) -> None:
        """Take whatever the level; a negative amount gives back, up to the capacity."""
        self._advance(now)
        self.own_use += amount
        self._level = min(self._level - amount, self.capacity)

    def wait_s(self, amount: float, now: float) -> float:
        """Return the least time until `amount` can be taken: with all of the refill for it."""
        self._advance(now)
        missing = min(amount, self.capacity) - self._level
        return max(0.0, missing / self._rate)

    def flow(self, amount: float, start: float, seconds: float) -> Flow:
        """Drain `amount` evenly from `start` on, now or later.

        Args:
            amount: tokens.
            start: not before the last time the bucket was told.
            seconds: 0 or more; no time at all counts as a millisecond.
        """
        seconds = max(seconds, _SHORTEST_FLOW_S)
        flow = Flow(rate=amount / seconds)
        for at, begins in ((start, True), (start + seconds, False)):
            self._serial += 1
            heapq.heappush(self._changes, (at, self._serial, begins, flow))
        return flow

    def stop(self, flow: Flow, now: float) -> None:
        """End a flow early: what has not been drained yet is not used."""
        self._advance(now)
        if not flow.over:
            self._end(flow)

    def _end(self, flow: Flow) -> None:
        flow.over = True
        if flow.running:
            flow.running = False
            self._flows -= 1
            self._drain = self._drain - flow.rate if self._flows else 0.0

    def _apply_changes(self) -> None:
        while self._changes and self._changes[0][0] <= self._at:
            _, _, begins, flow = heapq.heappop(self._changes)
            if flow.over:
                continue
            if begins:
                flow.running = True
                self._flows += 1
                self._drain += flow.rate
            else:
                self._end(flow)

    def _advance(self, now: float) -> None:
        if now <= self._at:
            if self._changes:
                self._apply_changes()
            return
        if self._foreign is None and not self._flows and not self._changes:
            # Nobody draws but by `take`: the common case of requests and input.
            self._level = min(self.capacity, self._level + self._rate * (now - self._at))
            self._at = now
            return
        self._apply_changes()
        while self._at < now:
            until = min(now, self._changes[0][0]) if self._changes else now
            share = 0.0
            if self._foreign is not None:
                share, change_s = self._foreign.at(self._at - self._start)
                # At least a microsecond on, or rounding could hold the time at the edge.
                until = min(until, self._at + max(change_s, _TOLERANCE))
            self._glide(until - self._at, share * self._rate)
            self._at = until
            self._apply_changes()

    def _glide(self, seconds: float, foreign: float) -> None:
        """Move the level over a time in which no rate changes."""
        self.foreign_use.wanted += foreign * seconds
        self.own_use += self._drain * seconds
        net = self._rate - self._drain
        if self._level < 0:
            span = min(seconds, -self._level / net) if net > 0 else seconds
            self._level += net * span
            seconds -= span
            if seconds <= 0:
                return
            self._level = 0.0
        slope = net - foreign
        span = seconds if slope >= 0 else min(seconds, self._level / -slope)
        self._level = min(self.capacity, self._level + slope * span)
        self.foreign_use.taken += foreign * span
        seconds -= span
        if seconds > 0:
            # Empty: the others get what our own flows leave of the refill, and make no debt.
            self._level = min(0.0, net * seconds)
            self.foreign_use.taken += max(0.0, net) * seconds


@dataclass(slots=True, kw_only=True)
class Ramp:
    """An acceleration limit: the admitted rate may only grow so fast. Pure.

    The published text says "ramp up gradually" and no more; this is one reading of it. From the
    first request on, `floor · limit · 2^(t / doubling_s)` requests a minute are allowed, up to the
    limit; after `idle_s` without a request it begins again.
    """

    limit: float
    """Requests a minute when fully ramped up."""
    floor: float
    """Share of the limit that is allowed from the first moment, above 0."""
    doubling_s: float
    idle_s: float = 300.0
    _since: float = field(default=-inf, init=False)
    _last: float = field(default=-inf, init=False)
    _bucket: Bucket | None = field(default=None, init=False)

    def wait_s(self, now: float) -> float:
        """Return 0.0 and count a request, or the seconds until one is allowed."""
        bucket = self._bucket
        if bucket is None or now - self._last > self.idle_s:
            self._since = now
            bucket = self._bucket = Bucket(self.floor * self.limit, 1.0, now)
        self._last = now
        allowed = self.floor * 2 ** min(60.0, (now - self._since) / self.doubling_s)
        if allowed >= 1:
            return 0.0  # fully ramped up: from here on the quota alone binds
        bucket.resize(self.limit * allowed, now)
        if bucket.take(1, now):
            return 0.0
        return max(bucket.wait_s(1, now), _TOLERANCE)
