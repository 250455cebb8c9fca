"""The models of one worker, each with its gate, permits and way to the budget."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from runner.config.schema import ModelConfig
from runner.core.money import Tariff
from runner.core.seams import Clock
from runner.execute.gate import Gate
from runner.execute.purse import Purse
from runner.execute.tally import Tally
from runner.execute.warmth import Warmth
from runner.limits.health import ModelHealth
from runner.limits.retry_budget import RetryBudget
from runner.limits.spending import Allowance, CallCost, Payer
from runner.providers.caching import asks_to_cache
from runner.providers.protocol import Provider
from runner.scenarios.any_book import AnyBook

PROBE_FAILED_S = 2.0
AWAY_AFTER = 5
"""Calls in trouble, none answered between, after which one is sent at a time."""


@dataclass(slots=True, kw_only=True)
class Endpoint:
    """A model as one worker sees it: how to call it, when, and how it fares."""

    name: str
    provider: Provider
    gate: Gate
    health: ModelHealth
    tally: Tally
    retries: RetryBudget
    group: str
    """Its quota group: a 429 pauses all of it."""
    payer: Payer
    warmth: Warmth
    caches: bool = False
    """Its server is asked to cache prefixes."""
    outage: bool = False
    """Its breaker is not closed, as the latest heartbeat reply says."""
    quota_note: str = ""
    """The state of its group, as the latest reply says, for the attempts table."""
    tariff: Tariff | None = None
    """Prices; None: unknown."""
    _troubles: int = 0
    """Since the last answer."""

    def heed(self, *, answered: bool, trouble: bool) -> None:
        """Take an outcome in before its place is free.

        A server that is gone refuses within a millisecond: until the coordinator has heard of it, and
        opened the breaker for all, hundreds would follow.
        """
        if answered:
            self._troubles = 0
            self.gate.singly = False
        elif trouble:
            self._troubles += 1
            self.gate.singly = self._troubles >= AWAY_AFTER
            if self.outage or self.gate.singly:
                self.gate.pause(PROBE_FAILED_S)


def endpoints_of(
    book: AnyBook,
    models: Mapping[str, ModelConfig],
    *,
    providers: Mapping[str, Provider],
    groups: Mapping[str, str],
    purses: Mapping[str, Purse],
    allowance: Allowance,
    clock: Clock,
    may_call: Callable[[], bool],
    on_empty: Callable[[], None],
) -> dict[str, Endpoint]:
    """Return a worker's endpoints, by model.

    Args:
        book: has the prices.
        models: by name.
        providers: by model.
        groups: quota group of each model.
        purses: of the models that wait for permits.
        allowance: what the worker may spend, over all models.
        clock: the worker's.
        may_call: the worker's own conditions for any request.
        on_empty: told of a call that finds no permit in hand.
    """
    now = clock.monotonic
    found: dict[str, Endpoint] = {}
    for name, model in models.items():
        tariff = book.tariffs.get(name)
        cost = CallCost(tariff=tariff, max_tokens=model.max_tokens)
        payer = Payer(allowance=allowance, cost=cost, latest=cost.reserve(0, clock.wall()))
        found[name] = Endpoint(
            name=name,
            provider=providers[name],
            gate=Gate(may_call, now, purse=purses.get(name), payer=payer, on_empty=on_empty),
            health=ModelHealth(),
            tally=Tally(),
            retries=RetryBudget(at=now()),
            group=groups[name],
            payer=payer,
            warmth=Warmth(now),
            caches=asks_to_cache(model),
            tariff=tariff,
        )
    return found
