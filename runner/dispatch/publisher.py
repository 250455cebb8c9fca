"""From sealed parts to published shards: one manifest entry a cycle, then the moves it names.

Owns the order that invariant 1 stands on: overlaps with what is recorded are taken out of a part
*before* the entry is appended (into a rewritten part under a name of its own), the entry is the
only fence, and files move into transcripts/ only after it is won. Every step can be repeated by
the next coordinator.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field

from pyroaring import BitMap

from runner.core.errors import StorageError
from runner.core.seams import KeyExistsError, KeyMissingError, Store
from runner.core.seeds import SeedSet
from runner.core.values import Job, attempt_job
from runner.dispatch.recovered import Recovered
from runner.record.bounded import for_each
from runner.record.entries import Publish, Shard
from runner.record.layout import (
    KINDS,
    PARTS,
    marker_key,
    marker_seal,
    part_key,
    seal_incarnation,
    seal_name,
    shard_key,
)
from runner.record.manifest import ManifestLog
from runner.record.parts import EncodedPart, without_attempts, without_jobs
from runner.record.seals import SealFile, SealMarker, read_marker

_READERS = 16


@dataclass(slots=True)
class _Batch:
    """An entry in the making."""

    moves: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    drops: list[str] = field(default_factory=list[str])
    shards: dict[str, list[Shard]] = field(
        default_factory=lambda: {"transcripts": [], "failures": [], "attempts": []}
    )
    seals: list[str] = field(default_factory=list[str])
    recorded: dict[int, BitMap] = field(default_factory=dict[int, BitMap])
    dead: dict[int, BitMap] = field(default_factory=dict[int, BitMap])


class Publisher:
    """Publishes what workers and recovery have sealed, under one claim."""

    def __init__(
        self,
        store: Store,
        log: ManifestLog,
        *,
        claim: int,
        recovered: Recovered,
        finish_recovery: Callable[[], Awaitable[list[str]]],
        on_published: Callable[[Publish], None],
    ) -> None:
        """Make a publisher.

        Args:
            store: the sweep directory.
            log: the manifest, claimed.
            claim: number of the claim.
            recovered: what recovery has already sealed, and which seals come from a coordinator
                that no longer holds the sweep: what these hold still lies in the journal they were
                read from, or with the worker that told of it.
            finish_recovery: writes recovery seals whose writing ended in an error; returns the
                names of all written since the last call.
            on_published: told of each entry once it is won, before its moves.
        """
        self.announced: dict[str, None] = {}
        """Seals that workers say they have written, oldest first."""
        self._store = store
        self._log = log
        self._claim = claim
        self._recovered = recovered
        self._finish_recovery = finish_recovery
        self._on_published = on_published
        self._rewrites = 0

    async def cycle(self, *, look: bool = False) -> int:
        """Publish everything announced, and with `look` also what lies in parts/ unannounced.

        Returns how many seals were published. Can be repeated after any error.

        Raises:
            FencedError: a later claim exists; nothing was published.
            StorageError: the store refused; what was won is completed by the next cycle.
        """
        await self.settle()
        for name in await self._finish_recovery():
            self.announced.setdefault(name)
        keys = await self._store.list(PARTS) if look else []
        found = map(marker_seal, keys)
        lying = [name for name in found if name is not None]
        published = self._log.state.published_seals
        for name in lying:
            if name in published or self._recovered.is_stale(name):
                await self._sweep_up(name)
        lying = [name for name in lying if not self._recovered.is_stale(name)]
        names = [n for n in dict.fromkeys((*self.announced, *lying)) if n not in published]
        markers = await self._read(names)
        for name in [n for n in self.announced if n in published or n not in markers]:
            del self.announced[name]
        if not markers:
            return 0
        batch = _Batch()
        for marker in markers.values():
            await self._add(batch, marker)
        entry = Publish(
            moves=tuple(batch.moves),
            drops=tuple(batch.drops),
            transcripts=tuple(batch.shards["transcripts"]),
            failures=tuple(batch.shards["failures"]),
            attempts=tuple(batch.shards["attempts"]),
            seals=tuple(batch.seals),
        )
        await self._win(entry)
        return len(batch.seals)

    async def settle(self) -> None:
        """Find out about an entry whose append ended in an error, and finish what was won.

        Raises:
            FencedError: a later claim exists.
            StorageError: the store refused; call again.
        """
        unsure = self._log.unsure
        if isinstance(unsure, Publish):
            await self._win(unsure)
        elif unsure is not None:
            await self._log.append(unsure)
        await self._log.complete_old()

    async def _win(self, entry: Publish) -> None:
        await self._log.append(entry)
        for name in entry.seals:
            self.announced.pop(name, None)
        self._on_published(entry)
        await self._log.complete(entry)

    async def _sweep_up(self, seal: str) -> None:
        """Delete what was written again by a worker that never heard of it, or comes too late."""
        for kind in KINDS:
            await self._store.delete(part_key(seal, kind))
        await self._store.delete(marker_key(seal))

    async def _read(self, names: Iterable[str]) -> dict[str, SealMarker]:
        async def one(name: str) -> tuple[str, SealMarker | None]:
            try:
                return name, await read_marker(self._store, name)
            except KeyMissingError:
                return name, None

        found = await for_each(names, one, limit=_READERS)
        return {name: marker for name, marker in found if marker is not None}

    async def _add(self, batch: _Batch, marker: SealMarker) -> None:
        batch.seals.append(marker.seal)
        batch.drops.append(marker_key(marker.seal))
        # Records first: a dead letter of the same seal must not stand beside its own answer.
        for file in sorted(marker.files, key=lambda f: f.kind, reverse=True):
            if file.kind == "attempts":
                await self._add_attempts(batch, marker.seal, file)
            else:
                await self._add_rows(batch, marker.seal, file)

    async def _add_rows(self, batch: _Batch, seal: str, file: SealFile) -> None:
        state = self._log.state
        against = [state.recorded, batch.recorded]
        if file.kind == "failures":
            against += [state.dead, batch.dead]
        overlap = _overlap(file.jobs, against)
        if not overlap:
            self._take(batch, file.kind, seal, part_key(seal, file.kind), file)
        else:
            data = await self._store.get(part_key(seal, file.kind))
            await self._rewrite(batch, seal, file.kind, without_jobs(data, overlap))
        mine = batch.recorded if file.kind == "transcripts" else batch.dead
        for number, seeds in file.jobs.items():
            bits = mine.setdefault(number, BitMap())
            for start, stop in seeds.ranges:
                bits.add_range(start, stop)

    async def _add_attempts(self, batch: _Batch, seal: str, file: SealFile) -> None:
        ids = () if seal.endswith("r") else await self._recovered.ids(seal_incarnation(seal))
        known = [i for i in ids if _has(file.jobs, attempt_job(i))]
        if not known:
            self._take(batch, "attempts", seal, part_key(seal, "attempts"), file)
            return
        data = await self._store.get(part_key(seal, "attempts"))
        await self._rewrite(batch, seal, "attempts", without_attempts(data, known))

    async def _rewrite(self, batch: _Batch, seal: str, kind: str, part: EncodedPart | None) -> None:
        """Put what is left of a part under a new name into parts/ and list that instead."""
        batch.drops.append(part_key(seal, kind))
        if part is None:
            return
        self._rewrites += 1
        # The claim's number makes the name unique over coordinators, zombies included.
        name = seal_name(seal_incarnation(seal), self._claim * 100_000 + self._rewrites, "x")
        source = part_key(name, kind)
        await create_same(self._store, source, part.data)
        file = SealFile(
            kind=kind,
            rows=part.rows,
            bytes=len(part.data),
            sha256=hashlib.sha256(part.data).hexdigest(),
            jobs=part.jobs,
            counted=part.counted,
        )
        self._take(batch, kind, name, source, file)

    def _take(self, batch: _Batch, kind: str, name: str, source: str, file: SealFile) -> None:
        target = shard_key(kind, name)
        batch.moves.append((source, target))
        batch.shards[kind].append(
            Shard(
                name=target,
                rows=file.rows,
                bytes=file.bytes,
                sha256=file.sha256,
                jobs=file.jobs,
                counted=file.counted,
            )
        )


async def create_same(store: Store, key: str, data: bytes) -> None:
    """Create an object under a name of our own; one we left there in an earlier try is fine.

    Raises:
        StorageError: the store refused, or the key holds something else.
    """
    try:
        await store.create(key, data)
    except KeyExistsError:
        if await store.get(key) != data:
            msg = f"{key}: exists with other content than this coordinator writes"
            raise StorageError(msg) from None


def _has(jobs: Mapping[int, SeedSet], job: Job) -> bool:
    return job.cell in jobs and job.seed in jobs[job.cell]


def _overlap(
    jobs: Mapping[int, SeedSet], against: Iterable[Mapping[int, BitMap]]
) -> dict[int, SeedSet]:
    overlap: dict[int, SeedSet] = {}
    known = list(against)
    for number, seeds in jobs.items():
        mine = BitMap()
        for start, stop in seeds.ranges:
            mine.add_range(start, stop)
        hit = BitMap()
        for recorded in known:
            if number in recorded:
                hit |= mine & recorded[number]
        if hit:
            overlap[number] = SeedSet.of_seeds(hit)
    return overlap
