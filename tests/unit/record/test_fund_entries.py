"""Spending as the manifest adds it up: published attempts, allowances, accounts closed."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from runner.core.errors import StorageError
from runner.core.seeds import SeedSet
from runner.core.values import Amount, Job
from runner.record.entries import Claim, Fund, Publish, Shard
from runner.record.frames import AttemptFrame, Note, encode, scan
from runner.record.layout import shard_key
from runner.record.manifest import ManifestLog, load_state
from tests.support.journals import PROCESS, failed
from tests.support.manual_clock import ManualClock
from tests.support.memory_store import MemoryStore


def attempts(seal: str, counted: Amount) -> Publish:
    jobs = {1: SeedSet.of_seeds([0])}
    name = shard_key("attempts", seal)
    shard = Shard(name=name, rows=1, bytes=1, sha256="00", jobs=jobs, counted=counted)
    return Publish(attempts=(shard,), seals=(seal,))


async def claimed(store: MemoryStore) -> ManifestLog:
    log = ManifestLog(store, ManualClock())
    await log.load()
    await log.claim(Claim(nonce="a", fleet="f", process=PROCESS, node="n", started_at=""))
    return log


ENTRIES = (
    attempts("w0.00001", Amount(0.5, 50)),  # before there was a budget
    Fund(drawn={"w1": Amount(2.0, 200), "w2": Amount(3.0, 300)}),
    attempts("w1.00001", Amount(0.25, 25)),
    attempts("w1.00002r", Amount(0.25, 25)),
    Fund(drawn={"w1": Amount(1.0, 100)}, closed={"w2": Amount(0.125, 12)}),
    Fund(drawn={"judge.a": Amount(0.5, 50), "judge.b": Amount(0.25, 25)}),
    Fund(drawn={}, closed={"judge.a": Amount(0.25, 25)}),
    attempts("w2.00009", Amount(0.0625, 6)),  # comes late: of an account that is closed
)


def test_ledger_adds_up_the_same_from_entries_and_from_a_snapshot():
    async def main():
        store = MemoryStore()
        log = await claimed(store)
        for entry in ENTRIES:
            await log.append(entry)
        read = (await load_state(store)).ledger
        await log.snapshot()
        again = (await load_state(store)).ledger
        return log.state.ledger, read, again

    ledger, read, again = asyncio.run(main())
    assert ledger == read == again
    assert ledger.spent == Amount(1.0625, 106)
    assert ledger.unproven == Amount(0.125 + 0.25, 12 + 25)
    assert (ledger.judged, ledger.of_guests()) == (Amount(0.25, 25), Amount(0.5, 50))
    assert ledger.outstanding("w1") == Amount(0.5, 50)
    others = Amount(1.0625 + 0.125 + 0.5, 106 + 12 + 50)
    assert ledger.committed() == others.plus(ledger.of_guests())
    assert set(ledger.drawn) == {"w1", "judge.b"}


def test_fund_entry_whose_write_is_unsure_is_settled_by_appending_it_again():
    async def main():
        store = MemoryStore()
        log = await claimed(store)
        store.before = 99
        fund = Fund(drawn={"w1": Amount(1.0, 100)})
        with pytest.raises(StorageError):
            await log.append(fund)
        assert log.state.ledger.drawn == {}
        assert log.unsure == fund
        store.before = 0
        await log.append(fund)
        return log.state.ledger.drawn, (await load_state(store)).ledger.drawn

    mine, read = asyncio.run(main())
    assert mine == read == {"w1": Amount(1.0, 100)}


def test_journal_keeps_what_was_set_aside_and_what_was_counted():
    note = Note(Job(1, 2), 0, 1, Amount(0.125, 300.5))
    plain = Note(Job(1, 2), 0, 2)
    frame = AttemptFrame(replace(failed(1, 2).attempt, counted=Amount(0.0625, 15)))
    frames = scan(encode(note) + encode(plain) + encode(frame)).frames
    assert frames == [note, plain, frame]
