"""What a worker asks for with a heartbeat."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from runner.core.values import Amount
from runner.execute.demand import Demand
from runner.execute.gate import Gate
from runner.execute.purse import Purse
from runner.limits.quota import Charging
from runner.limits.spending import Allowance, CallCost, Payer

CALL = Amount(0.0, 100)


class Queue:
    """Stands for the worker's jobs: twelve that have not begun."""

    def queued(self) -> dict[str, int]:
        return {"m": 12}

    def next_cells(self, _model: str) -> tuple[int, ...]:
        return ()


def test_output_that_calls_reserve_is_told_before_the_first_one() -> None:
    for charging, tokens in ((Charging.RESERVED, 100.0), (Charging.PRODUCED, 0.0)):
        purse = Purse(model="m", max_tokens=100, charging=charging, cache_reads_count=False)
        assert purse.word(0.0, wants=12).cost.output_tokens == tokens


@pytest.mark.parametrize(("calls", "permits"), [(0, 12), (1, 12), (2, 2)])
def test_permits_are_wanted_for_calls_that_those_on_the_wire_may_leave_money_for(
    calls: int, permits: int
) -> None:
    # Money for two calls: with both on the wire it is set aside, and comes back in part.
    allowance = Allowance(limited=True, granted=Amount(0.0, 200))
    payer = Payer(allowance=allowance, cost=CallCost(tariff=None, max_tokens=100), latest=CALL)
    purse = Purse(model="m", max_tokens=100, charging=Charging.PRODUCED, cache_reads_count=False)
    gate = Gate(lambda: True, lambda: 0.0, purse=purse, payer=payer)
    for _ in range(calls):
        assert allowance.take(CALL)
        gate.in_flight += 1
    endpoint = SimpleNamespace(gate=gate, payer=payer, warmth=SimpleNamespace(readable=()))
    demand = Demand(
        jobs=cast("Any", Queue()),
        endpoints={"m": cast("Any", endpoint)},
        most_in_flight={"m": 64},
        beat_s=1.0,
        rated_at=0.0,
    )
    assert demand.words(0.0, draining=False)["m"].wants == permits
    allowance.granted = Amount(0.0, 100 * calls)  # lowered: none can be paid for beside these
    assert demand.words(0.0, draining=False)["m"].wants == calls
    assert demand.words(0.0, draining=True)["m"].wants == 0
