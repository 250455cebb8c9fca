"""Who writes the sweep, and is it still there.

    events/holder-<claim>.json   the claimer's identity and a counter, overwritten every few seconds

On the same host the process table decides at once. From another host only the counter can be
seen: a holder is dead when it has stood still for long enough on the observer's own clock; the
wall clocks of two hosts are never compared. Being wrong costs a refused start or a needless take-over, never
a row: the manifest is the fence.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import orjson

from runner.core.seams import Clock, KeyMissingError, Processes, ProcessIdentity, Store
from runner.record.entries import process_json, read_process
from runner.record.fields import Fields
from runner.record.layout import holder_key
from runner.record.state import SweepState

BEAT_S = 5.0
"""How often a holder counts."""
_POLL_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """Content of a holder's record."""

    claim: int
    fleet: str
    process: ProcessIdentity
    counter: int


class Standing(StrEnum):
    """How the last claimer stands."""

    FREE = "free"
    """Nobody ever claimed, or the last claimer released the sweep."""
    LIVE = "live"
    DEAD = "dead"
    UNKNOWN = "unknown"
    """On another host, and not watched for long enough."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Answer of `who_holds`."""

    standing: Standing
    process: ProcessIdentity | None = None
    """The last claimer, None where there never was one."""
    fleet: str = ""
    claim: int = 0
    counter: int | None = None
    """None: the claimer has not counted yet."""

    def __str__(self) -> str:
        """Name the holder for a message: `pid 4711 on node-3`."""
        if self.process is None:
            return "nobody"
        return f"pid {self.process.pid} on {self.process.host}"


class HolderBeat:
    """The holder's own record; its owner calls `beat` every `BEAT_S` seconds."""

    def __init__(self, store: Store, *, claim: int, fleet: str, process: ProcessIdentity) -> None:
        self._store = store
        self._claim = claim
        self._fleet = fleet
        self._process = process
        self._counter = 0

    async def beat(self) -> None:
        """Count once.

        Raises:
            StorageError: the store refuses; the next beat tries again.
        """
        self._counter += 1
        holder = Holder(
            claim=self._claim, fleet=self._fleet, process=self._process, counter=self._counter
        )
        await self._store.put(holder_key(self._claim), encode_holder(holder))


def encode_holder(holder: Holder) -> bytes:
    """Return the JSON of a holder's record."""
    return orjson.dumps(
        {
            "claim": holder.claim,
            "fleet": holder.fleet,
            "process": process_json(holder.process),
            "counter": holder.counter,
        },
        option=orjson.OPT_APPEND_NEWLINE,
    )


def decode_holder(data: bytes, where: str) -> Holder:
    """Read what `encode_holder` wrote.

    Raises:
        RecordError: no holder's record.
    """
    fields = Fields.parse(data, where)
    return Holder(
        claim=fields.integer("claim"),
        fleet=fields.text("fleet"),
        process=read_process(fields.inner("process")),
        counter=fields.integer("counter"),
    )


def judge(*, gone: bool | None, moved: bool, still_s: float, take_over_s: float) -> Standing:
    """Decide how a claimer that has not released the sweep stands.

    Args:
        gone: what the process table says; None from another host.
        moved: whether its counter changed while it was watched.
        still_s: how long it has been watched without a change.
        take_over_s: how long it must stand still.
    """
    if gone is not None:
        return Standing.DEAD if gone else Standing.LIVE
    if moved:
        return Standing.LIVE
    return Standing.DEAD if still_s >= take_over_s else Standing.UNKNOWN


async def who_holds(
    store: Store,
    processes: Processes,
    clock: Clock,
    state: SweepState,
    *,
    take_over_s: float,
    watch: bool = True,
) -> Found:
    """Find out whether the last claimer still writes.

    Args:
        store: of the sweep.
        processes: of this host.
        clock: of this host.
        state: as loaded from the manifest.
        take_over_s: how long a counter on another host must stand still.
        watch: wait for that long if need be; otherwise such a holder is `UNKNOWN`.

    Raises:
        StorageError: the store cannot be read.
    """
    last = state.last_claim
    if last is None:
        return Found(standing=Standing.FREE)
    process = last.claim.process

    def found(standing: Standing, counter: int | None) -> Found:
        return Found(
            standing=standing,
            process=process,
            fleet=last.claim.fleet,
            claim=last.number,
            counter=counter,
        )

    first = await _counter(store, last.number)
    if state.released is not None:
        return found(Standing.FREE, first)
    still_s, before, counter = 0.0, clock.monotonic(), first
    while True:
        standing = judge(
            gone=processes.is_dead(process),
            moved=counter != first,
            still_s=still_s,
            take_over_s=take_over_s,
        )
        if standing is not Standing.UNKNOWN or not watch:
            return found(standing, counter)
        await clock.sleep(_POLL_S)
        counter = await _counter(store, last.number)
        now = clock.monotonic()
        # A suspended observer saw nothing: a long step counts as one poll, not as its length.
        still_s += min(now - before, 2 * _POLL_S)
        before = now


async def _counter(store: Store, claim: int) -> int | None:
    key = holder_key(claim)
    try:
        return decode_holder(await store.get(key), key).counter
    except KeyMissingError:
        return None
