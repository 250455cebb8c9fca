"""The rate aimed at on one meter: limit, safety, headers, refusals. Pure.

Headers close the loop. With nobody else on the quota the server's bucket fills up and the limit
times `safety` is the rate. Somebody else makes the level fall; then a proportional-integral loop
holds it at a set level by lowering our rate, which leaves to others what they use and takes what
they leave. The set level is `SET_BELOW_FULL_S` seconds below full, or a share of a small bucket:
high enough that neither we nor the others are refused, below full so that a rest is not wasted.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf

from runner.limits.discovery import FORGOTTEN, Learner
from runner.limits.quota import Meter, MeterStatus, Reading
from runner.limits.windows import Window

SET_BELOW_FULL_S = 5.0
SET_SHARE = 0.35
"""Of a bucket that is smaller than that (simulation: reference/api.md 7)."""
PROPORTIONAL = 0.08
"""Change of the rate's share per second of level off the set level."""
INTEGRAL = 0.0016
"""The same per second of time: PROPORTIONAL² / 4, critical damping of a bucket."""
LEAST = 0.05
FOREIGN_S = 10.0
"""Time constant of the estimate of what others use."""
FOREIGN_EVERY_S = 2.0
"""It is made so often: between two heartbeats a few requests decide."""
LOWEST_SAFETY = 0.9
REFUSED_TOO_OFTEN = 0.005
SAFETY_STEP = 0.005
SAFETY_EVERY_S = 10.0


@dataclass(slots=True)
class Others:
    """What others use of the limit: what the level lost beyond our own use."""

    share: float | None = None
    """Of the limit; None: not known yet."""
    _at: float | None = None
    _level_s: float = 0.0
    _used_s: float = 0.0
    _own: float = 0.0

    def observe(self, *, level_s: float, full: bool, used_s: float, now: float) -> None:
        """Take in a level.

        Args:
            level_s: seconds of the limit in the bucket.
            full: nobody knows how much was refilled for nothing.
            used_s: all that we have ever used, in the same seconds.
            now: seconds.
        """
        passed = inf if self._at is None else now - self._at
        if passed < FOREIGN_EVERY_S:
            return
        if passed < FOREIGN_S:
            own = max(0.0, used_s - self._used_s) / passed
            weight = passed / FOREIGN_S
            if not full:
                # What we used counts when a call starts, in the level when its answer begins.
                found = 1.0 - max(own, self._own) - (level_s - self._level_s) / passed
                before = self.share or 0.0
                self.share = max(0.0, before + weight * (min(1.0, max(-1.0, found)) - before))
            elif self.share:
                self.share *= 1.0 - weight
            self._own = own
        self._at, self._level_s, self._used_s = now, level_s, used_s


@dataclass(slots=True)
class HeaderLoop:
    """Holds the server's level at the set level."""

    scale: float = 1.0
    """Of the limit, at most 1."""
    others: Others = field(default_factory=Others)
    _integral: float = 0.0
    _full_s: float = 0.0
    _at: float | None = None

    def observe(
        self, reading: Reading, *, limit: float, used: float, binding: bool, now: float
    ) -> None:
        """Take in a header.

        Args:
            reading: with `remaining`.
            limit: a second.
            used: all that we have ever used.
            binding: whether this meter decides our rate; only then may the integral move.
            now: seconds.
        """
        if reading.remaining is None or limit <= 0:
            return
        level_s = reading.remaining / limit
        self._full_s = max(self._full_s, level_s)
        passed = 0.0 if self._at is None else min(2.0, now - self._at)
        if self._at is not None and passed <= 0:
            return
        set_s = max(SET_SHARE * self._full_s, self._full_s - SET_BELOW_FULL_S)
        off = level_s - set_s
        if binding or off < 0:
            self._integral = min(0.0, max(-1.0, self._integral + INTEGRAL * off * passed))
        self.scale = min(1.0, max(LEAST, 1.0 + self._integral + PROPORTIONAL * off))
        full = level_s >= 0.98 * self._full_s
        self.others.observe(level_s=level_s, full=full, used_s=used / limit, now=now)
        self._at = now

    def resized(self) -> None:
        """The limit changed: old levels say nothing any more."""
        self._full_s, self._at, self._integral, self.scale = 0.0, None, 0.0, 1.0
        self.others = Others(share=self.others.share)


@dataclass(slots=True)
class Target:
    """One meter of a group."""

    meter: Meter
    limit: float | None
    """A second; None: unknown."""
    source: str
    learner: Learner
    loop: HeaderLoop = field(default_factory=HeaderLoop)
    used: float = 0.0
    """Our use since the start."""
    shares: Window = field(default_factory=Window)
    """The same of late as shares of the limit of its moment, in seconds."""

    def rate(self, safety: float) -> float | None:
        """Return what is aimed at, a second; None: this meter limits nothing."""
        learned = self.learner.rate
        if self.limit is None:
            return learned
        rate = self.limit * min(safety, self.loop.scale)
        return rate if learned is None else min(rate, learned)

    def advance(self, now: float, *, wanted: bool) -> None:
        """Move time on."""
        self.learner.advance(now, wanted=wanted)
        learned = self.learner.rate
        if self.limit is not None and learned is not None and learned > FORGOTTEN * self.limit:
            self.learner = Learner(at=now, searching=False)

    def count(self, amount: float, now: float) -> None:
        """Our own use: requests let in, tokens charged."""
        self.used += amount
        if self.limit:
            self.shares.add(amount / self.limit, now)
        self.learner.accepted(amount)

    def observe(self, reading: Reading, *, binding: bool, now: float) -> None:
        """Take in a header: adopt a limit that moved, and close the loop."""
        if reading.limit is not None and reading.limit > 0:
            limit = reading.limit / 60.0
            if self._adopts(limit):
                self.limit, self.source = limit, "header"
                self.learner = Learner(at=now, searching=False)
                self.loop.resized()
        if self.limit is None:
            return
        server_limit = reading.limit / 60.0 if reading.limit else self.limit
        self.loop.observe(reading, limit=server_limit, used=self.used, binding=binding, now=now)

    def status(self, safety: float, now: float) -> MeterStatus:
        """Return what `runner status` shows."""
        rate = self.rate(safety)
        covered = self.shares.seconds(now)
        use = None
        if self.limit and covered > 0:
            use = self.shares.sum(now) / covered
        return MeterStatus(
            meter=self.meter,
            limit=None if self.limit is None else self.limit * 60.0,
            source=self.source,
            target=None if rate is None else rate * 60.0,
            utilisation=use,
            foreign=self.loop.others.share,
        )

    def _adopts(self, limit: float) -> bool:
        if self.limit is None:
            return True
        # A configured limit may be a share on purpose: a header only ever lowers it.
        return limit < 0.999 * self.limit or (
            self.source != "config" and limit > 1.001 * self.limit
        )


@dataclass(slots=True)
class Safety:
    """Goes down while refusals are too frequent, and slowly back to what is configured."""

    configured: float
    at: float
    value: float = 0.0

    def __post_init__(self) -> None:
        self.value = self.configured

    def adapt(self, refused_share: float, now: float) -> None:
        """Look at the share of refusals over the last minute, every SAFETY_EVERY_S."""
        if now - self.at < SAFETY_EVERY_S:
            return
        self.at = now
        if refused_share > REFUSED_TOO_OFTEN:
            self.value = max(min(LOWEST_SAFETY, self.configured), self.value - SAFETY_STEP)
        elif refused_share == 0.0:
            self.value = min(self.configured, self.value + SAFETY_STEP / 2.0)
