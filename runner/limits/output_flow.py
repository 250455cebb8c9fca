"""Output tokens that are charged while they are produced: hold the production, not admissions. Pure.

Pacing admissions by expected output leaves the number of running answers to chance (with
lognormal lengths it wanders by several per cent for as long as an answer takes), which a server
with a small bucket refuses. So the number of running answers is the controlled quantity. Per
model a line `seconds = delay + tokens / speed` is fitted to the answers; production is what ended
answers had plus speed times the time of the running ones past their delay; the ideal number is
what produces the target rate. Target minus production, summed up, is the `level`: it steers the
ideal number, so that on average exactly the target is used.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import exp

from runner.limits.quota import Ledger

CREDIT_S = 2.0
DEBT_S = 3.0
"""Bounds of the level, in seconds of the target rate; beyond them the server's bucket is full, or
refuses anyway. With few answers a second production wanders by a second of the rate, and what a
lower bound cuts off would never be used; a higher one costs 429s where the bucket holds 1 s."""
PRIOR = 0.5
"""Worth, in answers, of the guess that a fit starts from: 550 tokens in 10 s. More, and a model with
short answers is admitted too slowly for half a minute."""
MOST_AHEAD_S = 3.0
"""Permits in hand are used within that, also while nothing is known of how fast requests start."""
FORGET_S = 60.0
"""Time constant of the fit."""
STARTS_S = 3.0
"""Time constant of the rates of starts and ends."""
REPORT_LAG_S = 1.5
"""From a change of the number of answers to a changed number of starts: heartbeat and lead."""
MOST = 2.0
"""Admissions are never faster than this multiple of the steady ones, or a cold start would begin
all answers at once, and they would end together too."""
FLOOR = 0.5
"""Of the mean of ended answers: no fewer tokens are expected of an answer, whatever was counted."""
REMEMBERED = 30.0
"""What a worker's answers before a take-over are worth at most, in answers."""
ENOUGH = 10
"""Of them, for a guess to be of no use any more."""
SMOOTH = 0.3
"""Weight of a new fit: what runs is counted by it, and must not jump."""


@dataclass(slots=True)
class Fit:
    """Least squares of seconds over tokens; starts from a guess worth PRIOR answers."""

    n: float = 2.0 * PRIOR
    y: float = 1100.0 * PRIOR
    x: float = (2.0 + 1100.0 / 60.0) * PRIOR
    yy: float = 1.01e6 * PRIOR
    xy: float = (1100.0 + 1.01e6 / 60.0) * PRIOR

    def add(self, n: float, y: float, x: float, yy: float, xy: float) -> None:
        """Add the sums over n answers (y: tokens, x: seconds)."""
        self.n, self.y, self.x = self.n + n, self.y + y, self.x + x
        self.yy, self.xy = self.yy + yy, self.xy + xy

    def fade(self, factor: float) -> None:
        """Let old answers count less, but keep the worth of two."""
        factor = max(factor, min(1.0, 2.0 / self.n))
        self.n, self.y, self.x = self.n * factor, self.y * factor, self.x * factor
        self.yy, self.xy = self.yy * factor, self.xy * factor

    def line(self) -> tuple[float, float]:
        """Return (speed in tokens a second, delay in seconds)."""
        mean_y, mean_x = self.y / self.n, self.x / self.n
        spread = self.yy / self.n - mean_y * mean_y
        common = self.xy / self.n - mean_x * mean_y
        if spread > 1e-6 * mean_y * mean_y and common > 0:
            slope = common / spread
            if mean_x >= slope * mean_y:
                return 1.0 / slope, mean_x - slope * mean_y
        # All of one length, or long answers disproportionately slow: no delay can be told.
        return max(0.1, mean_y / max(mean_x, 1e-3)), 0.0


@dataclass(slots=True)
class _Running:
    """What a worker had on the wire when it last said so."""

    count: int = 0
    elapsed: float = 0.0
    at: float = 0.0


