"""What a group commit of the journal costs, and what the time that it waits for company buys.

On the disk under pytest's temporary folder (`--basetemp`), in CPU of the whole process: the sync runs
in a thread. Figures of answers that arrive at a steady rate, as those of many calls in flight do.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from pathlib import Path

import pytest

from runner.core.clock import SystemClock
from runner.core.values import Job
from runner.record.disk import PosixDisk, PosixDiskFile
from runner.record.frames import AttemptFrame
from runner.record.journal import GROUP_S, Journal
from tests.support.journals import HEADER
from tests.support.records import attempt_of, reply_of

pytestmark = pytest.mark.bench
RATE = 1500
"""Answers a second: what one process does at its best."""
SECONDS = 4.0
ANSWERS = 1000


def _frame(seed: int) -> AttemptFrame:
    return AttemptFrame(attempt_of(Job(1, seed), reply_of(({"type": "text", "text": "A line."},))))


def _folder(base: Path, name: str) -> Path:
    folder = base / name
    folder.mkdir()
    return folder


async def _sync_s(folder: Path) -> float:
    """Return CPU seconds of a sync: appends one by one, less appends that all share one."""
    journal = Journal(PosixDisk(folder), SystemClock(), HEADER, group_s=0.0)
    await journal.open()
    frame = _frame(0)
    began = time.process_time()
    for _ in range(ANSWERS):
        await journal.append(frame)
    alone = time.process_time()
    await asyncio.gather(*(journal.append(frame) for _ in range(ANSWERS)))
    together = time.process_time()
    await journal.close()
    return ((alone - began) - (together - alone)) / ANSWERS


async def _steady(folder: Path, group_s: float, monkeypatch) -> tuple[list[float], int]:
    """Return how long each append took at a steady rate, and how many syncs there were."""
    journal = Journal(PosixDisk(folder), SystemClock(), HEADER, group_s=group_s)
    await journal.open()
    syncs, sync = 0, PosixDiskFile.sync

    async def counted(file: PosixDiskFile) -> None:
        nonlocal syncs
        syncs += 1
        await sync(file)

    monkeypatch.setattr(PosixDiskFile, "sync", counted)
    frame, waits = _frame(0), list[float]()

    async def append() -> None:
        began = time.perf_counter()
        await journal.append(frame)
        waits.append(time.perf_counter() - began)

    begun, tasks = time.perf_counter(), set[asyncio.Task[None]]()
    while (elapsed := time.perf_counter() - begun) < SECONDS:
        tasks |= {asyncio.create_task(append()) for _ in range(int(elapsed * RATE) - len(tasks))}
        await asyncio.sleep(0.001)
    await asyncio.gather(*tasks)
    await journal.close()
    monkeypatch.undo()
    return waits, syncs


def test_group_commit(tmp_path: Path, monkeypatch) -> None:
    sync_s = min(asyncio.run(_sync_s(_folder(tmp_path, f"sync{i}"))) for i in range(5))
    print(
        f"\na sync: {sync_s * 1e6:.0f} µs of CPU, whatever it covers; at {RATE} answers a second:"
    )
    for group_s in (GROUP_S / 4, GROUP_S / 2, GROUP_S, 2 * GROUP_S):
        folder = _folder(tmp_path, f"group{group_s}")
        waits, syncs = asyncio.run(_steady(folder, group_s, monkeypatch))
        print(
            f"  groups of {group_s * 1e3:.0f} ms: {sync_s * syncs / len(waits) * 1e6:.1f} µs of CPU"
            f" an answer, durable after {statistics.median(waits) * 1e3:.1f} ms (median)"
        )
