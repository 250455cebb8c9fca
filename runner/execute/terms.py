"""What a worker is given: who it is, its seams, and how it reaches the coordinator."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from runner.core.seams import Clock, Disk, Processes, Store
from runner.execute.messages import Heartbeat, HeartbeatReply
from runner.execute.outbox import Offload
from runner.execute.testimony import HandIn


class PeerUnreachableError(Exception):
    """The coordinator did not answer, or not in time; whether it acted is unknown."""


class Peer(Protocol):
    """The coordinator, as a worker reaches it."""

    async def heartbeat(self, beat: Heartbeat) -> HeartbeatReply:
        """Deliver a heartbeat.

        Raises:
            PeerUnreachableError: no answer.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerWorld:
    """Everything a worker reaches the outside through."""

    store: Store
    disk: Disk
    clock: Clock
    processes: Processes
    peer: Peer
    offload: Offload
    rng: random.Random
    hand_in: HandIn | None = None
    """Where the coordinator reads no journals but those of its own node."""
    memory: Callable[[], int] = lambda: 0
    """Bytes that this process keeps in memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerIdentity:
    """Who a worker is."""

    worker: str
    incarnation: str
    """Unique over the sweep: a restarted worker is a new incarnation."""
    node: str
    fleet: str
    """The driver session that owns it; a claim by another fleet ends it."""
    sweep_id: str


_LAST_WORDS_S = 3.0
_AGAIN_S = 0.25


async def say_last(peer: Peer, beat: Heartbeat, clock: Clock) -> bool:
    """Say a worker's last words until they are heard, for three seconds; return whether they were.

    A coordinator whose host is busy refuses until it has looked at its claim again, a moment later. Once the
    worker is gone nobody says them again, and the coordinator would wait for it as for one that has died.
    """
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_LAST_WORDS_S):
            while True:
                with contextlib.suppress(PeerUnreachableError):
                    await peer.heartbeat(beat)
                    return True
                await clock.sleep(_AGAIN_S)
    return False
