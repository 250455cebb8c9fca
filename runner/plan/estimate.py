"""What a plan will ask for, in calls, tokens and dollars, before any of it is spent. Pure.

Guesses, and named so. How many calls a job takes and how long they are comes from recorded rows of
the same model where there are enough. Else an answer is taken as `GUESSED_OUTPUT_TOKENS`, or
`max_tokens` if that is less, a token as four characters of prompt, and an episode with tools as
`EPISODE_CALLS` calls. Calls to other models (roles, safeguards, judges) are counted where they are
paid: as rows of the model that is asked. Beside the guess stands the ceiling: as many calls as the
scenario allows, `max_tokens` for each, nothing read from a cache. Retries are not counted.
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
EPISODE_CALLS = 6
"""Guess: calls of an episode with tools; its scripted turns if they are more, `end.turns` if less."""
RESULT_TOKENS = 200
"""Guess: what tools give back to one answer of such an episode."""
JUDGE_TOKENS = 120
"""Guess: a judge's answer, an outcome and a sentence."""
TESTED, ROLES, JUDGE = "under test", "roles", "judge"
"""What a model is called for: to be tested, to take part as somebody else (safeguards too), or to
judge what is recorded, after the sweep or beside it."""
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
    most_calls: int | None = None
    """Of an episode with tools: requests that it may take at most. None: `calls` of them."""

    @property
    def usual_calls(self) -> int:
        """Return the guess; an episode makes no fewer calls than it has scripted turns."""
        if self.most_calls is None:
            return self.calls
        return min(max(EPISODE_CALLS, self.calls), self.most_calls)

    def input_tokens(self, calls: float, answer: float) -> float:
        """Return the input of one job, cached tokens too: each call carries what came before it.

        Args:
            calls: of the job.
            answer: tokens of one answer.
        """
        grows = answer + (RESULT_TOKENS if self.most_calls else 0)
        prompt = -(-self.characters // CHARACTERS_PER_TOKEN) * calls / self.calls
        return prompt + grows * calls * (calls - 1) / 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Cast:
    """Calls of a cell's jobs to another model: for a role, by a safeguard, or to judge the answers."""

    model: str
    calls: float = 0.0
    """Guessed: of a job."""
    per_call: float = 0.0
    """Guessed: for each call of the model under test."""
    judges: int | None = None
    """Characters that a judge is told beside all answers of the job; None: it is none, and takes
    part in the job with as much input as the model under test."""


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
    group: str = ""
    """Quota group that it draws on."""
    others: Mapping[str, Observed] = field(default_factory=dict[str, Observed])
    """Calls to other models in its recorded jobs, by their name; averages over all of its jobs."""


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
    purpose: str = TESTED
    group: str = ""
    """Quota group."""
    episodes: bool = False
    """Some of its jobs are episodes with tools, whose calls no script counts."""


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
    longer: float = 1.0
    """The same of calls."""

    def calls_of(self, one: PromptSize) -> float:
        """Return the calls of one job."""
        return one.usual_calls * self.longer

    def input_of(self, one: PromptSize) -> float:
        """Return the input tokens of one job, cached ones too."""
        return one.input_tokens(self.calls_of(one), self.answer) * self.ratio

    def owed(self, cell: Cell) -> int:
        """Return how many of a cell's jobs are owed."""
        taken = self.ended.get(cell.number)
        done = 0 if taken is None else sum(taken.range_cardinality(*r) for r in cell.seeds.ranges)
        return len(cell.seeds) - done


@dataclass(slots=True)
class _Sum:
    owed: int = 0
    calls: int = 0
    usage: Usage = field(default_factory=Usage)
    ceiling: Usage = field(default_factory=Usage)
    cost: float = 0.0
    cost_ceiling: float = 0.0
    seen: int = 0
    """Recorded jobs that its lengths are from."""
    episodes: bool = False


def estimate(
    plan: Plan,
    *,
    size: Callable[[int], PromptSize],
    pricing: Mapping[str, Pricing],
    ended: Mapping[int, Seeds],
    at: float,
    cast: Callable[[int], Sequence[Cast]] = lambda _: (),
) -> list[ModelEstimate]:
    """Return one estimate per model under test, in dispatch order, then those of other calls.

    Args:
        plan: the plan.
        size: cell number to the size of one of its jobs.
        pricing: by name, of every model that is called.
        ended: seeds not owed any more by cell number; absent means none.
        at: when it would run, Unix seconds: prices have dates.
        cast: cell number to its calls to other models.
    """
    found: list[ModelEstimate] = []
    others: dict[tuple[str, str], _Sum] = {}
    for model in plan.models:
        given, cells, total = pricing[model], plan.of_model(model), _Sum()
        basis = _Basis(
            given=given,
            size=size,
            ended=ended,
            block=plan.seed_block,
            at=at,
            answer=min(given.max_tokens, GUESSED_OUTPUT_TOKENS),
        )
        basis = _as_seen(basis, cells)
        seen = given.observed
        total.seen = seen.jobs if seen is not None and seen.jobs >= ENOUGH_ROWS else 0
        for cell in cells:
            _add(total, cell, basis)
            for one in _merged(cast(cell.number)):
                purpose = ROLES if one.judges is None else JUDGE
                _add_other(
                    others.setdefault((one.model, purpose), _Sum()),
                    one,
                    pricing[one.model],
                    cell,
                    basis,
                )
        jobs = sum(len(c.seeds) for c in cells)
        found.append(_row(model, TESTED, total, given, cells=len(cells), jobs=jobs))
    found += [
        _row(model, purpose, total, pricing[model]) for (model, purpose), total in others.items()
    ]
    return found


def of_sweep(estimates: Sequence[ModelEstimate]) -> list[ModelEstimate]:
    """Return the estimates of what a sweep itself calls: all but judges."""
    return [e for e in estimates if e.purpose != JUDGE]


def total_cost_usd(estimates: Sequence[ModelEstimate]) -> tuple[float, list[str]]:
    """Return the guessed cost of all models whose price is known, and the names of the others."""
    guess = sum(e.cost_usd or 0.0 for e in estimates)
    return guess, list(dict.fromkeys(e.model for e in estimates if e.calls and e.cost_usd is None))


def _merged(cast: Sequence[Cast]) -> list[Cast]:
    """Return the roles that one model plays in a cell as one entry, and judges as they are."""
    found: dict[str, Cast] = {}
    for one in cast:
        if one.judges is None:
            had = found.get(one.model, Cast(model=one.model))
            calls, per_call = had.calls + one.calls, had.per_call + one.per_call
            found[one.model] = Cast(model=one.model, calls=calls, per_call=per_call)
    return [*found.values(), *(one for one in cast if one.judges is not None)]


def _as_seen(basis: _Basis, cells: Sequence[Cell]) -> _Basis:
    """Put what recorded rows show in the place of guesses, where there are enough of them."""
    seen = basis.given.observed
    if seen is None or seen.jobs < ENOUGH_ROWS or not seen.calls:
        return basis
    answer = min(basis.given.max_tokens, ceil(seen.output_tokens / seen.calls))
    jobs = sum(len(c.seeds) for c in cells)
    calls = sum(basis.size(c.number).usual_calls * len(c.seeds) for c in cells)
    basis = replace(basis, answer=answer, longer=seen.calls * jobs / calls if calls else 1.0)
    guessed = sum(basis.input_of(basis.size(c.number)) * len(c.seeds) for c in cells)
    return replace(basis, ratio=seen.input_tokens * jobs / guessed) if guessed else basis


def _row(
    model: str, purpose: str, total: _Sum, given: Pricing, *, cells: int = 0, jobs: int = 0
) -> ModelEstimate:
    usage, priced = total.usage, given.tariff is not None
    return ModelEstimate(
        model=model,
        cells=cells,
        jobs=jobs,
        owed=total.owed,
        calls=total.calls,
        input_tokens=usage.input_tokens + usage.cache_read_tokens + usage.cache_write_tokens,
        cached_tokens=usage.cache_read_tokens,
        written_tokens=usage.cache_write_tokens,
        output_tokens=usage.output_tokens,
        output_tokens_ceiling=total.ceiling.output_tokens,
        cost_usd=total.cost if priced else None,
        cost_usd_ceiling=total.cost_ceiling if priced else None,
        from_jobs=total.seen,
        price_source=given.tariff.source if given.tariff is not None else None,
        purpose=purpose,
        group=given.group,
        episodes=total.episodes,
    )


def _add(total: _Sum, cell: Cell, basis: _Basis) -> None:
    given, one = basis.given, basis.size(cell.number)
    owed = basis.owed(cell)
    calls, most = round(owed * basis.calls_of(one)), one.most_calls or one.calls
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
    largest = round(owed * one.input_tokens(most, given.max_tokens) * basis.ratio)
    ceiling = Usage(
        input_tokens=max(inputs, largest), output_tokens=max(calls, owed * most) * given.max_tokens
    )
    total.owed += owed
    total.episodes |= one.most_calls is not None
    _count(total, given, basis.at, usage, ceiling, calls=calls, most=max(calls, owed * most))


def _add_other(total: _Sum, one: Cast, given: Pricing, cell: Cell, basis: _Basis) -> None:
    """Count what a cell's jobs ask another model."""
    size, owed = basis.size(cell.number), basis.owed(cell)
    calls_of_job, most_of_job = basis.calls_of(size), size.most_calls or size.calls
    calls = owed * (one.calls + one.per_call * calls_of_job)
    most = owed * (one.calls + one.per_call) * most_of_job
    seen = basis.given.others.get(one.model) if one.judges is None else None
    if one.judges is not None:
        told = one.judges / CHARACTERS_PER_TOKEN
        answer: float = min(given.max_tokens, JUDGE_TOKENS)
        inputs, most = calls * (told + calls_of_job * basis.answer), calls
        largest = calls * (told + most_of_job * basis.given.max_tokens)
    elif seen is not None and seen.calls:
        calls, inputs = owed * seen.calls, owed * seen.input_tokens
        answer = min(given.max_tokens, seen.output_tokens / seen.calls)
        largest = inputs * max(1.0, most / calls)
        total.seen = max(total.seen, seen.jobs)
    else:
        answer = min(given.max_tokens, GUESSED_OUTPUT_TOKENS)
        inputs = calls * basis.input_of(size) / calls_of_job
        largest = most * size.input_tokens(most_of_job, basis.given.max_tokens) / most_of_job
    most = max(calls, most)
    usage = Usage(input_tokens=round(inputs), output_tokens=round(calls * answer))
    ceiling = Usage(
        input_tokens=round(max(inputs, largest)), output_tokens=round(most * given.max_tokens)
    )
    _count(total, given, basis.at, usage, ceiling, calls=round(calls), most=round(most))


def _count(
    total: _Sum, given: Pricing, at: float, usage: Usage, ceiling: Usage, *, calls: int, most: int
) -> None:
    total.calls += calls
    total.usage = total.usage.plus(usage)
    total.ceiling = total.ceiling.plus(ceiling)
    if given.tariff is not None and calls:
        prompt = usage.input_tokens + usage.cache_read_tokens + usage.cache_write_tokens
        total.cost += _cost(given.tariff.rates(at, prompt // calls), usage, calls)
        rates = given.tariff.rates(at, ceiling.input_tokens // most)
        total.cost_ceiling += _cost(rates, ceiling, most)


def _cost(rates: Rates, usage: Usage, calls: int) -> float:
    return (rates.cost_usd(usage) or 0.0) + rates.request * (calls - 1)
