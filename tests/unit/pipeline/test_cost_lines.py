"""What a sweep says of money before it starts."""

from __future__ import annotations

from runner.config.money_schema import BudgetConfig
from runner.pipeline.command import cost_lines
from runner.plan.estimate import ModelEstimate


def of(cost_usd: float | None) -> ModelEstimate:
    return ModelEstimate(
        model="m",
        cells=1,
        jobs=10,
        owed=10,
        calls=10,
        input_tokens=1000,
        cached_tokens=0,
        written_tokens=0,
        output_tokens=500,
        output_tokens_ceiling=5000,
        cost_usd=cost_usd,
        cost_usd_ceiling=cost_usd,
        from_jobs=0,
        price_source=None,
    )


def test_small_budgets_are_told_as_they_are():
    assert cost_lines([of(0.5)], BudgetConfig(usd=0.001)) == [
        "about 0.5 USD (budget for all sessions: 0.001 USD)"
    ]


def test_a_budget_of_tokens_is_told_with_and_without_a_price():
    for cost in (0.5, None):
        (line,) = cost_lines([of(cost)], BudgetConfig(tokens=20_000))
        assert line.endswith(" · budget for all sessions: 20,000 tokens")
