"""Permits out of one authority: CPU time of its calls alone, everything of a heartbeat included."""

from __future__ import annotations

import time

import pytest

from runner.limits.authority import Authority
from runner.limits.quota import Cost, GroupQuota, Ramp
from runner.limits.wallet import Wallet

pytestmark = pytest.mark.bench

RATE = 40_000
"""Requests a second that the quota allows."""
SECONDS = 20
PER_S = 20_000


@pytest.mark.parametrize("workers", [8, 200])
def test_one_authority_grants_20000_permits_per_second_in_blocks(workers: int) -> None:
    quota = GroupQuota(rpm=RATE * 60, itpm=RATE * 60e3, otpm=RATE * 60e3, ramp=Ramp(start=1.0))
    authority = Authority(quota, now=0.0)
    cost = Cost(input_tokens=300.0, output_tokens=200.0)
    wallets = {f"w{i}": Wallet() for i in range(workers)}
    used_s, granted, blocks = 0.0, 0, 0
    for second in range(SECONDS):
        for i, (worker, wallet) in enumerate(wallets.items()):
            now = second + i / workers
            while (ticket := wallet.take(now, cost)) is not None:
                wallet.answered(ticket, input_tokens=300.0, output_tokens=200.0, latency_s=1.0)
            ledger, want = wallet.ledger(now), 10 * RATE // workers - wallet.held(now)
            began = time.process_time()
            authority.settle(worker, "m", ledger, now)
            block = authority.grant(worker, "m", want, cost, now)
            authority.hold_s("m", now)
            used_s += time.process_time() - began
            if block is not None:
                granted, blocks = granted + block.count, blocks + 1
                wallet.accept(block, sent_at=now, now=now)
    rate = granted / used_s
    print(
        f"\n{workers} workers: {granted:,} permits in {blocks:,} blocks, {used_s:.2f} s of CPU:"
        f" {rate:,.0f} a second, {1e6 * used_s / blocks:.0f} µs a heartbeat"
    )
    assert granted >= 0.9 * RATE * SECONDS
    assert rate >= PER_S
