"""A model whose first answers are worth nothing: how many jobs are paid for before it stops."""

from __future__ import annotations

import pytest

from tests.support.commands import Bench
from tests.support.standin import StandIn

REFUSED = {"kind": "refusal", "every": 1}


def test_large_sweep_hands_out_forty_jobs_until_twenty_have_been_looked_at(
    bench: Bench, api: StandIn
) -> None:
    api.configure(answer_bytes=100, latency_s=0.05, faults=[REFUSED])
    bench.write(seeds=1000, models=[bench.model(max_in_flight=200)])
    ended = bench.run("sweep", "c.yaml")
    assert ended.code == 7, ended
    assert "tripwire: of its first" in ended.text
    assert 20 <= api.stats()["total"] <= 40
    assert "tripwire" in bench.run("status", "outputs/s").out


def test_large_sweep_of_good_answers_is_held_up_once_only(bench: Bench, api: StandIn) -> None:
    api.configure(answer_bytes=100, latency_s=0.01)
    bench.write(seeds=600, models=[bench.model(max_in_flight=200)])
    bench.ok("sweep", "c.yaml")
    assert api.stats()["total"] == 1200


@pytest.mark.parametrize("seeds", [30, 100])
def test_small_sweep_that_ends_before_it_can_be_stopped_says_what_its_answers_are(
    bench: Bench, api: StandIn, seeds: int
) -> None:
    api.configure(answer_bytes=100, faults=[REFUSED])
    bench.write(seeds=seeds, models=[bench.model(max_in_flight=400)])
    ended = bench.run("sweep", "c.yaml")
    assert "tripwire: of its first" in ended.text, ended
