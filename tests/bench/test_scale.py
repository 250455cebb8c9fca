"""What each component carries by itself, in CPU of one core: the figures of docs/scale.md.

Coordinator: heartbeats with leases, permits (`-k permits` of another file), publishing, the
manifest. Worker: sealing. Messages are pickled as Ray pickles them. No figure here is a bound: they
say where the design bends first.
"""

from __future__ import annotations

import asyncio
import pickle
import random
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from pyroaring import BitMap

from runner.config.quotas import QuotaUse
from runner.config.schema import ModelConfig
from runner.core.clock import SystemClock
from runner.core.seams import ProcessIdentity
from runner.core.seeds import SeedSet, by_cell
from runner.core.values import Job
from runner.dispatch.board import Board
from runner.dispatch.desk import Desk
from runner.dispatch.leases import LeaseTable
from runner.dispatch.publisher import Publisher
from runner.dispatch.quota_plan import QuotaPlan
from runner.dispatch.quotas import QuotaDesk
from runner.dispatch.recovered import Recovered
from runner.dispatch.witnesses import Witnesses
from runner.execute.messages import Heartbeat, ModelTally
from runner.limits.quota import GroupQuota
from runner.observe.events import Discard
from runner.record.entries import Claim
from runner.record.layout import seal_name
from runner.record.manifest import ManifestLog, load_state
from runner.record.parts import encode_parts
from runner.record.posix_store import PosixStore
from runner.record.seals import write_seal
from runner.record.state import SweepState
from tests.support.cells import cell, plan
from tests.support.records import answered, cell_facts

pytestmark = pytest.mark.bench
MILLION = 1_000_000
ROWS = 1000
PROMPT = "The crane at berth four is back in service, and the ship is due at six. " * 84
PROCESS = ProcessIdentity(host="h", boot_id="b", pid_namespace="n", pid=1, started="1")


class Alive:
    """A process table in which everybody lives."""

    def current(self) -> ProcessIdentity:
        return PROCESS

    def is_dead(self, other: ProcessIdentity) -> bool | None:
        del other
        return False


