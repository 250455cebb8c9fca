"""Running counts of one model in one worker; the heartbeat carries them, the console shows them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace

from runner.core.money import Tariff, failure_cost_usd, reply_cost_usd, uncached
from runner.core.values import Failure, Reply, Usage
from runner.execute.messages import ModelTally


@dataclass(slots=True)
class Tally:
    """Monotonic counts since the worker started, and what is waiting now."""

    requests: int = 0
    answered: int = 0
    troubles: int = 0
    failures: Counter[str] = field(default_factory=Counter[str])
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    cost_usd: float = 0.0
    uncounted: int = 0
    saved_usd: float = 0.0
    ended: Counter[str] = field(default_factory=Counter[str])
    """Jobs that ended, by EndState."""
    waiting: int = 0

    def count(self, outcome: Reply | Failure, *, trouble: bool) -> None:
        """Add one attempt's outcome; `trouble`: it says that the server is full or away."""
        self.requests += 1
        self.troubles += trouble
        if isinstance(outcome, Failure):
            self.failures[outcome.kind.value] += 1
            return
        self.answered += 1
        usage: Usage = outcome.usage
        self.input_tokens += usage.input_tokens
        self.output_tokens += usage.output_tokens
        self.cache_read_tokens += usage.cache_read_tokens
        self.cache_write_tokens += usage.cache_write_tokens

    def spend(self, tariff: Tariff | None, outcome: Reply | Failure, at: float) -> float | None:
        """Add what one attempt cost and return it; None: unknown."""
        if isinstance(outcome, Failure):
            cost = failure_cost_usd(tariff, outcome)
        else:
            cost = reply_cost_usd(tariff, outcome, at)
        if cost is None:
            self.uncounted += 1
            return None
        self.cost_usd += cost
        if isinstance(outcome, Reply) and (
            outcome.usage.cache_read_tokens or outcome.usage.cache_write_tokens
        ):
            plain = reply_cost_usd(tariff, replace(outcome, usage=uncached(outcome.usage)), at)
            self.saved_usd += (plain or cost) - cost
        return cost

    def snapshot(self, *, in_flight: int, ready: int, paused_s: float) -> ModelTally:
        """Return the value for a heartbeat."""
        return ModelTally(
            requests=self.requests,
            answered=self.answered,
            troubles=self.troubles,
            failures=dict(self.failures),
            input_tokens=self.input_tokens,
            output_tokens=self.output_tokens,
            cache_read_tokens=self.cache_read_tokens,
            cache_write_tokens=self.cache_write_tokens,
            cost_usd=self.cost_usd,
            uncounted=self.uncounted,
            saved_usd=self.saved_usd,
            ended=dict(self.ended),
            waiting=self.waiting,
            ready=ready,
            in_flight=in_flight,
            paused_s=paused_s,
        )
