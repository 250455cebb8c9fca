"""A budget from the command line: the limit holds, the way out, and the way on."""

from __future__ import annotations

import json

import pytest

from tests.support.commands import Bench, no_traceback
from tests.support.standin import StandIn

PRICES = {"m": {"input": 0.0, "output": 10_000.0}}
"""Dollars per million tokens: a call of 25 tokens costs 25 cents."""


def spent(bench: Bench) -> tuple[float, float]:
    rows = bench.rows("attempts")
    return sum(r["counted_usd"] for r in rows), sum(r["counted_tokens"] for r in rows)


def costs(bench: Bench, api: StandIn) -> float:
    """Return what the server's answers cost, by its own count of them."""
    usd = {row["cost_usd"] for row in bench.rows("attempts")}
    assert len(usd) == 1  # all answers are of one length
    return api.stats()["answered"] * usd.pop()


def test_sweep_that_uses_its_budget_up_ends_in_8_and_a_higher_one_goes_on(
    bench: Bench, api: StandIn
) -> None:
    bench.write(seeds=20, prices=PRICES, models=[bench.model(max_tokens=40, max_in_flight=4)])
    first = bench.run("sweep", "c.yaml", "budget.usd=5")
    assert first.code == 8
    assert "of 5.00 USD are spent" in first.out
    assert "Continue with: runner resume outputs/s budget.usd=10" in first.out
    assert 4.0 < costs(bench, api) <= 5.0
    assert spent(bench)[0] == pytest.approx(costs(bench, api))
    recorded = len(bench.rows())
    assert recorded == api.stats()["answered"]  # everything paid for is sealed

    status = bench.ok("status", "outputs/s").out
    assert f"stopped (the budget is used up): {recorded} recorded, {40 - recorded} owed" in status
    assert "of 5.00 USD" in status
    assert "next: runner resume outputs/s budget.usd=10" in status
    assert "budget: spent" in bench.ok("report", "outputs/s").out

    again = bench.run("resume", "outputs/s")
    assert again.code == 8
    assert api.stats()["answered"] == recorded

    bench.ok("resume", "outputs/s", "budget.usd=20")
    assert len(bench.rows()) == 40
    assert api.stats()["answered"] == 40
    no_traceback(again)


def test_budget_in_tokens_needs_no_price(bench: Bench, api: StandIn) -> None:
    bench.write(seeds=20, models=[bench.model(max_tokens=40, max_in_flight=2)])
    ended = bench.run("sweep", "c.yaml", "budget.tokens=1000")
    assert ended.code == 8
    assert "of 1,000 tokens are spent" in ended.out
    assert 700 < spent(bench)[1] <= 1000
    bench.ok("sweep", "c.yaml", "budget.tokens=100000")
    assert len(bench.rows()) == 40


def test_budget_counts_what_was_spent_before_there_was_one(bench: Bench, api: StandIn) -> None:
    bench.write(seeds=4, prices=PRICES, models=[bench.model(max_tokens=40)])
    bench.ok("sweep", "c.yaml")
    before = api.stats()["answered"]
    ended = bench.run("sweep", "c.yaml", "seeds=8", "budget.usd=1")
    assert ended.code == 8
    assert api.stats()["answered"] == before


def test_budget_in_dollars_without_a_price_is_refused_with_what_to_do(
    bench: Bench, api: StandIn
) -> None:
    bench.write()
    ended = bench.run("sweep", "c.yaml", "budget.usd=5")
    assert ended.code == 2
    assert "budget.usd: no price is known for the model m (any)" in ended.err
    assert "prices.m.like=MODEL-ID" in ended.err
    assert api.stats()["total"] == 0
    assert not bench.sweep.exists()
    bench.ok("sweep", "c.yaml", "budget.usd=5", "prices.m.input=1", "prices.m.output=1")


def test_sweep_above_twenty_dollars_is_not_asked_about_where_there_is_a_budget(
    bench: Bench, api: StandIn
) -> None:
    bench.write(seeds=20, prices={"m": {"input": 0.0, "output": 100_000.0}})
    refused = bench.run("sweep", "c.yaml")
    assert refused.code == 2
    assert "(--yes) or limit it (budget.usd=" in refused.err
    assert "limits tokens" not in refused.err
    tokens = bench.run("sweep", "c.yaml", "budget.tokens=1000000")
    assert tokens.code == 2
    assert "budget.tokens=1000000 limits tokens, not dollars" in tokens.err
    assert bench.run("sweep", "c.yaml", "budget.usd=1").code == 8
    assert api.stats()["total"] == 0  # not one call of these is sure to cost less


def test_large_sweep_of_a_model_whose_price_nobody_knows_is_asked_about(
    bench: Bench, api: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOME_KEY", "k")
    public = {"name": "m", "provider": "openai", "model": "of-our-own", "api_key_env": "SOME_KEY"}
    bench.write(seeds=5000, models=[public])
    refused = bench.run("sweep", "c.yaml")
    assert refused.code == 2
    assert "no price is known for the model m, which would take about 5," in refused.err
    assert "budget.tokens=…" in refused.err
    assert not bench.sweep.exists()
    bench.write(seeds=600, models=[bench.model()])  # a server of one's own is nobody's bill
    bench.ok("sweep", "c.yaml", "models.m.max_in_flight=200")
    assert api.stats()["total"] == 1200


def test_plan_shows_the_command_with_a_budget(bench: Bench, api: StandIn) -> None:
    bench.write(seeds=20, prices={"m": {"input": 0.0, "output": 100_000.0}})
    plan = bench.ok("plan", "c.yaml").out
    assert "runner sweep c.yaml budget.usd=" in plan
    assert json.loads(bench.ok("plan", "c.yaml", "--json").out)["owed"] == 40
