from typing import Any

import pytest
from pyroaring import BitMap

from runner.core.money import Rates, Row, Tariff
from runner.plan.cells import Plan
from runner.plan.estimate import (
    JUDGE,
    ROLES,
    Cast,
    ModelEstimate,
    Observed,
    Pricing,
    PromptSize,
    estimate,
    of_sweep,
    total_cost_usd,
)
from tests.support.cells import cell, plan


def test_plan_finds_cells_by_number_and_model():
    planned = plan([cell(4, 3, model="a"), cell(9, 5, model="b"), cell(2, 2, model="b")])
    assert planned.jobs == 10
    assert planned.models == ("a", "b")
    assert [c.number for c in planned.of_model("b")] == [9, 2]
    assert planned.of_model("none") == ()
    assert planned.cell(9).model == "b"
    assert 9 in planned
    assert 3 not in planned
    assert planned.next_number == 10


def test_plan_when_a_number_occurs_twice_is_refused():
    with pytest.raises(ValueError, match="twice"):
        plan([cell(1), cell(1)])
    with pytest.raises(ValueError, match="seed_block"):
        Plan([cell(1)], seed_block=0)


def test_estimate_counts_what_is_owed():
    planned = plan([cell(0, 10, model="a"), cell(1, 10, model="a"), cell(2, 5, model="b")])
    rows = estimate(
        planned,
        size=lambda n: PromptSize(calls=2, characters=400),
        pricing={"a": Pricing(max_tokens=100), "b": Pricing(max_tokens=9000)},
        ended={0: BitMap([0, 1, 2, 77])},
        at=0.0,
    )
    assert [(r.model, r.cells, r.jobs, r.owed, r.calls) for r in rows] == [
        ("a", 2, 20, 17, 34),
        ("b", 1, 5, 5, 10),
    ]
    assert rows[0].input_tokens == 17 * (100 + 100)
    assert (rows[0].output_tokens, rows[0].output_tokens_ceiling) == (3400, 3400)
    assert (rows[1].output_tokens, rows[1].output_tokens_ceiling) == (5000, 90000)
    assert [(r.cost_usd, r.price_source, r.from_jobs) for r in rows] == [(None, None, 0)] * 2


RATES = Rates(input=1.0, output=10.0, cache_read=0.1, cache_write=1.25, cache_write_1h=2.0)
TARIFF = Tariff(source="test", rows=(Row(bands=((0, RATES),)),))


def one_estimate(seen: Observed | None = None, **more: Any) -> ModelEstimate:
    (row,) = estimate(
        plan([cell(0, 100, model="a")], 25),
        size=lambda n: PromptSize(calls=1, characters=40_000, shared=38_000),
        pricing={"a": Pricing(max_tokens=2000, tariff=TARIFF, observed=seen, **more)},
        ended={},
        at=0.0,
    )
    return row


def test_estimate_prices_guess_and_ceiling():
    row = one_estimate()
    assert (row.input_tokens, row.output_tokens, row.cached_tokens) == (1_000_000, 50_000, 0)
    assert row.cost_usd == pytest.approx(1.0 + 0.5)
    assert row.cost_usd_ceiling == pytest.approx(1.0 + 2.0)


def test_estimate_takes_lengths_from_recorded_rows_where_there_are_enough():
    def seen(jobs: int) -> Observed:
        return Observed(jobs=jobs, calls=1.0, input_tokens=12_000, output_tokens=80)

    assert one_estimate(seen(9)).output_tokens == 50_000
    row = one_estimate(seen(10))
    assert (row.output_tokens, row.input_tokens, row.from_jobs) == (8_000, 1_200_000, 10)


@pytest.mark.parametrize(("hour", "write"), [(False, 1.25), (True, 2.0)])
def test_estimate_with_caching_writes_once_a_block_and_reads_the_rest(hour, write):
    row = one_estimate(caches=lambda characters: characters > 1000, hour=hour)
    writes, reads = 4 * 9_500, 96 * 9_500
    assert (row.written_tokens, row.cached_tokens) == (writes, reads)
    left = 1_000_000 - writes - reads
    assert row.cost_usd == pytest.approx((left + writes * write + reads * 0.1) / 1e6 + 0.5)


EPISODE = PromptSize(calls=1, characters=4000, most_calls=20)


def episodes(
    *cast: Cast, seen: Observed | None = None, others: dict[str, Observed] | None = None
) -> list[ModelEstimate]:
    """Return the estimates of ten episodes that `a` is tested in and other models take part in."""
    return estimate(
        plan([cell(0, 10, model="a")]),
        size=lambda n: EPISODE,
        pricing={
            "a": Pricing(max_tokens=800, tariff=TARIFF, observed=seen, others=others or {}),
            "b": Pricing(max_tokens=50, tariff=TARIFF, group="small"),
        },
        ended={},
        at=0.0,
        cast=lambda n: cast,
    )


def test_episode_with_more_scripted_turns_than_six_is_guessed_as_that_many_calls():
    assert PromptSize(calls=9, characters=1, most_calls=20).usual_calls == 9
    assert PromptSize(calls=9, characters=1, most_calls=4).usual_calls == 4


def test_episode_is_guessed_as_six_calls_that_each_carry_those_before():
    (row,) = episodes()
    assert (row.calls, row.output_tokens) == (60, 30_000)
    # 1,000 tokens of prompt in each; after it 0 + 1 + … + 5 answers of 500 with results of 200
    assert row.input_tokens == 10 * (6 * 1000 + 15 * 700)
    # at most: 20 calls with answers of 800
    assert row.output_tokens_ceiling == 10 * 20 * 800
    at_most = 10 * (20 * 1000 + 190 * 1000)
    assert row.cost_usd_ceiling == pytest.approx((at_most * 1.0 + 160_000 * 10.0) / 1e6)


def test_episode_takes_calls_and_input_from_recorded_rows():
    seen = Observed(jobs=40, calls=3.5, input_tokens=9_000, output_tokens=350)
    (row,) = episodes(seen=seen)
    assert (row.calls, row.output_tokens, row.input_tokens) == (35, 3_500, 90_000)


def test_roles_and_judges_are_counted_at_their_own_model_and_only_roles_in_the_sweep():
    rows = episodes(
        Cast(model="b", calls=1.0),
        Cast(model="b", per_call=2.0),
        Cast(model="b", calls=3.0, judges=400),
    )
    _, roles, judge = rows
    assert [(r.model, r.purpose, r.group, r.owed) for r in rows[1:]] == [
        ("b", ROLES, "small", 0),
        ("b", JUDGE, "small", 0),
    ]
    # one answer in a job and two for each of six calls, reading what the model under test reads
    assert (roles.calls, roles.output_tokens) == (130, 130 * 50)
    assert roles.input_tokens == 130 * 16_500 // 6
    # three votes, each told 100 tokens and the six answers
    assert (judge.calls, judge.input_tokens) == (30, 30 * (100 + 6 * 500))
    spent, unknown = total_cost_usd(of_sweep(rows))
    assert spent == pytest.approx(rows[0].cost_usd + roles.cost_usd)
    assert unknown == []


def test_roles_take_calls_and_lengths_from_recorded_rows():
    seen = Observed(jobs=40, calls=4.0, input_tokens=9_000, output_tokens=350)
    played = Observed(jobs=40, calls=0.5, input_tokens=100, output_tokens=20)
    _, roles = episodes(Cast(model="b", calls=1.0), seen=seen, others={"b": played})
    assert (roles.calls, roles.input_tokens, roles.output_tokens) == (5, 1_000, 200)
    assert roles.from_jobs == 40
