"""What the publisher does with seals that come late, and with attempts that are listed already."""

from __future__ import annotations

import asyncio

from runner.dispatch.publisher import Publisher
from runner.dispatch.recovered import Recovered
from runner.record.entries import Claim
from runner.record.manifest import ManifestLog
from runner.record.parts import attempt_ids, encode_parts
from runner.record.seals import write_seal
from tests.support.journals import PROCESS
from tests.support.manual_clock import ManualClock
from tests.support.memory_store import MemoryStore
from tests.support.records import answered, cell_facts


async def _publisher(store: MemoryStore, nonce: str) -> tuple[Publisher, ManifestLog, Recovered]:
    log = ManifestLog(store, ManualClock())
    await log.load()
    number = await log.claim(
        Claim(nonce=nonce, fleet="f", process=PROCESS, node="n", started_at="2026-01-01")
    )
    await log.complete_old()
    recovered = Recovered(store=store, claim=number)
    await recovered.load()

    async def nothing() -> list[str]:
        return []

    publisher = Publisher(
        store,
        log,
        claim=number,
        recovered=recovered,
        finish_recovery=nothing,
        on_published=lambda entry: None,
    )
    return publisher, log, recovered


def _listed(store: MemoryStore) -> list[str]:
    shards = [data for key, data in store.objects.items() if key.startswith("attempts/")]
    return sorted(i for data in shards for i in attempt_ids(data))


def test_seal_whose_writes_all_arrive_again_long_after_it_was_published_is_swept_up() -> None:
    async def main() -> None:
        store = MemoryStore()
        parts = encode_parts([answered(1, 0)], cell_facts)
        publisher, log, _ = await _publisher(store, "a")
        await write_seal(store, "w1.00001", parts)
        assert await publisher.cycle(look=True) == 1
        await log.snapshot()
        listed = _listed(store)
        publisher, log, _ = await _publisher(store, "b")
        head = log.state.head
        await write_seal(store, "w1.00001", parts)
        assert await publisher.cycle(look=True) == 0
        assert log.state.head == head
        assert _listed(store) == listed
        assert not [key for key in store.objects if key.startswith("parts/")]

    asyncio.run(main())


def test_attempts_that_an_earlier_claim_recovered_are_taken_out_and_other_seals_not_rewritten() -> (
    None
):
    async def main() -> None:
        store = MemoryStore()
        publisher, _, recovered = await _publisher(store, "a")
        told = answered(1, 0)
        attempts = encode_parts([], cell_facts, attempts=[told])
        name = recovered.next_seal("w1")
        await write_seal(store, name, attempts)
        assert await publisher.cycle(look=True) == 1
        publisher, _, recovered = await _publisher(store, "b")
        assert await recovered.ids("w1") == {a.attempt_id for a in told.attempts}
        await write_seal(store, "w1.00001", encode_parts([told], cell_facts))
        await write_seal(store, "w1.00002", encode_parts([answered(1, 1)], cell_facts))
        assert await publisher.cycle(look=True) == 2
        ids = _listed(store)
        assert len(ids) == len(set(ids)) == 2
        assert "attempts/w1.00002.parquet" in store.objects
        assert "attempts/w1.00001.parquet" not in store.objects
        assert "transcripts/w1.00001.parquet" in store.objects

    asyncio.run(main())
