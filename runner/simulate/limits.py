"""One quota group of one key: what is admitted, what is refused and when to come back. Pure.

Requests, uncached input tokens and output tokens are checked together and taken all or none.
Input is known at admission. Output is charged while it is produced (`max_tokens` plays no part),
or, where the back end reserves, `max_tokens` is taken at admission and what was not produced is
given back at the end. A refused request takes nothing, unless the group says that it counts as a
request. Nothing is documented of: burst capacity, whether refused requests count, and what
`remaining` means for a short burst. So each is a setting.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from runner.simulate.buckets import Bucket, Flow, Foreign, Gauge, Ramp
from runner.simulate.config import GroupConfig, RemainingMeans


class Limit(StrEnum):
    """What refuses a call."""

    REQUESTS = "requests"
    INPUT = "input_tokens"
    OUTPUT = "output_tokens"
    RAMP = "ramp"


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """A call that was not admitted."""

    limit: Limit
    wait_s: float
    """An earlier attempt fails for sure; one at this time succeeds if nobody else comes first."""


@dataclass(slots=True, kw_only=True, eq=False)
class Permit:
    """An admitted call; hand it to `produce` once, and to `finish` in the end."""

    reserved: int = 0
    started: float = 0.0
    seconds: float = 0.0
    tokens: int = 0
    flow: Flow | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Gauges:
    """The three buckets as headers tell them; None: no such limit."""

    requests: Gauge | None
    input: Gauge | None
    output: Gauge | None


class Quota:
    """The three buckets of one group for one key."""

    def __init__(self, config: GroupConfig, now: float) -> None:
        """Start with full buckets."""
        self._config = config
        self._start = now
        self._steps = list(config.steps)
        foreign = None
        if config.foreign is not None:
            foreign = Foreign(
                share=config.foreign.share, on_s=config.foreign.on_s, off_s=config.foreign.off_s
            )

        def bucket(limit: float | None) -> Bucket | None:
            return None if limit is None else Bucket(limit, config.burst_s, now, foreign)

        self.requests = bucket(config.rpm)
        self.input = bucket(config.itpm)
        self.output = bucket(config.otpm)
        self._ramp = None
        if config.ramp is not None and config.rpm is not None:
            self._ramp = Ramp(
                limit=config.rpm,
                floor=config.ramp.floor,
                doubling_s=config.ramp.doubling_s,
                idle_s=config.ramp.idle_s,
            )

    def admit(self, input_tokens: int, max_tokens: int, now: float) -> Permit | Refused:
        """Admit a call, or say what refuses it.

        Args:
            input_tokens: uncached input, cache writes included.
            max_tokens: as requested.
            now: seconds.
        """
        self._step(now)
        reserves = self._config.reserve_output
        # Without a reservation one token of room is enough to begin: output is postpaid.
        output = max_tokens if reserves else 1
        needs = (
            (Limit.REQUESTS, self.requests, 1),
            (Limit.INPUT, self.input, input_tokens),
            (Limit.OUTPUT, self.output, output),
        )
        waits = [
            (bucket.wait_s(amount, now), limit)
            for limit, bucket, amount in needs
            if bucket is not None and not bucket.has(amount, now)
        ]
        if waits:
            return self._refuse(max(waits), now)
        ramp_s = self._ramp.wait_s(now) if self._ramp is not None else 0.0
        if ramp_s > 0:
            return self._refuse((ramp_s, Limit.RAMP), now)
        if self.requests is not None:
            self.requests.spend(1)
        if self.input is not None:
            self.input.spend(input_tokens)
        if self.output is not None and reserves:
            self.output.spend(output)
        return Permit(reserved=output if reserves else 0)

    def _refuse(self, longest: tuple[float, Limit], now: float) -> Refused:
        wait_s, limit = longest
        if self._config.refused_count and self.requests is not None:
            self.requests.charge(1, now)
        return Refused(limit=limit, wait_s=wait_s)

    def produce(self, permit: Permit, tokens: int, start: float, seconds: float) -> None:
        """Charge the output of an admitted call, evenly over the time of its generation."""
        permit.tokens, permit.started, permit.seconds = tokens, start, seconds
        if self.output is not None and not permit.reserved:
            permit.flow = self.output.flow(tokens, start, seconds)

    def finish(self, permit: Permit, now: float, *, early: bool = False) -> None:
        """End a call; a reservation is settled.

        Args:
            permit: of `admit`.
            now: seconds.
            early: before all was generated: the rest costs nothing.
        """
        if self.output is None:
            return
        if permit.flow is not None:
            if early:
                self.output.stop(permit.flow, now)
        elif permit.reserved:
            share = 1.0
            if early:
                share = min(1.0, max(0.0, (now - permit.started) / max(permit.seconds, 1e-9)))
            self.output.charge(permit.tokens * share - permit.reserved, now)
            permit.reserved = 0

    def gauges(self, now: float) -> Gauges:
        """Return the buckets at this moment."""
        self._step(now)
        return Gauges(
            requests=self._gauge(self.requests, now),
            input=self._gauge(self.input, now),
            output=self._gauge(self.output, now),
        )

    def _gauge(self, bucket: Bucket | None, now: float) -> Gauge | None:
        if bucket is None:
            return None
        found = bucket.gauge(now)
        if self._config.remaining is RemainingMeans.bucket:
            return found
        # What a bucket of a whole minute would say that lacks as much as this one does.
        missing = found.capacity - found.level
        return Gauge(limit=found.limit, capacity=found.limit, level=found.limit - missing)

    def _step(self, now: float) -> None:
        """Carry out the changes of the limits that are due."""
        while self._steps and now - self._start >= self._steps[0].after_s:
            step = self._steps.pop(0)
            at = self._start + step.after_s
            for bucket, limit in (
                (self.requests, self._config.rpm),
                (self.input, self._config.itpm),
                (self.output, self._config.otpm),
            ):
                if bucket is not None and limit is not None:
                    bucket.resize(limit * step.factor, at)