def _desk(jobs: int, workers: int, each: int) -> Desk:
    model = ModelConfig(name="m", max_in_flight=workers * each)
    quota = QuotaPlan(
        groups={"m": GroupQuota(rpm=1e9)},
        uses={"m": QuotaUse(group="m")},
        own={},
        paced=frozenset({"m"}),
        cache_reads_count=frozenset(),
    )
    table = LeaseTable(
        plan([cell(n, jobs // 10) for n in range(10)], block=25), {}, suspect_deaths=3
    )
    return Desk(
        table,
        models={"m": model},
        quotas=QuotaDesk(quota, {"m": model}, now=0.0, silent_s=None),
        witnesses=Witnesses(Alive()),
        board=Board(sweep="s", directory="d", started="", started_at=0.0),
        lease_ttl_s=15.0,
        claim=1,
        report=print,
        events=Discard(),
    )


@pytest.mark.parametrize(("workers", "each"), [(10, 200), (100, 200), (1000, 50)])
def test_heartbeats_and_leases(workers: int, each: int) -> None:
    """Every worker holds `each` jobs, ends half of them a beat, and gets as many new ones."""
    desk = _desk(MILLION, workers, each)
    held: list[set[Job]] = [set() for _ in range(workers)]
    done = [0] * workers
    beats = granted = size = 0
    took = 0.0
    rng = random.Random(7)
    seconds = max(3, 3000 // workers)
    for second in range(1, seconds + 1):
        for i in range(workers):
            ended = rng.sample(sorted(held[i], key=hash), len(held[i]) // 2)
            held[i] -= set(ended)
            done[i] += len(ended)
            beat = Heartbeat(
                seq=second,
                worker=f"w{i}",
                incarnation=f"w{i}-0123456789",
                process=replace(PROCESS, pid=i),
                node="n",
                claim=1,
                held=tuple(held[i]),
                returned=(),
                sealed=(),
                wants={"m": each - len(held[i])},
                queued={"m": 0},
                running=len(held[i]),
                unpublished={},
                slots={"m": each},
                tallies={"m": ModelTally(answered=done[i], in_flight=len(held[i]))},
            )
            wire = pickle.dumps(beat, protocol=5)
            published = by_cell(ended)
            began = time.process_time()
            desk.table.ended(published)
            reply = desk.answer(
                pickle.loads(wire), float(second), leasing=True, published=(), drain_s=None
            )
            back = pickle.dumps(reply, protocol=5)
            took += time.process_time() - began
            held[i] |= {lease.job for lease in reply.grants}
            beats, granted, size = beats + 1, granted + len(reply.grants), size + len(wire + back)
    print(
        f"\n{workers} workers, {each} jobs each: {beats / took:,.0f} heartbeats/s and "
        f"{granted / took:,.0f} leases/s of one core, {1e6 * took / beats:.0f} µs and "
        f"{size / beats:,.0f} bytes a heartbeat with its reply; at one a second "
        f"{100 * workers * took / beats:.1f} % of a core"
    )
    assert granted


def test_sealing() -> None:
    """Rows with 6 KB prompts and 2 KB answers, as one worker encodes them."""
    rng = random.Random(7)
    words = [f"w{n:04}" for n in range(4000)]

    def text(size: int) -> str:
        return " ".join(rng.choices(words, k=size // 6))

    rows = [
        answered(0, seed, content=({"type": "text", "text": text(2000)},), prompt=PROMPT)
        for seed in range(ROWS)
    ]
    began = time.process_time()
    rounds = 5
    for _ in range(rounds):
        parts = encode_parts(rows, cell_facts)
    took = (time.process_time() - began) / rounds
    sizes = {part.kind: len(part.data) / ROWS for part in parts}
    print(
        f"\nsealing: {ROWS / took:,.0f} rows/s of one core, {1e6 * took / ROWS:.0f} µs a row; bytes a "
        f"row {', '.join(f'{kind} {size:,.0f}' for kind, size in sizes.items())}"
    )


class _Counting:
    """A store that counts its calls."""

    def __init__(self, store: PosixStore) -> None:
        self.calls: Counter[str] = Counter()
        self._store = store

    def __getattr__(self, name: str):
        self.calls[name] += 1
        return getattr(self._store, name)


def test_publishing(tmp_path: Path) -> None:
    """Seals of a thousand rows: one alone per entry, and a hundred per entry as of many workers."""

    async def run(seals_per_entry: int, entries: int) -> None:
        folder = tmp_path / str(seals_per_entry)
        store = _Counting(PosixStore(folder))
        log = ManifestLog(store, SystemClock())
        await log.load()
        claim = await log.claim(
            Claim(nonce="a", fleet="f", process=PROCESS, node="n", started_at="")
        )

        async def nothing() -> list[str]:
            return []

        publisher = Publisher(
            store,
            log,
            claim=claim,
            recovered=Recovered(store=store, claim=claim),
            finish_recovery=nothing,
            on_published=lambda _entry: None,
        )
        took = wall = 0.0
        seeds = 0
        for entry in range(entries):
            for n in range(seals_per_entry):
                rows = [answered(0, seed, prompt="p") for seed in range(seeds, seeds + ROWS)]
                seeds += ROWS
                name = seal_name(f"w{n}-0123456789", entry + 1)
                await write_seal(store, name, encode_parts(rows, cell_facts))
                publisher.announced[name] = None
            before = store.calls.copy()
            began, began_wall = time.process_time(), time.perf_counter()
            await publisher.cycle()
            took += time.process_time() - began
            wall += time.perf_counter() - began_wall
            calls = store.calls - before
        seals = seals_per_entry * entries
        size = sum(p.stat().st_size for p in (folder / "manifest").iterdir())
        print(
            f"\npublishing, {seals_per_entry} seals an entry: {seals / took:,.0f} seals/s of one core "
            f"({1000 * seals / took:,.0f} rows/s), {seals / wall:,.0f} seals/s on this disk; "
            f"{size / seals:,.0f} bytes of manifest a seal; calls of the store for the last entry: "
            + ", ".join(f"{k} {n}" for k, n in sorted(calls.items()))
        )

    asyncio.run(run(1, 60))
    asyncio.run(run(100, 2))


@pytest.mark.parametrize("jobs", [10**6, 10**8])
@pytest.mark.parametrize("shape", ["in order", "scattered"])
def test_manifest_state(tmp_path: Path, jobs: int, shape: str) -> None:
    """A snapshot of that many recorded jobs in a thousand cells: size, and what loading takes."""
    rng = random.Random(7)
    per_cell = jobs // 1000
    state = SweepState(head=64)
    for n in range(1000):
        if shape == "in order":
            state.recorded[n] = BitMap(range(per_cell))
        else:  # every seed with even odds: the worst case, a bit a job
            bits = rng.getrandbits(per_cell)
            state.recorded[n] = (
                BitMap(i for i in range(per_cell) if bits >> i & 1)
                if (per_cell <= 1000)
                else BitMap(rng.sample(range(per_cell), per_cell // 2))
            )
        state.recorded[n].run_optimize()
    data = state.encode()
    folder = tmp_path / "manifest"
    folder.mkdir()
    (folder / "snapshot-00000064.json").write_bytes(data)
    began = time.process_time()
    loaded = asyncio.run(load_state(PosixStore(tmp_path)))
    took = time.process_time() - began
    assert len(loaded.recorded[7]) == len(state.recorded[7])
    print(
        f"\n{jobs:,} jobs recorded, {shape}: snapshot of {len(data) / 1e6:,.2f} MB, "
        f"loaded in {took:.2f} s of CPU"
    )


def test_seed_sets_of_a_shard() -> None:
    """The part of an entry that names jobs: seeds in order, and scattered as many workers leave them."""
    ordered = SeedSet.of([(0, ROWS)])
    scattered = SeedSet.of_seeds(sorted(random.Random(7).sample(range(100_000), ROWS)))
    print(
        f"\na shard of {ROWS} rows names its jobs in {len(str(ordered))} bytes where seeds are in "
        f"order, {len(str(scattered)):,} where they are scattered over one cell of 100,000"
    )
