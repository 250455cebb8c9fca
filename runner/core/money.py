"""What a response costs: dated prices applied to its usage. Pure.

Each response is priced by itself (its own date, tokens and terms) and sums are made of the results:
a model's price may depend on the length of the prompt, so summed usage cannot be priced. What is
not known is None and stays so; it is never 0.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from runner.core.values import Amount, Failure, FailureKind, Reply, Usage

_DAY_S = 86_400
_NEVER_SENT = frozenset({"refused", "dns", "tls", "connect_timeout", "proxy", "local_server"})
"""Error types of connections that never came about: no request was sent, nothing is billed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """Prices in USD per million tokens."""

    input: float
    """Uncached input."""
    output: float
    cache_read: float
    cache_write: float
    """Kept for five minutes."""
    cache_write_1h: float | None = None
    """Kept for an hour; None: nobody says."""
    request: float = 0.0
    """USD per request."""

    def cost_usd(self, usage: Usage) -> float | None:
        """Return the cost of one response."""
        hour = usage.cache_write_1h_tokens
        if hour and self.cache_write_1h is None:
            return None
        micro = (
            usage.input_tokens * self.input
            + usage.output_tokens * self.output
            + usage.cache_read_tokens * self.cache_read
            + (usage.cache_write_tokens - hour) * self.cache_write
            + hour * (self.cache_write_1h or 0.0)
        )
        return micro / 1e6 + self.request


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """Prices that hold from a day on, and maybe in some hours only."""

    bands: tuple[tuple[int, Rates], ...]
    """(above, rates), ascending from 0: the band whose `above` the prompt's tokens (cached ones
    too) exceed prices the whole response."""
    since: float = 0.0
    """Unix seconds."""
    hours: tuple[int, int] | None = None
    """From and to in seconds of the day, UTC; may pass midnight."""

    def holds(self, at: float) -> bool:
        """Return whether these are the prices of a moment (Unix seconds)."""
        if at < self.since:
            return False
        if self.hours is None:
            return True
        start, end = self.hours
        second = at % _DAY_S
        return start <= second < end if start <= end else second >= start or second < end

    def rates(self, prompt_tokens: int) -> Rates:
        """Return the rates for a prompt of that length."""
        found = self.bands[0][1]
        for above, rates in self.bands[1:]:
            if prompt_tokens > above:
                found = rates
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Tariff:
    """The prices of one model."""

    source: str
    """Where they come from, for people."""
    rows: Sequence[Row]
    """The last one that holds counts; the first one where none does."""
    terms: Mapping[str, Sequence[Row]] = field(default_factory=dict[str, Sequence[Row]])
    """The same for responses on other terms, such as `speed=fast`."""
    factors: Mapping[str, float] = field(default_factory=dict[str, float])
    """What other terms multiply the cost by."""

    def cost_usd(self, usage: Usage, at: float, terms: Iterable[str] = ()) -> float | None:
        """Return the cost of one response; None where terms or tokens are not known.

        Args:
            usage: of that response alone.
            at: when it was asked for, Unix seconds.
            terms: as in `Reply.terms`.
        """
        prompt = usage.input_tokens + usage.cache_read_tokens + usage.cache_write_tokens
        if not prompt:
            return None  # no request is without input: the server did not say
        rows, factor = self.rows, 1.0
        for term in terms:
            if term in self.terms:
                rows = self.terms[term]
            elif term in self.factors:
                factor *= self.factors[term]
            else:
                return None
        cost = _of(rows, at).rates(prompt).cost_usd(usage)
        return None if cost is None else cost * factor

    def rates(self, at: float, prompt_tokens: int) -> Rates:
        """Return the ordinary rates for a prompt of that length, for estimates."""
        return _of(self.rows, at).rates(prompt_tokens)


def _of(rows: Sequence[Row], at: float) -> Row:
    return next((row for row in reversed(rows) if row.holds(at)), rows[0])


def reply_cost_usd(tariff: Tariff | None, reply: Reply, at: float) -> float | None:
    """Return the cost of an answered call; None: unknown.

    A refusal before any output has tokens, which count against rate limits, and is not billed.
    """
    if tariff is None:
        return None
    if reply.stop_reason == "refusal" and not reply.content:
        return 0.0
    return tariff.cost_usd(reply.usage, at, reply.terms)


def failure_cost_usd(tariff: Tariff | None, failure: Failure) -> float | None:
    """Return the cost of a failed call: nothing where it was refused or never sent, else unknown.

    A call that met a timeout, or whose answer broke off, may have been billed.
    """
    free = _refused(failure.status) or _never_sent(failure)
    return 0.0 if free and tariff is not None else None


def _never_sent(failure: Failure) -> bool:
    return failure.kind is FailureKind.CONNECTION and failure.error_type in _NEVER_SENT


def _refused(status: int | None) -> bool:
    return status is not None and status >= 400 and status not in {408, 504}


def counted(tariff: Tariff | None, outcome: Reply | Failure, at: float, reserved: Amount) -> Amount:
    """Return what an attempt counts against a budget.

    Tokens are all input (uncached, read from a cache, written to one) and all output. An answer
    counts as its usage says; where that or the price is not known, and after a timeout, a lost
    connection or an answer that broke off (all of which may have been billed), what was set aside
    for it counts. A refused request counts nothing.

    Args:
        tariff: prices; None: unknown.
        outcome: what came of it.
        at: when it was asked for, Unix seconds.
        reserved: what was set aside before it was sent.
    """
    if isinstance(outcome, Failure):
        if _never_sent(outcome) or _refused(outcome.status):
            return Amount(0.0, 0)
        return reserved
    usage = outcome.usage
    tokens = usage.input_tokens + usage.cache_read_tokens + usage.cache_write_tokens
    tokens += usage.output_tokens
    usd = reply_cost_usd(tariff, outcome, at)
    return Amount(reserved.usd if usd is None else usd, tokens or reserved.tokens)


def uncached(usage: Usage) -> Usage:
    """Return the usage as it would have been without a prompt cache."""
    if not usage.cache_read_tokens and not usage.cache_write_tokens:
        return usage
    whole = usage.input_tokens + usage.cache_read_tokens + usage.cache_write_tokens
    return replace(
        usage,
        input_tokens=whole,
        cache_read_tokens=0,
        cache_write_tokens=0,
        cache_write_1h_tokens=0,
    )


def total_usd(costs: Iterable[float | None]) -> float | None:
    """Return a sum; unknown where a part is unknown."""
    total = 0.0
    for cost in costs:
        if cost is None:
            return None
        total += cost
    return total
