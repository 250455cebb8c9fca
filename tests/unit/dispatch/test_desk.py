"""What a worker is told of jobs and money in one reply."""

from __future__ import annotations

from dataclasses import replace

from runner.config.money_schema import TripwireConfig
from runner.config.schema import ModelConfig
from runner.core.values import Amount
from runner.dispatch.board import Board
from runner.dispatch.desk import Desk
from runner.dispatch.leases import LeaseTable
from runner.dispatch.quota_plan import quota_plan
from runner.dispatch.quotas import QuotaDesk
from runner.dispatch.witnesses import Witnesses
from runner.execute.messages import Heartbeat, ModelTally
from runner.limits.tripwire import Tripwire
from runner.observe.events import Discard
from tests.support.beats import BEAT
from tests.support.cells import cell, plan
from tests.unit.dispatch.test_guests import Processes, configured

MODEL = ModelConfig(name="m", max_in_flight=64)


def test_no_money_is_sent_to_a_worker_that_gets_no_jobs_before_the_first_are_looked_at():
    # The first worker holds all that the tripwire hands out. Where money for one call only is left,
    # it would lie with the other for ever, which has no job to spend it on.
    told: dict[str, bool] = {}

    def allow(beat: Heartbeat, gets_jobs: bool) -> Amount:
        told[beat.incarnation] = gets_jobs
        return Amount(1.0, 1)

    desk = Desk(
        LeaseTable(plan([cell(0, 10_000)]), {}, suspect_deaths=3),
        models={"m": MODEL},
        quotas=QuotaDesk(quota_plan(configured(MODEL, None)), {"m": MODEL}, now=0.0, silent_s=None),
        witnesses=Witnesses(Processes()),
        board=Board(sweep="s", directory="d", started="", started_at=0.0),
        lease_ttl_s=16.0,
        claim=1,
        report=print,
        events=Discard(),
        allow=allow,
        tripwire=Tripwire(TripwireConfig()),
    )

    def beat(who: str) -> int:
        said = replace(
            BEAT, worker=who, incarnation=who, wants={"m": 500}, tallies={"m": ModelTally()}
        )
        reply = desk.answer(said, 1.0, leasing=True, published=frozenset[str](), drain_s=None)
        return len(reply.grants)

    assert beat("a") == 40  # all that goes out before 20 have ended
    assert beat("b") == 0
    assert told == {"a": True, "b": False}
