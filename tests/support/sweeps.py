"""Real sweep directories, published the way a coordinator does, for tests of readers."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path

from runner.config.resolved import dump_resolved
from runner.config.schema import SweepConfig
from runner.core.clock import SystemClock
from runner.core.process import LinuxProcesses
from runner.core.seeds import SeedSet
from runner.core.values import Finished
from runner.record.entries import Claim, Entry, OweAgain, Publish, Release, Shard, Supersede
from runner.record.layout import CONFIGURATION, marker_key, part_key, shard_key
from runner.record.manifest import ManifestLog
from runner.record.parts import encode_parts
from runner.record.posix_store import PosixStore
from runner.record.seals import SealMarker, write_seal
from tests.support.records import cell_facts


class SweepMaker:
    """Writes a sweep directory step by step."""

    def __init__(self, root: Path, nonce: str = "n1") -> None:
        root.mkdir(parents=True, exist_ok=True)
        self.root = root
        (root / CONFIGURATION).write_text(dump_resolved(SweepConfig(name="s")))
        self._store = PosixStore(root)
        self._log = ManifestLog(self._store, SystemClock())
        self._seals = 0
        self.claim(nonce)

    def claim(self, nonce: str) -> None:
        claim = Claim(
            nonce=nonce,
            fleet="f",
            process=LinuxProcesses().current(),
            node="n",
            started_at="2026-11-23T00:00:00Z",
        )
        asyncio.run(self._claim(claim))

    async def _claim(self, claim: Claim) -> None:
        await self._log.load()
        await self._log.claim(claim)

    def seal(self, *jobs: Finished) -> SealMarker:
        """Write a seal; it is not published."""
        self._seals += 1
        name = f"w1.{self._seals:05d}"
        return asyncio.run(write_seal(self._store, name, encode_parts(jobs, cell_facts)))

    def publish(self, *jobs: Finished, complete: bool = True) -> Publish:
        """Publish jobs as one seal; without `complete` the files stay in parts/."""
        marker = self.seal(*jobs)
        shards: dict[str, tuple[Shard, ...]] = {}
        moves: list[tuple[str, str]] = []
        for file in marker.files:
            key = shard_key(file.kind, marker.seal)
            moves.append((part_key(marker.seal, file.kind), key))
            shards[file.kind] = (
                Shard(
                    name=key, rows=file.rows, bytes=file.bytes, sha256=file.sha256, jobs=file.jobs
                ),
            )
        entry = Publish(
            moves=tuple(moves), drops=(marker_key(marker.seal),), seals=(marker.seal,), **shards
        )
        self.append(entry, complete=complete)
        return entry

    def append(self, entry: Entry, *, complete: bool = True) -> None:
        asyncio.run(self._append(entry, complete))

    async def _append(self, entry: Entry, complete: bool) -> None:
        await self._log.append(entry)
        if complete:
            await self._log.complete(entry)

    def complete(self, entry: Entry) -> None:
        asyncio.run(self._log.complete(entry))

    def snapshot(self) -> None:
        asyncio.run(self._log.snapshot())

    def owe_again(self, jobs: Mapping[int, SeedSet]) -> None:
        self.append(OweAgain(jobs=dict(jobs)))

    def supersede(self, old: Shard, kept: Sequence[Finished], gone: Mapping[int, SeedSet]) -> None:
        """Take jobs out of a transcripts shard, whose other jobs are `kept`."""
        moves = [(old.name, f"superseded/{Path(old.name).name}")]
        new: tuple[Shard, ...] = ()
        drops: tuple[str, ...] = ()
        if kept:
            marker = self.seal(*kept)
            file = next(f for f in marker.files if f.kind == "transcripts")
            key = shard_key("transcripts", marker.seal)
            moves.append((part_key(marker.seal, "transcripts"), key))
            new = (
                Shard(
                    name=key, rows=file.rows, bytes=file.bytes, sha256=file.sha256, jobs=file.jobs
                ),
            )
            drops = (marker_key(marker.seal), part_key(marker.seal, "attempts"))
        self.append(
            Supersede(
                jobs=dict(gone), moves=tuple(moves), drops=drops, removed=(old,), transcripts=new
            )
        )

    def release(self) -> None:
        self.append(Release(reason="done"))
