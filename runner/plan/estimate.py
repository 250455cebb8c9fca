"""What a plan will ask for, in calls, tokens and dollars, before any of it is spent. Pure.

Guesses, and named so. How long answers are comes from recorded rows of the same model where there
are enough, else an answer is taken as `GUESSED_OUTPUT_TOKENS`, or `max_tokens` if that is less; a
token is taken as four characters of prompt, or as recorded rows have it. Beside the guess stands
the ceiling: `max_tokens` for every call, nothing read from a cache. Retries are not counted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import ceil

from runner.core.money import Rates, Tariff
from runner.core.values import Usage
from runner.plan.blocks import Seeds
from runner.plan.cells import Cell, Plan

CHARACTERS_PER_TOKEN = 4
GUESSED_OUTPUT_TOKENS = 500
ENOUGH_ROWS = 10
"""Recorded jobs of a model from which its own numbers are believed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptSize:
    """The scripted input of one job."""

    calls: int
    """Scripted turns: requests if none fails, pauses or ends early."""
    characters: int
    """Summed over these requests, each carrying what came before it; answers left out."""
    shared: int = 0
    """Of each request, from its beginning: the same for all seeds of the condition."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """What recorded jobs of one model took, on average."""

    jobs: int
    """They are the mean of so many."""
    calls: float
    """Answered calls of a job."""
    input_tokens: float
    """Of a job, cached ones too."""
    output_tokens: float
    """Of a job."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pricing:
    """What is known of a model before it is called."""

    max_tokens: int
    tariff: Tariff | None = None
    """None: its cost is unknown."""
    observed: Observed | None = None
    caches: Callable[[int], bool] = field(default=lambda _: False)
    """Shared characters of a condition's requests to whether their server will cache them."""
    hour: bool = False
    """It keeps them for an hour."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelEstimate:
    """One model's share of a plan; tokens and dollars are for what is owed."""

    model: str
    cells: int
    jobs: int
    owed: int
    calls: int
    input_tokens: int
    """All input, cached too."""
    cached_tokens: int
    """Part of input_tokens that is read from a prompt cache."""
    written_tokens: int
    """Part of input_tokens that is written to one."""
    output_tokens: int
    """Guess."""
    output_tokens_ceiling: int
    cost_usd: float | None
    """Guess; None: no price is known."""
    cost_usd_ceiling: float | None
    from_jobs: int
    """Recorded jobs that lengths were taken from; 0: they are guessed."""
    price_source: str | None
    """Where prices come from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Basis:
    """What the estimate of one model's cells stands on."""

    given: Pricing
    size: Callable[[int], PromptSize]
    ended: Mapping[int, Seeds]
    block: int
    at: float
    answer: int
    """Tokens of one answer."""
    ratio: float = 1.0
    """Input tokens that were seen, by those that were guessed."""

    def input_of(self, one: PromptSize) -> float:
        """Return the input tokens of one job, cached ones too."""
        # Each later call carries the answers before it: 0 + 1 + … + (calls - 1) of them.
        carried = self.answer * one.calls * (one.calls - 1) // 2
        return (-(-one.characters // CHARACTERS_PER_TOKEN) + carried) * self.ratio


@dataclass(slots=True)
class _Sum:
    owed: int = 0
    calls: int = 0
    usage: Usage = field(default_factory=Usage)
    ceiling: Usage = field(default_factory=Usage)
    cost: float = 0.0
    cost_ceiling: float = 0.0


def estimate(
    plan: Plan,
    *,
    size: Callable[[int], PromptSize],
    pricing: Mapping[str, Pricing],
    ended: Mapping[int, Seeds],
    at: float,
) -> list[ModelEstimate]:
    """Return one estimate per model, in dispatch order.

    Args:
        plan: the plan.
        size: cell number to the size of one of its jobs.
        pricing: by model name.
        ended: seeds not owed any more by cell number; absent means none.
        at: when it would run, Unix seconds: prices have dates.
    """
    found: list[ModelEstimate] = []
    for model in plan.models:
        given = pricing[model]
        basis = _Basis(
            given=given,
            size=size,
            ended=ended,
            block=plan.seed_block,
            at=at,
            answer=min(given.max_tokens, GUESSED_OUTPUT_TOKENS),
        )
        found.append(_of_model(model, plan.of_model(model), _as_seen(basis, plan.of_model(model))))
    return found


def total_cost_usd(estimates: Sequence[ModelEstimate]) -> tuple[float, list[str]]:
    """Return the guessed cost of all models whose price is known, and the names of the others."""
    guess = sum(e.cost_usd or 0.0 for e in estimates)
    return guess, [e.model for e in estimates if e.owed and e.cost_usd is None]


def _as_seen(basis: _Basis, cells: Sequence[Cell]) -> _Basis:
    """Put what recorded rows show in the place of guesses, where there are enough of them."""
    seen = basis.given.observed
    if seen is None or seen.jobs < ENOUGH_ROWS or not seen.calls:
        return basis
    answer = min(basis.given.max_tokens, ceil(seen.output_tokens / seen.calls))
    basis = replace(basis, answer=answer)
    jobs = sum(len(c.seeds) for c in cells)
    guessed = sum(basis.input_of(basis.size(c.number)) * len(c.seeds) for c in cells)
    return replace(basis, ratio=seen.input_tokens * jobs / guessed) if guessed else basis


def _of_model(model: str, cells: Sequence[Cell], basis: _Basis) -> ModelEstimate:
    given, total = basis.given, _Sum()
    for cell in cells:
        _add(total, cell, basis)
    usage, priced, seen = total.usage, given.tariff is not None, given.observed
    return ModelEstimate(
        model=model,
        cells=len(cells),
        jobs=sum(len(c.seeds) for c in cells),
        owed=total.owed,
        calls=total.calls,
        input_tokens=usage.input_tokens + usage.cache_read_tokens + usage.cache_write_tokens,
        cached_tokens=usage.cache_read_tokens,
        written_tokens=usage.cache_write_tokens,
        output_tokens=usage.output_tokens,
        output_tokens_ceiling=total.ceiling.output_tokens,
        cost_usd=total.cost if priced else None,
        cost_usd_ceiling=total.cost_ceiling if priced else None,
        from_jobs=seen.jobs if seen is not None and seen.jobs >= ENOUGH_ROWS else 0,
        price_source=given.tariff.source if given.tariff is not None else None,
    )


def _add(total: _Sum, cell: Cell, basis: _Basis) -> None:
    given, one = basis.given, basis.size(cell.number)
    taken = basis.ended.get(cell.number)
    done = 0 if taken is None else sum(taken.range_cardinality(*r) for r in cell.seeds.ranges)
    owed = len(cell.seeds) - done
    calls = owed * one.calls
    inputs = round(owed * basis.input_of(one))
    read = written = 0
    if calls and given.caches(one.shared):
        shared = min(one.shared / CHARACTERS_PER_TOKEN * basis.ratio, inputs / calls)
        writes = -(-owed // basis.block)  # one warm-up for each block
        written, read = round(shared * writes), round(shared * (calls - writes))
    usage = Usage(
        input_tokens=max(0, inputs - read - written),
        cache_read_tokens=read,
        cache_write_tokens=written,
        cache_write_1h_tokens=written if given.hour else 0,
        output_tokens=calls * basis.answer,
    )
    ceiling = Usage(input_tokens=inputs, output_tokens=calls * given.max_tokens)
    total.owed += owed
    total.calls += calls
    total.usage = total.usage.plus(usage)
    total.ceiling = total.ceiling.plus(ceiling)
    if given.tariff is not None and calls:
        rates = given.tariff.rates(basis.at, inputs // calls)
        total.cost += _cost(rates, usage, calls)
        total.cost_ceiling += _cost(rates, ceiling, calls)


def _cost(rates: Rates, usage: Usage, calls: int) -> float:
    return (rates.cost_usd(usage) or 0.0) + rates.request * (calls - 1)
