"""The buckets of one quota: targets, lines and mirrors of its meters, charged all or none. Pure.

A group has one pool; a model with limits of its own inside the group has another one, and a
request draws on both.
"""

from __future__ import annotations

from math import inf

from runner.limits.bucket import MirroredBucket
from runner.limits.controller import Safety, Target
from runner.limits.discovery import Learner
from runner.limits.gcra import Gcra
from runner.limits.output_flow import OutputFlow
from runner.limits.quota import Charging, Cost, GroupQuota, Ledger, Meter, MeterStatus, Readings

LEAST_SPEED = 0.1
"""Share of a rate below which nothing is granted: a reservation takes its line for as long as the
speed of that moment says, for hours where it is nearly none, and the speed recovers in seconds."""


class Pool:
    """One quota's state."""

    def __init__(self, config: GroupQuota, now: float) -> None:
        """Start with empty mirrors: no burst is assumed."""
        self.config = config
        self.targets: dict[Meter, Target] = {}
        self.safety = Safety(configured=config.safety, at=now)
        self.flow = OutputFlow(at=now)
        self.binds: Meter | None = None
        self._follows = False
        self._last: tuple[str, float, float, float] | None = None
        """Of output that is charged as it is produced, of the last permit on its line: model, start,
        seconds, tokens expected."""
        self._lines = {meter: Gcra(free_at=now) for meter in Meter}
        self._mirrors = {m: MirroredBucket(at=now) for m in (Meter.INPUT, Meter.OUTPUT)}
        for meter, limit in config.per_second().items():
            self.target(meter, now).limit = limit
            self.targets[meter].source = "config"
        if config.auto and Meter.REQUESTS not in self.targets:
            self.target(Meter.REQUESTS, now).learner = Learner(at=now, searching=True)

    def change(self, config: GroupQuota, now: float) -> None:
        """Aim at other limits from now on; a meter without one keeps what it has learnt."""
        before, self.config = self.config, config
        limits = config.per_second()
        for meter in before.per_second().keys() - limits.keys():
            self.targets[meter].limit, self.targets[meter].source = None, "learned"
        for meter, limit in limits.items():
            target = self.target(meter, now)
            if target.limit != limit:
                target.limit, target.source = limit, "config"
                target.learner = Learner(at=now, searching=False)
                target.loop.resized()

    def target(self, meter: Meter, now: float) -> Target:
        """Return a meter's target; a meter that is first heard of limits nothing yet."""
        found = self.targets.get(meter)
        if found is None:
            learner = Learner(at=now, searching=False)
            found = Target(meter=meter, limit=None, source="learned", learner=learner)
            self.targets[meter] = found
        return found

    def free_from(self, at: float) -> None:
        """Others' reservations start until `at`: the first of ours a whole interval later (`follow`)."""
        for line in self._lines.values():
            line.free_at = at
        self._follows, self._last = True, None

    def follow(self, interval: float) -> None:
        """What others reserved last lasts as long as one of ours, once it is known how long."""
        if self._follows and interval < inf:
            self._follows = False
            for line in self._lines.values():
                line.free_at += interval

    def shorten(self) -> None:
        """The last permit's output takes its line for no longer than is thought of it by now.

        A guess of 550 tokens held up a line of 10 a second for a minute after an answer of 20 had ended.
        """
        if self._last is not None:
            model, start, lasts, then = self._last
            share = min(1.0, self.flow.mean(model) / then)
            self._lines[Meter.OUTPUT].free_at = start + lasts * share

    def occupied_until(self, at: float) -> None:
        """What was reserved last lasts until then, longer than its meters' own costs."""
        for line in self._lines.values():
            line.free_at = max(line.free_at, at)
        self._last = None

    def advance(self, now: float, share: float, *, wanted: bool) -> None:
        """Move time on; `share` is what the ramp allows of each rate."""
        rates: dict[Meter, float] = {}
        for meter, target in self.targets.items():
            target.advance(now, wanted=wanted)
            rates[meter] = (target.rate(self.safety.value) or 0.0) * share
        produced = self.flow.advance(now, rates.get(Meter.OUTPUT, 0.0))
        for meter, rate in rates.items():
            if self._produces(meter):
                self.targets[meter].count(produced, now)
            elif meter in self._mirrors and rate > 0:
                self._mirrors[meter].advance(now, rate)

    def interval(self, model: str, cost: Cost, share: float) -> tuple[float, Meter | None]:
        """Return the seconds between requests of that cost, and which meter asks for them."""
        longest, binds = 0.0, None
        for meter, target in self.targets.items():
            rate = target.rate(self.safety.value)
            if rate is None:
                continue
            speed = self._speed(meter, rate * share)
            needs = self._amount(meter, model, cost) / speed if speed > 0 else inf
            if needs > longest:
                longest, binds = needs, meter
        return longest, binds

    def first(self, now: float) -> float:
        """Return when the next request may start."""
        return max([now, *(self._lines[meter].free_at for meter in self.targets)])

    def reserve(self, count: int, model: str, cost: Cost, first: float, share: float) -> None:
        """Take `count` requests of that cost off every meter, from `first` on."""
        for meter, target in self.targets.items():
            rate = target.rate(self.safety.value)
            if rate is None:
                continue
            amount = count * self._amount(meter, model, cost)
            speed = self._speed(meter, rate * share)
            if amount > 0 and speed > 0:
                self._lines[meter].reserve(amount, speed, first)
                if self._produces(meter):
                    mean = amount / count
                    start = self._lines[meter].free_at - mean / speed
                    self._last = model, start, mean / speed, mean
            if meter in self._mirrors and not self._produces(meter):
                self._mirrors[meter].charge(amount)
        # Last: at the speed that these permits leave, they would take their lines for another time
        # than their intervals say, and for none where one answer is faster than the whole rate.
        self.flow.pending(model, count)

    def give_back(self, input_tokens: float, output_tokens: float) -> None:
        """Return reserved tokens exactly (negative: charge more)."""
        self._mirrors[Meter.INPUT].charge(-input_tokens)
        self._mirrors[Meter.OUTPUT].charge(-output_tokens)

    def settle(self, before: Ledger, after: Ledger, now: float) -> None:
        """True the mirrors up with what happened between two ledgers."""
        charged_in = after.charged_input - before.charged_input
        charged_out = after.charged_output - before.charged_output
        self.give_back(
            after.resolved_input - before.resolved_input - charged_in,
            after.resolved_output - before.resolved_output - charged_out,
        )
        self._count(Meter.INPUT, charged_in, now)
        if self.config.charging is Charging.RESERVED:
            self._count(Meter.OUTPUT, charged_out, now)
        started = after.used - before.used - (after.refused - before.refused)
        self._count(Meter.REQUESTS, started, now)

    def observe(self, readings: Readings, now: float) -> None:
        """Take headers in."""
        for meter, reading in readings.items():
            if meter in self.targets or (self.config.auto and reading.limit):
                self.target(meter, now).observe(reading, binding=self.binds is meter, now=now)

    def refused(self, meter: Meter | None, now: float) -> None:
        """A 429: by the meter it names, else by the one that binds."""
        meter = meter or self.binds or Meter.REQUESTS
        target = self.target(meter, now)
        target.learner.refused(now, target.limit)
        if meter in self._mirrors:
            self._mirrors[meter].refused(now)

    def status(self, now: float) -> tuple[MeterStatus, ...]:
        """Return what `runner status` shows of each meter."""
        return tuple(target.status(self.safety.value, now) for target in self.targets.values())

    def _count(self, meter: Meter, amount: float, now: float) -> None:
        if meter in self.targets and amount:
            self.targets[meter].count(amount, now)

    def _produces(self, meter: Meter) -> bool:
        return meter is Meter.OUTPUT and self.config.charging is Charging.PRODUCED

    def _speed(self, meter: Meter, rate: float) -> float:
        if rate <= 0:
            return 0.0
        mirror = self._mirrors.get(meter)
        if self._produces(meter):
            found = self.flow.speed(rate)
        else:
            found = rate if mirror is None else mirror.speed(rate)
        return found if found >= LEAST_SPEED * rate else 0.0

    def _amount(self, meter: Meter, model: str, cost: Cost) -> float:
        """Return what one request of that cost takes off a meter."""
        if meter is Meter.REQUESTS:
            return 1.0
        if meter is Meter.INPUT:
            return cost.input_tokens
        # Workers' means follow the answers that ended; the flow's also those that still run.
        return self.flow.mean(model) if self._produces(meter) else cost.output_tokens

    @property
    def taught(self) -> bool:
        """Return whether any rate is one that refusals taught."""
        return any(t.learner.rate is not None for t in self.targets.values())
