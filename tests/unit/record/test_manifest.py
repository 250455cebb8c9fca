"""The manifest decides races, survives ambiguous writes, and refuses what is not its own."""

from __future__ import annotations

import asyncio
import json

import pytest

from runner.core.errors import FencedError, RecordError, StorageError
from runner.core.seams import KeyMissingError
from runner.core.seeds import SeedSet
from runner.core.values import Job
from runner.record.entries import (
    Claim,
    OweAgain,
    PlanEntry,
    Publish,
    Release,
    Shard,
    Supersede,
)
from runner.record.layout import entry_key, shard_key, snapshot_key
from runner.record.manifest import ManifestLog, latest_claim, load_state, read_written
from tests.support.journals import PROCESS
from tests.support.manual_clock import ManualClock
from tests.support.memory_store import MemoryStore


def claim(nonce: str, fleet: str = "f") -> Claim:
    return Claim(nonce=nonce, fleet=fleet, process=PROCESS, node="n1", started_at="2026-01-01")


def publish(
    seal: str, seeds: list[int], *, dead: list[int] | None = None, cell: int = 1
) -> Publish:
    def shard(kind: str, numbers: list[int]) -> Shard:
        jobs = {cell: SeedSet.of_seeds(numbers)}
        return Shard(
            name=shard_key(kind, seal), rows=len(numbers), bytes=10, sha256="00", jobs=jobs
        )

    kinds = ["transcripts", *(["failures"] if dead else [])]
    return Publish(
        moves=tuple((f"parts/{seal}.{kind}.parquet", shard_key(kind, seal)) for kind in kinds),
        drops=(f"parts/{seal}.json",),
        transcripts=(shard("transcripts", seeds),),
        failures=(shard("failures", dead),) if dead else (),
        seals=(seal,),
    )


async def claimed(store: MemoryStore, nonce: str = "a") -> ManifestLog:
    log = ManifestLog(store, ManualClock())
    await log.load()
    await log.claim(claim(nonce))
    return log


def run(main):
    asyncio.run(main(MemoryStore()))


def test_claim_of_an_empty_manifest_is_entry_one():
    async def main(store):
        log = await claimed(store)
        assert log.claim_number == 1
        assert (await load_state(store)).last_claim == log.state.last_claim

    run(main)


def test_append_after_another_claim_is_fenced_names_who_and_writes_nothing():
    async def main(store):
        old = await claimed(store, "a")
        await old.append(PlanEntry(version=1))
        new = await claimed(store, "b")
        for _ in range(2):
            with pytest.raises(FencedError, match="pid 7 on h1"):
                await old.append(publish("w.00001", [1]))
        assert await new.append(publish("w.00001", [1])) == 4
        assert len(await store.list("manifest/")) == 4

    run(main)


def test_append_of_a_fenced_writer_that_claims_again_succeeds():
    async def main(store):
        old = await claimed(store, "a")
        new = await claimed(store, "b")
        await new.append(publish("w.00001", [1]))
        with pytest.raises(FencedError):
            await old.append(Release(reason="done"))
        assert await old.claim(claim("c")) == 4
        assert old.state.is_recorded(Job(1, 1))

    run(main)


def test_of_racing_claims_each_gets_a_number_and_only_the_last_can_append():
    async def main(store):
        logs = [ManifestLog(store, ManualClock()) for _ in range(5)]
        async with asyncio.TaskGroup() as group:
            for i, log in enumerate(logs):
                await log.load()
                group.create_task(log.claim(claim(f"n{i}")))
        assert sorted(log.claim_number for log in logs) == [1, 2, 3, 4, 5]
        for log in logs:
            if log.claim_number < 5:
                with pytest.raises(FencedError):
                    await log.append(Release(reason="x"))
            else:
                assert await log.append(Release(reason="x")) == 6

    run(main)