@dataclass(slots=True)
class _Model:
    fit: Fit = field(default_factory=Fit)
    speed: float = 60.0
    delay: float = 1.0
    ended: float = 0.0
    """Tokens of answers that have ended."""
    counted: float = 0.0
    """Production up to the last `advance`."""
    made: float = 1100.0 * PRIOR
    """Production of late, faded like the fit."""
    running: dict[str, _Running] = field(default_factory=dict[str, _Running])
    total: int = 0
    elapsed: float = 0.0
    """Summed over what runs, when its worker reported it."""
    moments: float = 0.0
    """Summed over what runs: when its worker reported it."""
    before: float = 0.0
    """Answers that ran when their worker was first heard of: what they had then is history."""
    before_s: float = 0.0
    """For how long they had run by then, summed up."""
    pending: int = 0
    """Permits granted and neither used nor ended."""
    starts: float = 0.0
    """A second, smoothed."""
    ends: float = 0.0
    """As above."""

    @property
    def mean(self) -> float:
        """Return the tokens of an answer: all production per answer ended.

        The mean of ended answers alone would be far too low at first, since short ones end first;
        this is the estimate for exponentially distributed lengths that counts what still runs.
        """
        return max(1.0, self.made / self.fit.n, FLOOR * self.fit.y / self.fit.n)

    def remember(self, ledger: Ledger) -> None:
        """Take answers in that ended before anybody here counted; enough of them replace the guess."""
        if self.fit == Fit() and ledger.answered >= ENOUGH:
            self.fit, self.made = Fit(n=0.0, y=0.0, x=0.0, yy=0.0, xy=0.0), 0.0
        worth = min(1.0, REMEMBERED / ledger.answered)
        self.fit.add(
            worth * ledger.answered,
            worth * ledger.output_tokens,
            worth * ledger.latency,
            worth * ledger.output_squared,
            worth * ledger.output_latency,
        )
        self.made += worth * ledger.output_tokens
        self.speed, self.delay = self.fit.line()

    def replace(self, worker: str, new: _Running | None) -> None:
        old = self.running.pop(worker, None) or _Running()
        if new is not None:
            self.running[worker] = new
        now = new or _Running()
        self.total += now.count - old.count
        self.elapsed += now.elapsed - old.elapsed
        self.moments += now.count * now.at - old.count * old.at

    def produced(self, now: float) -> float:
        """Return the tokens of what ended and, by the line, of what runs."""
        young = min(float(self.total), self.starts * self.delay)
        spent = self.elapsed + self.total * now - self.moments
        waited = self.delay * (self.total - young / 2.0)
        return self.ended + self.speed * max(0.0, spent - waited) - self.history()

    def history(self) -> float:
        """Return the tokens that were produced before, by the line as it is now.

        By the line of then, which after a take-over is a guess, slow answers would seem to have
        had less than nothing since: the mean fell to 1, and up to 63 times the quota was admitted.
        """
        return self.speed * max(0.0, self.before_s - self.delay * self.before)

    def advance(self, now: float, fade: float, calm: float) -> float:
        """Move to `now`, forget by these factors, and return what was produced."""
        n, history = self.fit.n, self.history()
        self.before, self.before_s = self.before * fade, self.before_s * fade
        self.counted += history - self.history()  # what has ended since is known
        self.fit.fade(fade)
        self.made *= self.fit.n / n
        self.starts *= calm
        self.ends *= calm
        made = self.produced(now) - self.counted
        self.counted += made
        self.made += made
        return made

    def seconds(self) -> float:
        return self.delay + self.mean / self.speed

    def expected(self, now: float) -> float:
        """Return the answers that will run when the permits in hand have been used.

        Answers end as fast as they did of late; those that begin until then may also have ended by
        then, which counts where an answer takes no longer than its permit is ahead.
        """
        age = now - self.moments / self.total if self.total else 0.0
        uses = min(self.pending / max(self.starts, 1.0), MOST_AHEAD_S)
        left = self.total * exp(-self.ends * (age + uses) / self.total) if self.total else 0.0
        return left + self.pending * _lasting(uses / max(self.seconds(), 1e-3))


def _lasting(lives: float) -> float:
    """Return the share that still runs of what began evenly over that many lifetimes."""
    return (1.0 - exp(-lives)) / lives if lives > 1e-6 else 1.0


