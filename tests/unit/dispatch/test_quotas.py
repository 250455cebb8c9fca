"""Models without a quota whose server limits its rate all the same."""

from __future__ import annotations

from dataclasses import replace

from runner.config.quotas import QuotaUse
from runner.config.schema import ModelConfig
from runner.dispatch.quotas import TELL_REFUSED, QuotaDesk, QuotaPlan
from runner.execute.messages import Heartbeat, ModelTally
from runner.limits.quota import GroupQuota
from tests.support.beats import BEAT

MODEL = ModelConfig(name="m", model="x", base_url="http://127.0.0.1:1", max_in_flight=100)
PLAN = QuotaPlan(
    groups={"m": GroupQuota()},
    uses={"m": QuotaUse(group="m")},
    own={},
    paced=frozenset(),
    cache_reads_count=frozenset(),
)


def said(worker: str, *, refused: int = 0, paused_s: float = 0.0) -> Heartbeat:
    tally = ModelTally(answered=5, failures={"rate_limited": refused}, paused_s=paused_s)
    return replace(BEAT, incarnation=worker, tallies={"m": tally})


def test_pause_that_a_429_asked_one_worker_for_holds_the_others_too():
    desk = QuotaDesk(PLAN, {"m": MODEL}, now=0.0, silent_s=None)
    for beat in (said("a"), said("b"), said("a", refused=3, paused_s=20.0)):
        desk.in_flight_limits(beat, {"m": 8}, 1.0)
    other = desk.answer(said("b"), granted={}, slots={"m": 4}, now=5.0)
    assert other.holds == {"m": 16.0}
    assert not other.outages  # it is no outage: failures count as ever
    # What b's own gate says then is an echo, and prolongs nothing.
    desk.in_flight_limits(said("b", paused_s=16.0), {"m": 8}, 6.0)
    assert desk.answer(said("b"), granted={}, slots={"m": 4}, now=21.0).holds == {}


def test_quota_is_recommended_once():
    desk = QuotaDesk(PLAN, {"m": MODEL}, now=0.0, silent_s=None)
    for refused in (0, 3, TELL_REFUSED, TELL_REFUSED + 50):
        desk.in_flight_limits(said("a", refused=refused), {"m": 8}, 1.0)
    assert desk.limited == ["m"]
