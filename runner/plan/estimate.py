"""What a plan will ask for, in calls and tokens, before any of it is spent.

Guesses, and named so: a token is taken as four characters of prompt, and an answer as
`GUESSED_OUTPUT_TOKENS` or `max_tokens`, whichever is less. The ceiling is `max_tokens` a call.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from runner.plan.blocks import Seeds
from runner.plan.cells import Cell, Plan

CHARACTERS_PER_TOKEN = 4
GUESSED_OUTPUT_TOKENS = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptSize:
    """The scripted input of one job."""

    calls: int
    """Scripted turns: requests if none fails, pauses or ends early."""
    characters: int
    """Summed over these requests, each carrying what came before it; answers left out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelEstimate:
    """One model's share of a plan; tokens are for what is owed."""

    model: str
    cells: int
    jobs: int
    owed: int
    calls: int
    input_tokens: int
    output_tokens: int
    """Guess."""
    output_tokens_ceiling: int


def estimate(
    plan: Plan,
    *,
    size: Callable[[int], PromptSize],
    max_tokens: Mapping[str, int],
    ended: Mapping[int, Seeds],
) -> list[ModelEstimate]:
    """Return one estimate per model, in dispatch order.

    Args:
        plan: the plan.
        size: cell number to the size of one of its jobs.
        max_tokens: model name to the bound of one answer.
        ended: seeds not owed any more by cell number; absent means none.
    """
    return [
        _of_model(model, plan.of_model(model), size, max_tokens[model], ended)
        for model in plan.models
    ]


def _of_model(
    model: str,
    cells: tuple[Cell, ...],
    size: Callable[[int], PromptSize],
    max_tokens: int,
    ended: Mapping[int, Seeds],
) -> ModelEstimate:
    answer = min(max_tokens, GUESSED_OUTPUT_TOKENS)
    owed_jobs = calls = input_tokens = 0
    for cell in cells:
        taken = ended.get(cell.number)
        done = 0 if taken is None else sum(taken.range_cardinality(*r) for r in cell.seeds.ranges)
        owed = len(cell.seeds) - done
        one = size(cell.number)
        # Each later call carries the answers before it: 0 + 1 + … + (calls - 1) of them.
        carried = answer * one.calls * (one.calls - 1) // 2
        owed_jobs += owed
        calls += owed * one.calls
        input_tokens += owed * (-(-one.characters // CHARACTERS_PER_TOKEN) + carried)
    return ModelEstimate(
        model=model,
        cells=len(cells),
        jobs=sum(len(c.seeds) for c in cells),
        owed=owed_jobs,
        calls=calls,
        input_tokens=input_tokens,
        output_tokens=calls * answer,
        output_tokens_ceiling=calls * max_tokens,
    )
