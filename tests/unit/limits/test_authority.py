from __future__ import annotations

import pytest

from runner.limits.authority import LEAD_S, Authority
from runner.limits.output_flow import OutputFlow
from runner.limits.quota import Charging, Cost, GroupQuota, Ledger, Meter, Ramp, Reading
from runner.limits.token_guess import CostGuess
from runner.limits.wallet import Wallet

COST = Cost(input_tokens=100.0, output_tokens=100.0)
AT_ONCE = Ramp(start=1.0)


def permits(authority: Authority, wants: dict[tuple[str, str], int], seconds: int) -> dict:
    """Beat once a second for everybody, use all permits, and count those that were due by then."""
    wallets = {key: Wallet() for key in wants}
    for second in range(seconds):
        for i, ((worker, model), want) in enumerate(wants.items()):
            now = second + i / len(wants)
            wallet = wallets[worker, model]
            while wallet.take(now, COST) is not None:
                pass
            authority.settle(worker, model, wallet.ledger(now), now)
            block = authority.grant(worker, model, want, COST, now)
            if block is not None:
                wallet.accept(block, sent_at=now, now=now)
    return {
        key: wallet.ledger(seconds).accepted - wallet.held(seconds)
        for key, wallet in wallets.items()
    }


def test_idle_workers_leave_their_share_to_the_busy():
    authority = Authority(GroupQuota(rpm=6000, ramp=AT_ONCE), now=0.0)
    got = permits(authority, {(f"w{i}", "m"): 500 if i < 2 else 0 for i in range(8)}, 120)
    assert sum(got.values()) == pytest.approx(0.99 * 12_000, rel=0.03)
    assert got["w0", "m"] == pytest.approx(got["w1", "m"], rel=0.1)
    assert got["w5", "m"] == 0


def test_models_share_a_group_evenly_and_one_held_back_leaves_the_rest():
    wants = {("w0", "a"): 500, ("w1", "a"): 500, ("w0", "b"): 500}
    even = permits(Authority(GroupQuota(rpm=6000, ramp=AT_ONCE), now=0.0), wants, 180)
    assert even["w0", "b"] == pytest.approx(even["w0", "a"] + even["w1", "a"], rel=0.1)
    own = {"b": GroupQuota(rpm=600, ramp=AT_ONCE)}
    authority = Authority(GroupQuota(rpm=6000, ramp=AT_ONCE), now=0.0, models=own)
    held = permits(authority, wants, 100)
    assert held["w0", "b"] == pytest.approx(1000, rel=0.06)
    assert sum(held.values()) == pytest.approx(0.99 * 10_000, rel=0.05)


def test_a_quota_of_a_few_requests_a_minute_is_still_used():
    got = permits(
        Authority(GroupQuota(rpm=6, ramp=AT_ONCE), now=0.0),
        {(f"w{i}", "m"): 5 for i in range(4)},
        300,
    )
    assert 28 <= sum(got.values()) <= 31


def test_a_successor_starts_where_the_held_permits_end():
    old = Authority(GroupQuota(rpm=6000, ramp=AT_ONCE), now=0.0)
    wallet = Wallet()
    old.settle("w", "m", wallet.ledger(0.0), 0.0)
    block = old.grant("w", "m", 500, COST, 0.0)
    assert block is not None
    wallet.accept(block, sent_at=0.0, now=0.0)
    last = block.first_in_s + (block.count - 1) * block.interval_s
    unsure = Authority(GroupQuota(rpm=6000), now=0.1, silent_s=0.0)
    unsure.settle("w", "m", wallet.ledger(0.1), 0.1)
    late = unsure.grant("w", "m", 500, COST, 0.1)
    assert late is None or late.first_in_s >= LEAD_S - 1e-9
    sure = Authority(GroupQuota(rpm=6000), now=0.1, silent_s=0.0)
    sure.settle("w", "m", wallet.ledger(0.1), 0.1)
    sure.resume(wallet.held_until_s(0.1), 0.1)
    sure.all_registered(0.1)
    next_block = sure.grant("w", "m", 500, COST, 0.1)
    assert next_block is not None
    assert 0.1 + next_block.first_in_s == pytest.approx(last + 1 / 99)  # an interval later


def test_an_open_breaker_grants_single_probes_then_ramps_up():
    authority = Authority(GroupQuota(rpm=6000, ramp=AT_ONCE), now=0.0)
    authority.settle("w", "m", Ledger(), 0.0)
    authority.settle("w", "m", Ledger(overloaded=20), 1.0)
    assert authority.grant("w", "m", 100, COST, 1.1) is None
    assert authority.status(1.1).breaker == "open"
    assert authority.hold_s("m", 1.1) > 0
    probe = authority.grant("w", "m", 100, COST, 4.0)
    assert probe is not None
    assert probe.count == 1
    assert authority.grant("w", "m", 100, COST, 4.1) is None
    authority.settle("w", "m", Ledger(overloaded=20, answered=1, accepted=1, used=1), 5.0)
    block = authority.grant("w", "m", 500, COST, 5.0)
    assert block is not None
    assert block.interval_s > 0.05  # a tenth of the rate
    assert authority.status(5.0).breaker == "closed"