def test_of_two_writers_racing_for_a_number_one_wins():
    async def main(store):
        old = await claimed(store, "a")
        new = ManifestLog(store, ManualClock())
        await new.load()
        results = await asyncio.gather(
            old.append(publish("w.00001", [1])), new.claim(claim("b")), return_exceptions=True
        )
        numbers = {type(r) for r in results}
        assert numbers in ({int}, {FencedError, int})
        await new.append(publish("w.00002", [2]))
        state = await load_state(store)
        assert state.is_recorded(Job(1, 1)) == (results[0] == 2)

    run(main)


@pytest.mark.parametrize("when", ["before", "after"])
def test_append_when_the_store_fails_a_few_times_writes_the_entry_once(when):
    async def main(store):
        log = await claimed(store)
        setattr(store, when, 2 if when == "before" else 1)
        assert await log.append(publish("w.00001", [1])) == 2
        assert await log.append(publish("w.00002", [2])) == 3
        assert (await load_state(store)).recorded_jobs == 2

    run(main)


@pytest.mark.parametrize("when", ["before", "after"])
def test_claim_when_the_store_fails_is_won_once(when):
    async def main(store):
        setattr(store, when, 1)
        log = await claimed(store)
        assert log.claim_number == 1
        assert await log.append(Release(reason="x")) == 2

    run(main)


def test_append_when_the_store_keeps_failing_stays_unsure_until_the_same_entry_is_repeated():
    async def main(store):
        log = await claimed(store)
        store.before = 99
        with pytest.raises(StorageError):
            await log.append(publish("w.00001", [1]))
        store.before = 0
        assert log.unsure == publish("w.00001", [1])
        with pytest.raises(RuntimeError, match="unsure"):
            await log.append(publish("w.00002", [1, 2]))
        assert await log.append(publish("w.00001", [1])) == 2
        assert log.unsure is None

    run(main)


def test_append_of_a_job_that_is_recorded_is_refused_before_it_is_written():
    async def main(store):
        log = await claimed(store)
        await log.append(publish("w.00001", [1, 2]))
        with pytest.raises(RecordError, match="cell 1, seeds 2 would be recorded twice"):
            await log.append(publish("w.00002", [2, 3]))
        twice = publish("w.00003", [7])
        both = Publish(transcripts=(*twice.transcripts, *publish("w.00004", [7]).transcripts))
        with pytest.raises(RecordError, match="twice"):
            await log.append(both)
        assert log.state.head == 2

    run(main)


def test_complete_moves_and_drops_whatever_was_done_before():
    async def main(store):
        log = await claimed(store)
        entry = publish("w.00001", [1], dead=[2])
        store.objects |= {source: source.encode() for source, _ in entry.moves}
        store.objects["parts/w.00001.json"] = b"{}"
        await log.append(entry)
        assert await store.list("transcripts/") == []
        for _ in range(2):
            store.before = 1
            with pytest.raises(StorageError):
                await log.complete(entry)
        await log.complete(entry)
        await log.complete(entry)
        assert await store.list("parts/") == []
        assert store.objects["transcripts/w.00001.parquet"] == b"parts/w.00001.transcripts.parquet"
        assert "failures/w.00001.parquet" in store.objects

    run(main)


def test_complete_old_by_a_successor_finishes_what_a_dead_coordinator_won():
    async def main(store):
        log = await claimed(store)
        entry = publish("w.00001", [1])
        store.objects[entry.moves[0][0]] = b"rows"
        await log.append(entry)
        successor = await claimed(store, "b")
        await successor.complete_old()
        assert store.objects["transcripts/w.00001.parquet"] == b"rows"
        before = len(store.writes)
        await successor.complete_old()
        assert len(store.writes) == before

    run(main)


