"""What no order of heartbeats, losses and restarts may do to a quota."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.limits.authority import GRACE_S, LEAD_S, Authority
from runner.limits.bucket import CREDIT_S, DEBT_S
from runner.limits.quota import Charging, Cost, GroupQuota, Ledger, Meter, PermitBlock
from runner.limits.wallet import Ticket, Wallet

NOTHING = Cost(input_tokens=0.0, output_tokens=0.0)


@dataclass(frozen=True)
class Beat:
    worker: int
    after_s: float
    want: int
    lost: bool
    restart: bool


beats = st.lists(
    st.builds(
        Beat,
        worker=st.integers(0, 3),
        after_s=st.floats(0.0, 2.0),
        want=st.integers(0, 300),
        lost=st.booleans(),
        restart=st.integers(0, 9).map(lambda n: n == 0),
    ),
    min_size=1,
    max_size=60,
)


def starts_of(block: PermitBlock, now: float) -> list[float]:
    return [now + block.first_in_s + i * block.interval_s for i in range(block.count)]


def most_in(starts: list[float], window: float) -> int:
    ordered = sorted(starts)
    most = left = 0
    for right, start in enumerate(ordered):
        while start - ordered[left] >= window:
            left += 1
        most = max(most, right - left + 1)
    return most


@settings(deadline=None)
@given(beats=beats, rpm=st.floats(1.0, 20_000.0))
def test_no_window_holds_more_permits_than_the_quota_even_over_restarts(beats, rpm):
    now = 100.0
    authority = Authority(GroupQuota(rpm=rpm), now=now)
    wallets = [Wallet() for _ in range(4)]
    starts: list[float] = []
    ids: set[int] = set()
    for beat in beats:
        now += beat.after_s
        if beat.restart:
            authority, ids = Authority(GroupQuota(rpm=rpm), now=now, silent_s=0.0), set()
        wallet = wallets[beat.worker]
        authority.settle(f"w{beat.worker}", "m", wallet.ledger(now), now)
        block = authority.grant(f"w{beat.worker}", "m", beat.want, NOTHING, now)
        if block is None:
            continue
        assert block.count <= beat.want
        assert block.id not in ids
        ids.add(block.id)
        starts += starts_of(block, now)
        assert max(starts) <= now + LEAD_S + 1e-6
        if not beat.lost:
            wallet.accept(block, sent_at=now, now=now)
    for window in (0.5, 1.0, 10.0, 60.0):
        assert most_in(starts, window) <= rpm / 60.0 * window * (1 + 1e-6) + 1


@settings(deadline=None, max_examples=60)
@given(
    beats=st.lists(
        st.tuples(
            st.integers(0, 1),  # whose heartbeat
            st.floats(0.0, 1.2),  # after the one before
            st.integers(0, 120),  # wanted
            st.sampled_from(("", "", "", "", "lost", "restart", "death")),
        ),
        min_size=10,
        max_size=60,
    ),
    rpm=st.floats(60.0, 6000.0),
)
def test_permits_still_held_at_a_restart_are_in_no_window_beyond_the_quota(beats, rpm):
    """A coordinator that hears every living worker again goes on after what they hold, no later."""
    quota, now = GroupQuota(rpm=rpm), 100.0
    authority, wallets = Authority(quota, now=now), [Wallet() for _ in range(2)]
    starts: list[list[float]] = [[] for _ in wallets]
    used: list[float] = []
    awaited: set[int] = set()
    for who, after_s, want, event in beats:
        now += after_s
        if event == "restart":
            authority, awaited = Authority(quota, now=now, silent_s=-5.0), {0, 1}
        elif event == "death":
            used += [start for start in starts[who] if start <= now]
            starts[who], wallets[who] = [], Wallet()
            authority.gone(f"w{who}")
        wallet, name = wallets[who], f"w{who}"
        authority.resume(wallet.held_until_s(now), now)
        authority.settle(name, "m", wallet.ledger(now), now)
        block = authority.grant(name, "m", want, NOTHING, now)
        if block is not None and event != "lost":
            wallet.accept(block, sent_at=now, now=now)
            starts[who] += starts_of(block, now)
        if awaited and not (awaited := awaited - {who}):
            authority.all_registered(now)
    used += [start for mine in starts for start in mine]
    for window in (0.5, 2.0, 10.0, 60.0):
        assert most_in(used, window) <= rpm / 60.0 * window * (1 + 1e-6) + 1


@pytest.mark.parametrize("meter", [Meter.INPUT, Meter.OUTPUT])
@settings(deadline=None)
@given(beats=beats, limit=st.floats(10_000.0, 4e6), size=st.floats(1.0, 5000.0))
def test_no_window_reserves_more_tokens_than_refill_credit_and_debt(meter, beats, limit, size):
    """Input tokens, and output where `max_tokens` is reserved; where it is produced: `test_output.py`."""
    now = 0.0
    quota, cost = GroupQuota(itpm=limit), Cost(input_tokens=size, output_tokens=0.0)
    if meter is Meter.OUTPUT:
        quota = GroupQuota(otpm=limit, charging=Charging.RESERVED)
        cost = Cost(input_tokens=0.0, output_tokens=size)
    authority = Authority(quota, now=now)
    wallets = [Wallet() for _ in range(4)]
    granted: list[tuple[float, float]] = []
    largest = 0.0
    for beat in beats:
        now += beat.after_s
        wallet, name = wallets[beat.worker], f"w{beat.worker}"
        for _ in range(wallet.held(now)):
            wallet.take(now, cost)
        authority.settle(name, "m", wallet.ledger(now), now)
        block = authority.grant(name, "m", beat.want, cost, now)
        if block is not None:
            wallet.accept(block, sent_at=now, now=now)  # no losses: nothing is given back
            starts = starts_of(block, now)
            granted += [(start, size) for start in starts]
            largest = max(largest, block.count * size)
    rate = limit / 60.0
    spread = [start for start, _ in granted]
    for window in (1.0, 10.0):
        # What starts in a window was charged from LEAD_S before it on, and charges are at most the
        # refill, what was saved up before and the debt at the end, of which the last block is part.
        bound = rate * (window + LEAD_S + CREDIT_S + DEBT_S) + largest
        assert most_in(spread, window) * size <= bound + size


@settings(deadline=None)
@given(
    steps=st.lists(
        st.tuples(
            st.integers(1, 20),  # wanted
            st.booleans(),  # the reply is lost
            st.floats(0.0, 3.0),  # actual input as a share of the estimate
        ),
        min_size=1,
        max_size=15,
    )
)
def test_tokens_are_restored_exactly_when_permits_are_lost_or_lapse(steps):
    authority = Authority(GroupQuota(itpm=6e6, safety=1.0), now=0.0)
    cost = Cost(input_tokens=1000.0, output_tokens=0.0)
    wallet = Wallet()
    spent = 0.0
    level = authority._group._mirrors[Meter.INPUT]
    authority.settle("w", "m", wallet.ledger(0.0), 0.0)  # time stands still: nothing is refilled
    for want, lost, share in steps:
        block = authority.grant("w", "m", want, cost, 0.0)
        if block is not None and not lost:
            wallet.accept(block, sent_at=0.0, now=-block.first_in_s)
            ticket = wallet.take(0.0, cost)
            if ticket is not None:
                used = round(share * 1000)
                spent += used
                wallet.answered(ticket, input_tokens=used, output_tokens=1, latency_s=1.0)
            wallet.drop()
        ledger = wallet.ledger(0.0)
        authority.settle("w", "m", ledger, 0.0)
        authority.settle("w", "m", ledger, 0.0)
        assert abs(level.level + spent) < 1e-6
        assert authority._group.flow._model("m").pending == 0


@settings(deadline=None)
@given(
    counts=st.lists(st.integers(1, 30), min_size=1, max_size=6),
    steps=st.lists(st.floats(0.0, 0.4), max_size=60),
    interval=st.floats(0.001, 0.5),
)
def test_a_wallet_uses_each_permit_at_most_once_and_in_its_time(counts, steps, interval):
    wallet, now, blocks, tickets = Wallet(), 0.0, list(counts), []
    due: list[float] = []
    for step in [0.0, *steps]:
        if blocks:
            block = PermitBlock(
                id=len(due),
                model="m",
                count=blocks.pop(),
                first_in_s=0.3,
                interval_s=interval,
                grace_s=GRACE_S,
                expires_in_s=100.0,
                reserved=NOTHING,
            )
            wallet.accept(block, sent_at=now, now=now)
            due += starts_of(block, now)
        now += step
        ticket = wallet.take(now, NOTHING)
        if ticket is not None:
            tickets.append(ticket)
        ledger = wallet.ledger(now)
        assert ledger.accepted == ledger.used + ledger.lapsed + wallet.held(now)
        assert ledger.used == len(tickets)
        assert sum(1 for at in due if at <= now + 1e-9) >= len(tickets)
    for ticket in tickets:
        assert any(at - 1e-9 <= ticket.at <= at + GRACE_S + 1e-9 for at in due)


@given(
    pause=st.floats(0.0, 600.0),
    later=st.floats(0.0, 700.0),
    meter=st.sampled_from([None, *Meter]),
)
def test_nothing_starts_before_the_pause_that_a_refusal_asked_for(pause, later, meter):
    authority = Authority(GroupQuota(rpm=6000), now=0.0)
    wallet = Wallet()
    authority.settle("w", "m", wallet.ledger(0.0), 0.0)
    block = authority.grant("w", "m", 10, NOTHING, 0.0)
    assert block is not None
    wallet.accept(block, sent_at=0.0, now=0.0)
    ticket = wallet.take(0.1, NOTHING)
    assert isinstance(ticket, Ticket)
    wallet.refused(ticket, meter=meter, ramp=False, pause_s=pause, now=0.1)
    assert (wallet.next_at(0.1) or 0.1 + pause) >= 0.1 + pause
    authority.settle("w", "m", wallet.ledger(0.1), 0.1)
    assert abs(authority.hold_s("m", 0.1) - pause) < 1e-9
    for worker in ("w", "other"):
        now = 0.1 + later
        authority.settle(worker, "m", wallet.ledger(now) if worker == "w" else Ledger(), now)
        block = authority.grant(worker, "m", 10, NOTHING, now)
        if block is not None:
            assert now + block.first_in_s >= 0.1 + pause - 1e-9
