"""Output tokens that are charged while they are produced: hold the production, not admissions. Pure.

Pacing admissions by expected output leaves the number of running answers to chance (with
lognormal lengths it wanders by several per cent for as long as an answer takes), which a server
with a small bucket refuses. So the number of running answers is the controlled quantity. Per
model a line `seconds = delay + tokens / speed` is fitted to the answers; production is speed times
the answers past their delay; the ideal number is what produces the target rate. The difference
between target and production is summed up (`level`, corrected by the true length of each answer as
it ends) and steers the ideal number, so that on average exactly the target is used.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import exp

CREDIT_S = 1.0
DEBT_S = 3.0
"""Bounds of the level, in seconds of the target rate; beyond them the server's bucket is full, or
refuses anyway."""
FORGET_S = 60.0
"""Time constant of the fit."""
STARTS_S = 3.0
"""Time constant of the rate of starts."""
REPORT_LAG_S = 1.5
"""From a change of the number of answers to a changed number of starts: heartbeat and lead."""
MOST = 2.0
"""Admissions are never faster than this multiple of the steady ones, or a cold start would begin
all answers at once, and they would end together too."""


@dataclass(slots=True)
class Fit:
    """Least squares of seconds over tokens; starts from a guess worth two answers."""

    n: float = 2.0
    y: float = 1100.0
    x: float = 2.0 + 1100.0 / 60.0
    yy: float = 1.01e6
    xy: float = 1100.0 + 1.01e6 / 60.0

    def add(self, n: float, y: float, x: float, yy: float, xy: float) -> None:
        """Add the sums over n answers (y: tokens, x: seconds)."""
        self.n, self.y, self.x = self.n + n, self.y + y, self.x + x
        self.yy, self.xy = self.yy + yy, self.xy + xy

    def fade(self, factor: float) -> None:
        """Let old answers count less, but keep the worth of two."""
        factor = max(factor, min(1.0, 2.0 / self.n))
        self.n, self.y, self.x = self.n * factor, self.y * factor, self.x * factor
        self.yy, self.xy = self.yy * factor, self.xy * factor

    @property
    def mean(self) -> float:
        """Tokens of an answer."""
        return max(1.0, self.y / self.n)

    def line(self) -> tuple[float, float]:
        """Return (speed in tokens a second, delay in seconds)."""
        mean_y, mean_x = self.y / self.n, self.x / self.n
        spread = self.yy / self.n - mean_y * mean_y
        common = self.xy / self.n - mean_x * mean_y
        if spread <= 1e-6 * mean_y * mean_y or common <= 0:
            return max(0.1, mean_y / max(mean_x, 1e-3)), 0.0
        slope = common / spread
        if mean_x - slope * mean_y < 0:  # longer answers are disproportionately slow
            return max(0.1, mean_y / max(mean_x, 1e-3)), 0.0
        return 1.0 / slope, mean_x - slope * mean_y


@dataclass(slots=True)
class _Model:
    fit: Fit = field(default_factory=Fit)
    speed: float = 60.0
    delay: float = 1.0
    running: dict[str, tuple[int, float]] = field(default_factory=dict[str, tuple[int, float]])
    """Worker to (requests on the wire, when it said so)."""
    total: int = 0
    pending: int = 0
    """Permits granted and neither used nor ended."""
    starts: float = 0.0
    """A second, smoothed."""

    def generating(self) -> float:
        return max(0.0, self.total - self.starts * self.delay)

    def seconds(self) -> float:
        return self.delay + self.fit.mean / self.speed


@dataclass(slots=True)
class OutputFlow:
    """The output meter of one group."""

    at: float
    level: float = 0.0
    """Target minus production, summed up: tokens."""
    produced: float = 0.0
    """Since the start, by estimate, corrected at each answer's end."""
    _models: dict[str, _Model] = field(default_factory=dict[str, _Model])

    def advance(self, now: float, rate: float) -> None:
        """Move to `now`; `rate` is the target in tokens a second."""
        passed = now - self.at
        if passed <= 0:
            return
        self.at = now
        made = sum(m.speed * m.generating() for m in self._models.values()) * passed
        self.produced += made
        self.level = min(self.level + rate * passed - made, CREDIT_S * rate)
        fade, calm = exp(-passed / FORGET_S), exp(-passed / STARTS_S)
        for model in self._models.values():
            model.fit.fade(fade)
            model.starts *= calm

    def report(self, worker: str, model: str, *, in_flight: int, started: int, now: float) -> None:
        """Take in what a worker has on the wire and how many requests it started since."""
        found = self._model(model)
        before, _ = found.running.get(worker, (0, now))
        found.running[worker] = (in_flight, now)
        found.total += in_flight - before
        found.starts += started / STARTS_S

    def forget(self, worker: str) -> None:
        """The worker's requests have ended."""
        for model in self._models.values():
            model.total -= model.running.pop(worker, (0, 0.0))[0]

    def pending(self, model: str, permits: int) -> None:
        """Permits were granted, or (negative) used, ended or found lost."""
        self._model(model).pending += permits

    def answered(self, model: str, *, n: int, y: float, x: float, yy: float, xy: float) -> None:
        """True the production up with n ended answers (sums of tokens y and seconds x)."""
        found = self._model(model)
        off = y - found.speed * max(0.0, x - found.delay * n)
        self.level -= off
        self.produced += off
        found.fit.add(n, y, x, yy, xy)
        speed, delay = found.fit.line()
        # What is running was counted at the old speed: a new one must not jump.
        found.speed += 0.3 * (speed - found.speed)
        found.delay += 0.3 * (delay - found.delay)

    def mean(self, model: str) -> float:
        """Return the expected output tokens of an answer."""
        return self._model(model).fit.mean

    def speed(self, rate: float) -> float:
        """Return the output tokens a second, by expectation, that may be admitted now.

        `steady · (1 + g · (ideal - running) / ideal)`, within 0 and MOST: g is as high as the
        delay of the loop allows, and the level moves the ideal four times slower than that.
        """
        self.level = max(self.level, -DEBT_S * rate)
        running = starting = mean = weight = seconds = 0.0
        for model in self._models.values():
            share = max(model.starts, 1e-9)
            lasts = model.seconds()
            weight += share
            seconds += share * lasts
            mean += share * model.fit.mean
            starting += share * model.delay * model.speed
            # Until the permits in hand have started, some of what runs will have ended.
            lag = self._age(model) + model.pending / max(model.starts, 1.0)
            left = model.total * max(0.0, 1.0 - lag / lasts)
            running += model.speed * (left + model.pending)
        if not weight:
            return rate
        lasts = seconds / weight
        gain = min(4.0, max(0.3, 0.4 * lasts / REPORT_LAG_S))
        settle_s = 4.0 * (lasts / (1.0 + gain) + REPORT_LAG_S)
        wanted = max(0.1 * rate, rate + self.level / settle_s) * (1.0 + starting / mean)
        return rate * min(MOST, max(0.0, 1.0 + gain * (wanted - running) / wanted))

    def _age(self, model: _Model) -> float:
        ages = [max(0.0, self.at - at) for _, at in model.running.values()]
        return sum(ages) / len(ages) if ages else 0.0

    def _model(self, name: str) -> _Model:
        found = self._models.get(name)
        if found is None:
            found = self._models[name] = _Model()
        return found