def test_supersede_moves_in_order_and_takes_jobs_off_the_record():
    async def main(store):
        log = await claimed(store)
        first = publish("w.00001", [1, 2, 3])
        await log.append(first)
        rest = publish("w.00009x", [3]).transcripts
        entry = Supersede(
            jobs={1: SeedSet.of_seeds([1, 2])},
            moves=(
                ("transcripts/w.00001.parquet", "superseded/w.00001.parquet"),
                ("parts/w.00009x.transcripts.parquet", "transcripts/w.00009x.parquet"),
            ),
            removed=first.transcripts,
            transcripts=rest,
        )
        store.objects["transcripts/w.00001.parquet"] = b"old"
        store.objects["parts/w.00009x.transcripts.parquet"] = b"new"
        store.writes.clear()
        await log.append(entry)
        await log.complete(entry)
        assert store.writes[1:] == ["superseded/w.00001.parquet", "transcripts/w.00009x.parquet"]
        assert [log.state.is_recorded(Job(1, seed)) for seed in (1, 2, 3)] == [False, False, True]
        assert log.state.shards["transcripts"].rows == 1
        assert log.state.shards["transcripts"].files == 1

    run(main)


def test_dead_letters_are_owed_again_or_answered():
    async def main(store):
        log = await claimed(store)
        await log.append(publish("w.00001", [1], dead=[5, 6, 7]))
        assert log.state.dead_jobs == 3
        await log.append(OweAgain(jobs={1: SeedSet.of_seeds([5])}))
        assert not log.state.is_dead(Job(1, 5))
        await log.append(publish("w.00002", [6]))
        assert [log.state.is_dead(Job(1, s)) for s in (5, 6, 7)] == [False, False, True]
        await log.append(publish("w.00003", [8], dead=[1]))
        assert not log.state.is_dead(Job(1, 1))  # its answer is recorded

    run(main)


def test_load_from_a_snapshot_equals_the_state_that_wrote_it():
    async def main(store):
        log = await claimed(store)
        for i in range(5):
            await log.append(publish(f"w.{i + 1:05d}", [10 * i, 10 * i + 1], dead=[10 * i + 5]))
        await log.append(PlanEntry(version=2))
        await log.snapshot()
        await log.append(publish("w.00077", [77]))
        await log.append(Release(reason="finished"))
        loaded = await load_state(store)
        assert loaded.entries_since_snapshot.keys() == {8, 9}
        assert loaded == log.state
        del store.objects[snapshot_key(7)]
        replayed = await load_state(store)
        replayed.snapshot = loaded.snapshot
        replayed.entries_since_snapshot = loaded.entries_since_snapshot
        assert replayed == loaded
        assert loaded.released == "finished"

    run(main)


def test_snapshot_completes_what_a_dead_coordinator_left_and_keeps_two():
    async def main(store):
        log = await claimed(store)
        entry = publish("w.00001", [1])
        store.objects[entry.moves[0][0]] = b"rows"
        await log.append(entry)
        for i in range(3):
            await log.append(PlanEntry(version=i))
            await log.snapshot()
        assert "transcripts/w.00001.parquet" in store.objects
        snapshots = [k for k in await store.list("manifest/") if "snapshot" in k]
        assert snapshots == [snapshot_key(4), snapshot_key(5)]

    run(main)


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"schema_version": 1}'])
def test_load_with_a_damaged_snapshot_uses_the_one_before_and_says_so(damage):
    async def main(store):
        log = await claimed(store)
        await log.append(publish("w.00001", [1]))
        await log.snapshot()
        await log.append(publish("w.00002", [2]))
        await log.snapshot()
        store.objects[snapshot_key(3)] = damage
        state = await load_state(store)
        assert state.snapshot == 2
        assert state.recorded == log.state.recorded
        assert any(snapshot_key(3) in line for line in state.reports)

    run(main)


def test_load_with_a_newer_snapshot_says_upgrade():
    async def main(store):
        log = await claimed(store)
        await log.snapshot()
        newer = json.loads(store.objects[snapshot_key(1)]) | {"schema_version": 99}
        store.objects[snapshot_key(1)] = json.dumps(newer).encode()
        with pytest.raises(RecordError, match="upgrade"):
            await load_state(store)

    run(main)


