"""kill -9 again and again near the budget's end: it is not passed, and little is lost."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
from collections.abc import Iterable
from pathlib import Path

import duckdb
import pytest

from tests.support.cli_sweep import CliSweep, wait_for
from tests.support.standin import StandIn

pytestmark = pytest.mark.chaos

CALLS = 300
"""That the budget pays for."""
KILLS = 10
PRICE = {"m1": {"input": 0.0, "output": 1000.0}}
USD = CALLS * 0.125
"""125 tokens an answer."""
SHORT = "models.m1.max_tokens=150"


@pytest.mark.parametrize("seed", [1])
def test_everything_killed_ten_times_near_the_budgets_end_it_holds_and_goes_on(
    tmp_path: Path, server: StandIn, seed: int
) -> None:
    draw = random.Random(seed)
    with _sweep(tmp_path, server, [], jobs=400) as sweep:
        sweep.start(SHORT)
        sweep.until_calls(int(0.8 * CALLS))
        sweep.kill_all()
        for _ in range(KILLS - 1):
            calls = server.stats()["total"] + draw.randint(1, 6)
            _until_calls_or_end(sweep.start(SHORT), server, calls)
            sweep.kill_all()
        assert sweep.start(SHORT).wait(120) == 8, sweep.screen
        _check(sweep, server, kills=KILLS)
        sweep.hurry()
        sweep.finish(120, SHORT, "budget.usd=1000")
        sweep.check_rows()


@pytest.mark.ray
def test_parts_and_all_of_a_ray_killed_near_the_budgets_end_it_holds_and_goes_on(
    tmp_path: Path, server: StandIn, on_ray: list[str]
) -> None:
    """The same for two worker processes, which draw on one budget through a coordinator of its own."""
    with _sweep(tmp_path, server, on_ray, jobs=340) as sweep:
        driver = sweep.start(SHORT)
        sweep.until_calls(int(0.5 * CALLS))
        sweep.until(lambda: len(sweep.workers()) == 2)
        _kill(sweep.workers()[:1])
        _until_calls_or_end(driver, server, int(0.65 * CALLS))
        _kill([sweep.coordinator()])
        _until_calls_or_end(driver, server, int(0.8 * CALLS))
        sweep.kill_all()
        driver = sweep.start(SHORT)
        _until_calls_or_end(driver, server, int(0.9 * CALLS))
        _kill([sweep.coordinator(), *sweep.workers()])
        assert driver.wait(120) == 8, sweep.screen
        _check(sweep, server, kills=4)
        sweep.hurry()
        sweep.finish(120, SHORT, "budget.usd=1000")
        sweep.check_rows()


def _sweep(folder: Path, server: StandIn, placement: list[str], *, jobs: int) -> CliSweep:
    return CliSweep(
        folder, server, placement, jobs=jobs, in_flight=12, prices=PRICE, budget={"usd": USD}
    )


def _check(sweep: CliSweep, server: StandIn, *, kills: int) -> None:
    """The budget is neither passed by what the server answered nor left unused."""
    answered = server.stats()["answered"]
    (cost,) = _costs(sweep)  # all answers are of one length
    assert answered * cost <= USD + 1e-6, sweep.screen
    # A kill costs what was on the wire, at no more than what an answer of 150 tokens costs.
    wasted = kills * sweep.in_flight * 0.15
    assert answered * cost >= USD - wasted - 0.15
    print(f"{answered} answers for {answered * cost:.2f} of {USD:.2f} USD after {kills} kills")


def _kill(pids: Iterable[int]) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _until_calls_or_end(driver: subprocess.Popen[bytes], server: StandIn, calls: int) -> None:
    wait_for(lambda: driver.poll() is not None or server.stats()["total"] >= calls, 60)


def _costs(sweep: CliSweep) -> list[float]:
    shards = f"{sweep.directory}/attempts/*.parquet"
    found = duckdb.sql(f"select distinct cost_usd from '{shards}' where answered").fetchall()
    return [cost for (cost,) in found if cost is not None]