def test_reserved_output_is_charged_at_the_start_and_settled_at_the_end():
    config = GroupQuota(otpm=60_000, charging=Charging.RESERVED, safety=1.0, ramp=AT_ONCE)
    authority = Authority(config, now=0.0)
    wallet = Wallet()
    cost = Cost(input_tokens=0.0, output_tokens=1000.0)
    authority.settle("w", "m", wallet.ledger(0.0), 0.0)
    block = authority.grant("w", "m", 2, cost, 0.0)
    assert block is not None
    assert block.interval_s >= 1.0
    wallet.accept(block, sent_at=0.0, now=0.0)
    ticket = wallet.take(0.0, cost)
    assert ticket is not None
    wallet.answered(ticket, input_tokens=0, output_tokens=100, latency_s=0.1)
    authority.settle("w", "m", wallet.ledger(0.0), 0.0)
    mirror = authority._group._mirrors[Meter.OUTPUT]
    assert mirror.level == pytest.approx(-100.0 - 1000.0 * (block.count - 1))


def test_unknown_limits_are_taken_from_the_first_header():
    authority = Authority(GroupQuota(auto=True), now=0.0)
    authority.observe(
        {Meter.REQUESTS: Reading(limit=600.0), Meter.OUTPUT: Reading(limit=60_000.0)}, 1.0
    )
    limits = {m.meter: (m.limit, m.source) for m in authority.status(1.0).meters}
    assert limits == {
        Meter.REQUESTS: (pytest.approx(600.0), "header"),
        Meter.OUTPUT: (pytest.approx(60_000.0), "header"),
    }


def test_no_quota_at_all_limits_nothing():
    authority = Authority(GroupQuota(), now=0.0)
    authority.settle("w", "m", Ledger(), 0.0)
    block = authority.grant("w", "m", 12_345, COST, 0.0)
    assert block is not None
    assert (block.count, block.interval_s) == (12_345, 0.0)


def test_calls_of_a_silent_worker_count_until_they_must_have_ended():
    authority = Authority(GroupQuota(otpm=600_000, ramp=AT_ONCE), now=0.0)
    authority.settle("w", "m", Ledger(), 0.0)
    authority.settle("w", "m", Ledger(accepted=50, used=50, in_flight=50, elapsed_s=50.0), 1.0)
    flow = authority._group.flow
    authority.lost("w", 1.0, 60.0)
    authority.status(60.0)
    assert flow._models["m"].total == 50
    authority.status(61.5)
    assert flow._models["m"].total == 0


def test_production_is_estimated_from_the_fitted_line():
    flow = OutputFlow(at=0.0)
    for second in range(1, 400):  # delay 2 s, 50 tokens a second, lengths 100 and 500
        flow.advance(float(second), 1000.0)
        flow.answered("m", n=2, y=600.0, x=16.0, yy=260_000.0, xy=100 * 4 + 500 * 12)
        flow.report("w", "m", in_flight=16, elapsed_s=100.0, started=2)
    model = flow._models["m"]
    assert model.speed == pytest.approx(50.0, rel=0.02)
    assert model.delay == pytest.approx(2.0, rel=0.05)
    assert flow.mean("m") == pytest.approx(300.0, rel=0.1)


def test_guesses_follow_the_cell_then_the_model_then_a_stated_number():
    guess = CostGuess()
    ask = {"characters": 400, "max_tokens": 4000, "charging": Charging.PRODUCED}
    assert guess.cost("m", 1, **ask) == Cost(input_tokens=100.0, output_tokens=500.0)
    for _ in range(50):
        guess.answered("m", 1, characters=400, input_tokens=200, output_tokens=50)
        guess.answered("m", 2, characters=400, input_tokens=200, output_tokens=1000)
    assert guess.cost("m", 1, **ask).output_tokens == pytest.approx(50.0)
    assert guess.cost("m", 2, **ask).output_tokens == pytest.approx(1000.0)
    assert 50.0 < guess.cost("m", 3, **ask).output_tokens < 1000.0
    assert guess.cost("m", 1, **ask).input_tokens == pytest.approx(200.0)
    reserved = guess.cost("m", 1, characters=4, max_tokens=4000, charging=Charging.RESERVED)
    assert reserved.output_tokens == 4000


def test_a_grant_in_deep_debt_does_not_take_the_line_for_hours():
    quota = GroupQuota(itpm=60_000, ramp=AT_ONCE)
    authority = Authority(quota, now=0.0)
    wallet = Wallet()
    authority.settle("w", "m", wallet.ledger(0.0), 0.0)
    block = authority.grant("w", "m", 1, COST, 0.0)
    assert block is not None
    wallet.accept(block, sent_at=0.0, now=0.0)
    ticket = wallet.take(0.0, COST)
    assert ticket is not None
    # Its input came to nearly two seconds of the rate: the mirror is a hair above its debt limit.
    wallet.answered(ticket, input_tokens=2071.9, output_tokens=1, latency_s=0.1)
    authority.settle("w", "m", wallet.ledger(0.1), 0.1)
    now, granted = 0.1, 0
    while now < 5.0 and not granted:
        found = authority.grant("w", "m", 1, COST, now)
        granted += 0 if found is None else found.count
        now += 0.05
    assert granted
    assert authority.status(now).waiting_s < 2.0
