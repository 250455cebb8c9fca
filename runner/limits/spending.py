"""What a worker may spend, what it has set aside, and what its next call may cost. Pure.

A call sets money and tokens aside before it is sent and settles with what it cost when its outcome
is durable. Until ten answers of a model are known, and as many as are still on the wire, a call sets
aside the most it can cost: its prompt at three characters a token and `max_tokens` of output. From
then on the mean of what calls counted plus three standard deviations, if that is less: so a worker
near the limit still uses what is left, and the limit is not overshot by more than calls on the wire
cost above that.

The *exposure* is what was spent and what is set aside, together, since the worker started. It never
passes the *allowance*, a sum of the same kind that the coordinator raises (`treasury.py`), but by
what calls cost more than they had set aside.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

from runner.core.money import Tariff
from runner.core.values import NOTHING, Amount

ENOUGH = 10
"""Answers of a model after which its own costs are believed."""
DEVIATIONS = 3.0
CHARACTERS_PER_TOKEN = 3.0
"""Of a prompt, on the dear side: four is usual for English."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpendWord:
    """What a worker says of its spending in a heartbeat."""

    allowance: Amount
    """That it obeys: of the last reply it accepted."""
    exposure: Amount
    """Spent and set aside since it started."""
    open: int
    """Calls that money is set aside for."""
    held: bool
    """It holds something that wants to be sent; else what follows is for jobs that it may get."""
    wants: Amount
    """What it could set aside beyond its exposure."""
    needs: Amount | None
    """What a call would set aside of the cheapest of its models that has something to send; None
    where it starts nothing more."""
    short: bool
    """It cannot pay for that."""
    broke: frozenset[str] = frozenset()
    """Models of which it cannot pay for a call: it needs no places for them."""


@dataclass(slots=True, kw_only=True)
class CallCost:
    """What calls of one model set aside, in one worker."""

    tariff: Tariff | None
    """None: unknown; only tokens count."""
    max_tokens: int
    _seen: int = 0
    _mean_usd: float = 0.0
    _mean_tokens: float = 0.0
    _squares_usd: float = 0.0
    """Sum of squared differences from the mean (Welford)."""
    _squares_tokens: float = 0.0
    _usual: Amount | None = None
    """What a call costs at most as a rule, once that is known."""

    def reserve(self, characters: int, at: float) -> Amount:
        """Return what to set aside for a call.

        Args:
            characters: of its request.
            at: Unix seconds: prices have dates.
        """
        prompt = characters / CHARACTERS_PER_TOKEN
        usd = 0.0
        if self.tariff is not None:
            rates = self.tariff.rates(at, int(prompt))
            dearest = max(rates.input, rates.cache_write, rates.cache_write_1h or 0.0)
            factor = max((1.0, *self.tariff.factors.values()))
            usd = (prompt * dearest + self.max_tokens * rates.output) / 1e6 * factor + rates.request
        return self.usual(Amount(usd, prompt + self.max_tokens))

    def usual(self, ceiling: Amount) -> Amount:
        """Return what calls usually cost at most, where that is known and less."""
        return ceiling if self._usual is None else ceiling.least(self._usual)

    def answered(self, counted: Amount, on_the_wire: int) -> None:
        """Learn from an answer.

        Args:
            counted: what it came to.
            on_the_wire: calls without an answer yet. Short answers come first: ten of a hundred that
                were sent together say nothing of the others.
        """
        usd, tokens = counted
        self._seen = seen = self._seen + 1
        off_usd, off_tokens = usd - self._mean_usd, tokens - self._mean_tokens
        self._mean_usd += off_usd / seen
        self._mean_tokens += off_tokens / seen
        self._squares_usd += off_usd * (usd - self._mean_usd)
        self._squares_tokens += off_tokens * (tokens - self._mean_tokens)
        if seen >= max(ENOUGH, on_the_wire):
            self._usual = Amount(
                self._mean_usd + DEVIATIONS * sqrt(self._squares_usd / seen),
                self._mean_tokens + DEVIATIONS * sqrt(self._squares_tokens / seen),
            )


@dataclass(slots=True)
class Allowance:
    """What one worker may spend, over all its models."""

    limited: bool
    """There is a budget; else everything is allowed."""
    granted: Amount = NOTHING
    """Since the worker started, as the last reply said."""
    spent: Amount = NOTHING
    open: int = 0
    _reserved: Amount = NOTHING

    @property
    def exposure(self) -> Amount:
        """Return what was spent and what is set aside."""
        return self.spent.plus(self._reserved) if self.open else self.spent

    def affords(self, amount: Amount) -> bool:
        """Return whether so much could be set aside now."""
        return not self.limited or self.exposure.plus(amount).within(self.granted)

    def take(self, amount: Amount) -> bool:
        """Set an amount aside, if there is so much."""
        if not self.affords(amount):
            return False
        self._reserved = self._reserved.plus(amount) if self.open else amount
        self.open += 1
        return True

    def settle(self, reserved: Amount, counted: Amount) -> None:
        """Put what a call counted in the place of what was set aside for it."""
        self.open -= 1
        self._reserved = self._reserved.minus(reserved)
        self.spent = self.spent.plus(counted)


@dataclass(slots=True, kw_only=True)
class Payer:
    """One model's way to its worker's allowance."""

    allowance: Allowance
    cost: CallCost
    latest: Amount
    """What the last call that asked would set aside: the next one will be like it."""

    @property
    def limited(self) -> bool:
        """Return whether there is a budget."""
        return self.allowance.limited

    def asks(self, characters: int, at: float) -> Amount:
        """Return what a call sets aside; see `CallCost.reserve`."""
        self.latest = self.cost.reserve(characters, at)
        return self.latest

    def settle(self, reserved: Amount, counted: Amount, *, answered: bool) -> None:
        """Take in what a call counted, once that is durable; failures tell nothing of the next."""
        self.allowance.settle(reserved, counted)
        if answered:
            self.cost.answered(counted, self.allowance.open)
            self.latest = self.cost.usual(self.latest)

    def affords(self) -> bool:
        """Return whether a call like the last could be paid for."""
        return self.allowance.affords(self.latest)