@dataclass(slots=True)
class OutputFlow:
    """The output meter of one group."""

    at: float
    level: float = 0.0
    """Target minus production, summed up: tokens."""
    _models: dict[str, _Model] = field(default_factory=dict[str, _Model])

    def advance(self, now: float, rate: float) -> float:
        """Move to `now` and return what was produced; `rate` is the target in tokens a second.

        What was produced may be a little below 0: an answer ended earlier than its line said.
        """
        passed = max(0.0, now - self.at)
        self.at = max(self.at, now)
        fade, calm = exp(-passed / FORGET_S), exp(-passed / STARTS_S)
        made = sum(model.advance(self.at, fade, calm) for model in self._models.values())
        self.level = min(self.level + rate * passed - made, CREDIT_S * rate)
        return made

    def report(
        self, worker: str, model: str, *, in_flight: int, elapsed_s: float, started: int
    ) -> None:
        """Take in what a worker has on the wire now and how many requests it started since."""
        found = self._model(model)
        found.replace(worker, _Running(count=in_flight, elapsed=elapsed_s, at=self.at))
        found.starts += started / STARTS_S

    def begin(self, worker: str, model: str, ledger: Ledger) -> None:
        """A worker was heard of for the first time: what it has produced until now is history.

        After a take-over its sums tell how long answers are and how fast they come. A fit that began
        from the guess again used 0.4 to 1.7 of the quota where coordinators were killed every 10 s.
        """
        in_flight, elapsed_s = ledger.in_flight, ledger.elapsed_s
        self.report(worker, model, in_flight=in_flight, elapsed_s=elapsed_s, started=0)
        found = self._model(model)
        if ledger.answered:
            found.remember(ledger)
        found.before += in_flight
        found.before_s += elapsed_s
        found.counted = found.produced(self.at)

    def forget(self, worker: str) -> None:
        """The worker's requests have ended, nobody knows how."""
        for model in self._models.values():
            before = model.produced(self.at)
            model.replace(worker, None)
            model.ended += before - model.produced(self.at)

    def pending(self, model: str, permits: int) -> None:
        """Permits were granted, or (negative) used, ended or found lost."""
        self._model(model).pending += permits

    def answered(self, model: str, *, n: int, y: float, x: float, yy: float, xy: float) -> None:
        """Take in n ended answers (sums of tokens y and seconds x), before `report`."""
        found = self._model(model)
        found.ended += y
        found.ends += n / STARTS_S
        found.fit.add(n, y, x, yy, xy)
        speed, delay = found.fit.line()
        found.speed += SMOOTH * (speed - found.speed)
        found.delay += SMOOTH * (delay - found.delay)

    def mean(self, model: str) -> float:
        """Return the tokens to expect of an answer."""
        return self._model(model).mean

    def speed(self, rate: float) -> float:
        """Return the output tokens a second, by expectation, that may be admitted now.

        `steady · (1 + g · (ideal - running) / ideal)`, within 0 and MOST: g is as high as the
        delay of the loop allows, and the level moves the ideal four times slower than that.
        """
        self.level = max(self.level, -DEBT_S * rate)
        running = starting = mean = weight = seconds = 0.0
        for model in self._models.values():
            share = max(model.starts, 1e-9)
            weight += share
            seconds += share * model.seconds()
            mean += share * model.mean
            starting += share * model.delay * model.speed
            running += model.speed * model.expected(self.at)
        if not weight:
            return rate
        lasts = seconds / weight
        gain = min(4.0, max(0.3, 0.4 * lasts / REPORT_LAG_S))
        settle_s = 4.0 * (lasts / (1.0 + gain) + REPORT_LAG_S)
        wanted = max(0.1 * rate, rate + self.level / settle_s) * (1.0 + starting / mean)
        return rate * min(MOST, max(0.0, 1.0 + gain * (wanted - running) / wanted))

    def _model(self, name: str) -> _Model:
        found = self._models.get(name)
        if found is None:
            found = self._models[name] = _Model()
        return found
