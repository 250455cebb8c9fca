"""Moves the rows of cells that are no longer planned out of a sweep's tables, through the manifest.

Shards that hold such rows leave for superseded/ as they are; what else they held comes back in a
rewritten shard. Parts written here belong to no seal: if the entry that names them is never won,
they are leftovers that nobody reads.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Collection, Iterable

from runner.core.seams import Store
from runner.core.seeds import SeedSet
from runner.record.bounded import for_each
from runner.record.entries import Publish, Shard, Supersede
from runner.record.layout import SUPERSEDED, part_key, seal_name, shard_key
from runner.record.manifest import read_written
from runner.record.parts import without_jobs
from runner.record.state import SweepState, seed_set


async def supersede_entry(store: Store, state: SweepState, numbers: Collection[int]) -> Supersede:
    """Return the entry that takes some cells out of a sweep; their rewritten shards are in parts/.

    Args:
        store: of the sweep.
        state: as loaded from the manifest.
        numbers: of the cells.

    Raises:
        RecordError: an entry or a shard is damaged.
        StorageError: the store refuses.
    """
    session = f"s{secrets.token_hex(5)}"
    outward: list[tuple[str, str]] = []
    removed: list[Shard] = []
    inward: list[tuple[str, str]] = []
    rest: dict[str, list[Shard]] = {"transcripts": [], "failures": []}
    for kind, shards in rest.items():
        for shard in await _live(store, state.head, kind):
            gone = {n: s for n, s in shard.jobs.items() if n in numbers}
            if not gone:
                continue
            removed.append(shard)
            outward.append((shard.name, f"{SUPERSEDED}{session}/{shard.name.replace('/', '-')}"))
            part = without_jobs(await store.get(shard.name), gone)
            if part is None:
                continue
            name = seal_name(session, len(inward) + 1)
            await store.create(part_key(name, kind), part.data)
            inward.append((part_key(name, kind), shard_key(kind, name)))
            shards.append(
                Shard(
                    name=shard_key(kind, name),
                    rows=part.rows,
                    bytes=len(part.data),
                    sha256=hashlib.sha256(part.data).hexdigest(),
                    jobs=part.jobs,
                )
            )
    return Supersede(
        jobs=_jobs(state, numbers),
        moves=(*outward, *inward),
        removed=tuple(removed),
        transcripts=tuple(rest["transcripts"]),
        failures=tuple(rest["failures"]),
    )


async def _live(store: Store, head: int, kind: str) -> Iterable[Shard]:
    """Return the shards of one kind that the manifest names now."""
    live: dict[str, Shard] = {}

    async def read(number: int) -> Publish | Supersede | None:
        entry = (await read_written(store, number)).entry()
        return entry if isinstance(entry, Publish | Supersede) else None

    for entry in await for_each(range(1, head + 1), read, limit=32):
        if entry is None:
            continue
        if isinstance(entry, Supersede):
            for gone in entry.removed:
                live.pop(gone.name, None)
        came = entry.transcripts if kind == "transcripts" else entry.failures
        live.update({shard.name: shard for shard in came})
    return live.values()


def _jobs(state: SweepState, numbers: Collection[int]) -> dict[int, SeedSet]:
    jobs: dict[int, SeedSet] = {}
    for number in numbers:
        known = (state.recorded.get(number), state.dead.get(number))
        seeds = [seed_set(bits) for bits in known if bits]
        if seeds:
            jobs[number] = seeds[0].union(seeds[-1])
    return jobs
