"""Samples of a large sweep, and the line through two of them."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.core.seeds import SeedSet
from runner.rehearse.outcome import rehearsed
from runner.rehearse.sample import FEW_JOBS, Sampling, rehearse, stretched, thinned
from runner.rehearse.scene import Shape
from runner.simulate.config import OutputConfig
from tests.support.cells import cell, plan
from tests.support.scenes import model, scene

SIZES = st.lists(st.integers(1, 90), min_size=1, max_size=40)


@settings(max_examples=60, deadline=None)
@given(SIZES, st.integers(1, 30), st.integers(1, 2000), st.data())
def test_sample_is_made_of_whole_blocks_of_the_plan(seeds, block, jobs, data):
    whole = plan([cell(i, n) for i, n in enumerate(seeds)], block)
    jobs = min(jobs, whole.jobs)
    costs = {i: data.draw(st.integers(1, 5000)) for i in range(len(seeds))}
    few = thinned(whole, jobs, lambda n: Shape(calls=1, input_tokens=costs[n]))
    for one in few.cells:
        planned = whole.cell(one.number).seeds
        assert not one.seeds.minus(planned)
        assert len(one.seeds) % block == 0 or len(one.seeds) == len(planned)
    assert few.jobs <= whole.jobs
    wanted = max(min(whole.jobs, FEW_JOBS), jobs)
    assert few.jobs <= wanted + block + wanted * block / max(1, min(seeds))
    assert few.jobs > 0


def test_sample_has_the_mean_prompt_of_the_whole():
    whole = plan([cell(i, 25) for i in range(1000)], 25)

    def shape(number: int) -> Shape:
        return Shape(calls=1, input_tokens=100 + (number * 7919) % 1000 * 10)

    few = thinned(whole, 2500, shape)
    assert few.jobs == 2500
    mean = sum(shape(c.number).input_tokens * len(c.seeds) for c in few.cells) / few.jobs
    of_all = sum(shape(n).input_tokens for n in range(1000)) / 1000
    assert mean == pytest.approx(of_all, rel=0.01)


def test_sample_keeps_the_shares_of_models_and_all_of_a_small_one():
    cells = [cell(i, 1000, model="a") for i in range(10)]
    cells += [cell(10 + i, 100, model="b") for i in range(10)]
    cells += [cell(20, 5, model="c")]
    few = thinned(plan(cells, 25), 1100, lambda _: Shape(calls=1, input_tokens=1))
    jobs = {m: sum(len(c.seeds) for c in few.of_model(m)) for m in few.models}
    assert jobs == {"a": 1000, "b": 100, "c": 5}


def test_holes_in_a_cell_are_kept():
    seeds = SeedSet.parse("0-9,40-49,90-199")
    few = thinned(plan([cell(0, seeds)], 5), 100, lambda _: Shape(calls=1, input_tokens=1))
    assert str(few.cells[0].seeds) == "0-9,40-49,90-169"


@pytest.mark.parametrize(
    "quota", [{"rpm": 1200}, {"otpm": 120_000}, {"itpm": 900_000}, {"max_in_flight": 30}]
)
def test_extrapolation_is_near_the_whole_rehearsal(quota):
    one = scene(
        model(**quota), seeds=1500, output=OutputConfig(mean_tokens=100, sigma=1.0), workers=2
    )
    whole = rehearsed(one)
    guess, sampling = rehearse(one, Sampling(jobs=1500))
    assert sampling.jobs == 1500
    assert guess.simulated_jobs == 3000
    assert guess.jobs == whole.jobs == 6000
    assert guess.duration_s == pytest.approx(whole.duration_s, rel=0.03)
    assert guess.calls == pytest.approx(whole.calls, rel=0.01)
    for of in ("input_tokens", "output_tokens"):
        got, want = getattr(guess.models[0], of), getattr(whole.models[0], of)
        assert got == pytest.approx(want, rel=0.02)
    assert guess.groups[0].binds == whole.groups[0].binds
    assert guess.groups[0].phases[-1].end_s == pytest.approx(guess.duration_s)


def test_small_sweep_is_rehearsed_whole():
    one = scene(model(max_in_flight=50), seeds=25)
    found, sampling = rehearse(one)
    assert sampling.jobs is None
    assert found == rehearsed(one)


def test_line_through_two_samples_is_exact_where_all_is_linear():
    base = rehearsed(scene(model(max_in_flight=50), seeds=25))
    (m,) = base.models
    few = replace(m, jobs=10, calls=11, ends_s=15.0, most_done_s=9.0, cost_usd=1.0)
    more = replace(m, jobs=20, calls=21, ends_s=20.0, most_done_s=13.5, cost_usd=2.0)
    small, large = replace(base, models=(few,)), replace(base, models=(more,))
    found = stretched(small, large, {"m": 1000})
    (got,) = found.models
    assert (got.jobs, got.calls, got.ends_s, got.cost_usd) == (1000, 1001, 510.0, 100.0)
    assert found.duration_s == 510.0
