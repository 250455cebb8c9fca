"""What a sweep will cost, worked out once for `runner plan` and `runner sweep` alike.

And what follows from it before anything is spent: a sweep that would cost more than
`ASK_ABOVE_USD` wants a yes, and so does one of many tokens whose price nobody knows.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from math import ceil

from pyroaring import BitMap

from runner.config.quotas import groups_of, is_public
from runner.config.schema import called
from runner.core.clock import SystemClock
from runner.core.errors import ConfigError
from runner.observe.amounts import money
from runner.pipeline.casting import cast_of, judges_of, recorded
from runner.pipeline.prepare import Prepared
from runner.plan.estimate import Cast, ModelEstimate, Pricing, estimate, of_sweep, total_cost_usd
from runner.providers.caching import caches
from runner.providers.price_list import all_models
from runner.record.manifest import load_state
from runner.record.place import open_store
from runner.scenarios.any_book import AnyBook

ASK_ABOVE_USD = 20.0
ASK_ABOVE_TOKENS = 2_000_000
"""Input and output of models without a known price: what 20 dollars buy at 10 a million."""


async def estimates_of(prepared: Prepared) -> tuple[ModelEstimate, ...]:
    """Return one estimate per model, for what is owed.

    Raises:
        RecordError: the directory is damaged or of a newer release.
        StorageError: it cannot be read.
    """
    book, config = prepared.book, prepared.book.config
    state = await load_state(open_store(prepared.directory))
    roles = any(book.cast(cell.number) for cell in book.plan.cells)
    known = await recorded(prepared.directory, state, attempts=roles)
    _, uses = groups_of(config)
    pricing = {
        m.name: Pricing(
            max_tokens=m.max_tokens,
            tariff=book.tariffs.get(m.name),
            observed=known.observed(m.name),
            caches=lambda characters, m=m: caches(m, characters),
            hour=m.cache == "1h",
            group=uses[m.name].group if m.name in uses else m.name,
            others=known.others(m.name),
        )
        for m in all_models(config)
    }
    ended = state.ended()
    if prepared.counts.again:
        ended = {n: state.recorded.get(n, BitMap()) for n in ended}

    def cast(number: int) -> tuple[Cast, ...]:
        return (*cast_of(book, config, number), *judges_of(book, config, number))

    at = SystemClock().wall()
    return tuple(
        estimate(book.plan, size=book.size, pricing=pricing, ended=ended, at=at, cast=cast)
    )


def refuse_unpriced(book: AnyBook) -> None:
    """Refuse a budget in dollars where a model has no price: nobody could keep it.

    Raises:
        ConfigError: with the models, and how to give them one.
    """
    config = book.config
    if config.budget.usd is None:
        return
    problems = [
        f"budget.usd: no price is known for the model {m.name} ({m.model}), so what it costs cannot "
        f"be limited. Give it one (USD per million tokens): prices.{m.name}.input=… "
        f"prices.{m.name}.output=…, or prices.{m.name}.like=MODEL-ID; or limit tokens: budget.tokens=…"
        for m in called(config)
        if m.name not in book.tariffs
    ]
    if problems:
        raise ConfigError(*problems)


def refuse_unasked(prepared: Prepared, estimates: Sequence[ModelEstimate]) -> None:
    """Refuse a costly sweep that nobody has agreed to.

    Raises:
        ConfigError: with the estimate, and how to go on.
    """
    estimates = of_sweep(estimates)
    guess, unknown = total_cost_usd(estimates)
    _refuse_unknown(prepared, estimates)
    if guess <= ASK_ABOVE_USD or prepared.book.config.budget.usd is not None:
        return
    ceiling = sum(e.cost_usd_ceiling or 0.0 for e in estimates)
    others = f"; unknown for {', '.join(unknown)}" if unknown else ""
    tokens = prepared.book.config.budget.tokens
    beside = "" if tokens is None else f" budget.tokens={tokens} limits tokens, not dollars."
    where = shlex.quote(str(prepared.directory))
    msg = (
        f"this would cost about {money(guess)} USD (at most {money(ceiling)} with every answer at "
        f"max_tokens{others}). Look closer with runner plan, then agree to it (--yes) or "
        f"limit it (budget.usd={ceil(guess)}).{beside} Nothing was written to {where}."
    )
    raise ConfigError(msg)


def _refuse_unknown(prepared: Prepared, estimates: Sequence[ModelEstimate]) -> None:
    config = prepared.book.config
    public = {m.name for m in called(config) if is_public(m)}
    large = [
        (e.model, tokens)
        for e in estimates
        if e.model in public
        and e.cost_usd is None
        and (tokens := e.input_tokens + e.output_tokens) > ASK_ABOVE_TOKENS
    ]
    if large and config.budget.tokens is None:
        raise ConfigError(
            *(
                f"no price is known for the model {name}, which would take about {tokens:,} tokens. "
                f"Give it one (USD per million tokens): prices.{name}.input=… prices.{name}.output=…, "
                f"or prices.{name}.like=MODEL-ID; limit the sweep (budget.tokens=…); or agree to "
                f"it unseen (--yes). Nothing was written to {shlex.quote(str(prepared.directory))}."
                for name, tokens in large
            )
        )