def test_load_with_a_missing_entry_names_it():
    async def main(store):
        log = await claimed(store)
        for i in range(3):
            await log.append(PlanEntry(version=i))
        del store.objects[entry_key(3)]
        with pytest.raises(RecordError, match=r"manifest/00000003\.json: missing"):
            await load_state(store)

    run(main)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "no JSON"),
        (b'{"schema_version": 1, "kind": "pub', "no JSON"),
        (b"[1]", "not an object"),
        (b'{"kind": "publish"}', "schema_version"),
        (b'{"schema_version": 2, "kind": "publish"}', "newer runner"),
        (b'{"schema_version": 1, "kind": "teleport"}', "newer runner"),
        (b'{"schema_version": 1, "kind": "release", "nonce": "a", "claim": 1}', "reason"),
        (
            b'{"schema_version":1,"kind":"owe_again","nonce":"a","claim":1,"jobs":{"1":"x-3"}}',
            "jobs",
        ),
    ],
)
def test_load_of_an_entry_that_is_none_names_file_and_key(data, says):
    async def main(store):
        await claimed(store)
        store.objects[entry_key(2)] = data
        with pytest.raises(RecordError) as raised:
            await load_state(store)
        assert "manifest/00000002.json" in str(raised.value)
        assert says in str(raised.value)

    run(main)


def test_load_ignores_files_that_are_no_entries():
    async def main(store):
        log = await claimed(store)
        store.objects |= {"manifest/.nfs0001": b"x", "manifest/notes.txt": b"y"}
        assert (await load_state(store)).head == log.state.head

    run(main)


def test_every_kind_of_entry_is_read_back_as_it_was_written():
    async def main(store):
        log = await claimed(store)
        full = publish("w.00001", [1, 2, 9], dead=[4])
        entries = [
            PlanEntry(version=3, sha256="ab"),
            full,
            OweAgain(jobs={1: SeedSet.parse("4")}),
            Supersede(
                jobs={1: SeedSet.parse("0-99")},
                moves=(("a", "b"),),
                drops=("c",),
                removed=full.transcripts,
                transcripts=full.transcripts,
                failures=full.failures,
            ),
            Release(reason="x"),
        ]
        for entry in entries:
            await log.append(entry)
        read = [(await read_written(store, n)).entry() for n in range(1, 7)]
        assert read == [claim("a"), *entries]
        with pytest.raises(KeyMissingError):
            await read_written(store, 7)

    run(main)


def test_latest_claim_is_found_from_the_newest_entry():
    async def main(store):
        assert await latest_claim(store) is None
        log = await claimed(store, "a")
        await log.append(PlanEntry(version=1))
        assert await latest_claim(store) == claim("a")
        await claimed(store, "b")
        assert await latest_claim(store) == claim("b")

    run(main)


def test_published_seals_of_all_times_survive_a_snapshot():
    async def main(store):
        log = await claimed(store)
        await log.append(publish("w1.00001", [1]))
        await log.append(publish("w1.00002", [2]))
        await log.append(publish("w2.00001", [3]))
        await log.snapshot()
        seals = (await load_state(store)).published_seals
        assert all(name in seals for name in ("w1.00001", "w1.00002", "w2.00001"))
        assert "w1.00003" not in seals

    run(main)


def test_an_entry_whose_seal_is_no_seals_name_is_refused_with_its_key():
    async def main(store):
        log = await claimed(store)
        await log.append(Publish(seals=("no seal",)))

    with pytest.raises(RecordError, match=r"seals: .*no name of a seal"):
        run(main)


def test_load_of_two_hundred_thousand_jobs_is_exact():
    async def main(store):
        log = await claimed(store)
        for i in range(400):
            shards = tuple(
                shard
                for cell in range(10)
                for shard in publish(
                    f"w.{i + 1:05d}", list(range(i * 50, i * 50 + 50)), cell=cell
                ).transcripts
            )
            await log.append(Publish(transcripts=shards))
        state = await load_state(store)
        assert state.recorded_jobs == 200_000
        assert state.recorded == log.state.recorded
        assert {len(seeds) for seeds in state.recorded.values()} == {20_000}

    run(main)
