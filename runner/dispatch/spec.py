"""What a backend needs to run a sweep, and how coordinator and workers are made from it.

The only place that joins the engine to real seams: store, journal disk, clock, processes, threads.
"""

from __future__ import annotations

import asyncio
import os
import random
import secrets
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

from runner.core.clock import SystemClock
from runner.core.collector import rare_collections
from runner.core.process import LinuxProcesses, memory_bytes
from runner.dispatch.board import Board
from runner.dispatch.coordinator import Coordinator
from runner.dispatch.quota_plan import quota_plan
from runner.dispatch.terms import (
    DISK_PATIENCE_S,
    STORE_PATIENCE_S,
    CoordinatorWorld,
    Preamble,
)
from runner.execute.terms import Peer, WorkerIdentity, WorkerWorld
from runner.execute.worker import Worker
from runner.observe.events import JsonLines
from runner.providers.codec import ModelCodec
from runner.providers.open import open_provider
from runner.providers.protocol import Provider
from runner.record.disk import PosixDisk
from runner.record.entries import Claim
from runner.record.handed_in import hand_in
from runner.record.layout import event_log_key
from runner.record.parts import EncodedPart
from runner.record.place import event_folder, is_url, journal_folder, open_store
from runner.scenarios.any_book import AnyBook


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepSpec:
    """A sweep to be run; picklable, without any secret."""

    book: AnyBook
    directory: str
    """Absolute path, or URL, of the sweep."""
    fleet: str
    """Of this driver session: its workers end when another fleet claims the sweep."""
    preamble: Preamble
    """Written right after the first claim: a new plan, dead letters owed again."""


_ENCODING = ThreadPoolExecutor(max_workers=1, thread_name_prefix="encode")
"""One thread encodes all parts of a process: each thread that ever did would keep the memory of its
largest part, in an arena of malloc's and a heap of Arrow's pool."""


async def in_thread(work: Callable[[], list[EncodedPart]]) -> list[EncodedPart]:
    """Run CPU work beside the event loop."""
    return await asyncio.get_running_loop().run_in_executor(_ENCODING, work)


def new_name(prefix: str) -> str:
    """Return a name that was never used before, e.g. for an incarnation or a fleet."""
    return f"{prefix}-{secrets.token_hex(5)}"


def storage_patience_s(spec: SweepSpec) -> float:
    """Return for how long a sweep waits for its output, in seconds."""
    return STORE_PATIENCE_S if is_url(spec.directory) else DISK_PATIENCE_S


def make_coordinator(spec: SweepSpec, report: Callable[[str], None]) -> Coordinator:
    """Return a coordinator on the real seams; `start` claims the sweep."""
    config = spec.book.config
    models = spec.book.endpoints
    clock, processes = SystemClock(), LinuxProcesses()
    started = datetime.fromtimestamp(clock.wall(), UTC).isoformat(timespec="seconds")
    return Coordinator(
        CoordinatorWorld(
            store=open_store(spec.directory),
            disk=PosixDisk(journal_folder(spec.directory)),
            clock=clock,
            processes=processes,
            offload=in_thread,
            report=report,
            storage_patience_s=storage_patience_s(spec),
            # Beside a URL they lie on the nodes' own disks, of hosts that an earlier session had, too.
            journals_complete=not is_url(spec.directory),
            open_events=lambda claim: JsonLines(
                event_folder(spec.directory) / event_log_key(claim), clock.wall
            ),
        ),
        book=spec.book,
        models=models,
        codecs={name: ModelCodec(model) for name, model in models.items()},
        engine=config.engine,
        claim=Claim(
            nonce=secrets.token_hex(16),
            fleet=spec.fleet,
            process=processes.current(),
            node=socket.gethostname(),
            started_at=started,
        ),
        board=Board(
            sweep=config.name,
            directory=spec.directory,
            started=started,
            started_at=clock.monotonic(),
        ),
        preamble=spec.preamble,
    )


@dataclass(slots=True)
class WorkerParts:
    """A worker and what must be closed after it."""

    worker: Worker
    providers: dict[str, Provider]

    async def run(self) -> None:
        """Run the worker to its end and close its connections.

        Raises:
            StorageError: the journal could not be created.
        """
        try:
            with rare_collections():
                await self.worker.run()
        finally:
            for provider in self.providers.values():
                await provider.aclose()


def make_worker(spec: SweepSpec, name: str, peer: Peer) -> WorkerParts:
    """Return a worker on the real seams; keys are read from this process's environment.

    Raises:
        ConfigError: a model cannot be called from here (key variable not set, weights missing).
    """
    config = spec.book.config
    models = spec.book.endpoints
    providers = {
        model: open_provider(
            of_model, environ=os.environ, max_body_bytes=config.engine.max_record_bytes
        )
        for model, of_model in models.items()
    }
    identity = WorkerIdentity(
        worker=name,
        incarnation=new_name(name),
        node=socket.gethostname(),
        fleet=spec.fleet,
        sweep_id=spec.book.sweep_id,
    )
    store, processes = open_store(spec.directory), LinuxProcesses()
    disk = PosixDisk(journal_folder(spec.directory))
    world = WorkerWorld(
        store=store,
        disk=disk,
        clock=SystemClock(),
        processes=processes,
        peer=peer,
        offload=in_thread,
        rng=random.Random(),  # jitter only
        hand_in=partial(hand_in, disk, store, processes) if is_url(spec.directory) else None,
        memory=memory_bytes,
    )
    plan = quota_plan(config)
    worker = Worker(
        identity,
        world,
        book=spec.book,
        models=models,
        providers=providers,
        groups={model: use.group for model, use in plan.uses.items()},
        purses=plan.purses(models),
        engine=config.engine,
        retry=config.retry,
    )
    return WorkerParts(worker, providers)
