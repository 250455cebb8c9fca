"""kill -9 of everything, ten times near the budget's end: it is not passed, and little is lost."""

from __future__ import annotations

import random
import subprocess
from pathlib import Path

import duckdb
import pytest

from tests.support.cli_sweep import CliSweep, wait_for
from tests.support.standin import StandIn

pytestmark = pytest.mark.chaos

CALLS = 300
"""That the budget pays for."""
KILLS = 10


@pytest.mark.parametrize("seed", [1])
def test_everything_killed_ten_times_near_the_budgets_end_it_holds_and_goes_on(
    tmp_path: Path, server: StandIn, seed: int
) -> None:
    draw = random.Random(seed)
    price = {"m1": {"input": 0.0, "output": 1000.0}}
    usd = CALLS * 0.125  # 125 tokens an answer
    short = "models.m1.max_tokens=150"
    with CliSweep(
        tmp_path, server, [], jobs=400, in_flight=12, prices=price, budget={"usd": usd}
    ) as sweep:
        sweep.start(short)
        sweep.until_calls(int(0.8 * CALLS))
        sweep.kill_all()
        for _ in range(KILLS - 1):
            calls = server.stats()["total"] + draw.randint(1, 6)
            _until_calls_or_end(sweep.start(short), server, calls)
            sweep.kill_all()
        assert sweep.start(short).wait(120) == 8, sweep.screen
        answered = server.stats()["answered"]
        (cost,) = _costs(sweep)  # all answers are of one length
        assert answered * cost <= usd + 1e-6, sweep.screen
        # A kill costs what was on the wire, at no more than what an answer of 150 tokens costs.
        wasted = KILLS * sweep.in_flight * 0.15
        assert answered * cost >= usd - wasted - 0.15
        print(f"seed {seed}: {answered} answers for {answered * cost:.2f} of {usd:.2f} USD")
        sweep.hurry()
        sweep.finish(120, short, "budget.usd=1000")
        sweep.check_rows()


def _until_calls_or_end(driver: subprocess.Popen[bytes], server: StandIn, calls: int) -> None:
    wait_for(lambda: driver.poll() is not None or server.stats()["total"] >= calls, 60)


def _costs(sweep: CliSweep) -> list[float]:
    shards = f"{sweep.directory}/attempts/*.parquet"
    found = duckdb.sql(f"select distinct cost_usd from '{shards}' where answered").fetchall()
    return [cost for (cost,) in found if cost is not None]
