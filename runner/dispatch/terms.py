"""What a coordinator is given, and what it says when it ends."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from runner.core.seams import Clock, Disk, Processes, Store
from runner.execute.outbox import Offload
from runner.observe.events import Discard, Sink
from runner.record.entries import Entry

DISK_PATIENCE_S = 20.0
"""A full disk seldom mends itself."""
STORE_PATIENCE_S = 900.0
"""An object store does: it throttles, fails over, or is restarted. No call is made meanwhile that
the journal could not hold, and none at all once leases have run out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CoordinatorWorld:
    """Everything a coordinator reaches the outside through."""

    store: Store
    disk: Disk
    """Where the workers' journals lie, as far as this host can read them."""
    clock: Clock
    processes: Processes
    offload: Offload
    report: Callable[[str], None]
    """Told of damage and of decisions that people should see, one line each."""
    open_events: Callable[[int], Sink] = field(default=lambda _claim: Discard())
    """Opens the event log of a claim."""
    storage_patience_s: float = DISK_PATIENCE_S
    """An output that refuses every write for so long ends the sweep, which is then resumed by
    hand."""
    journals_complete: bool = True
    """Every worker's journal lies on `disk`: then a look at their writers tells who still runs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preamble:
    """What a new driver session changes in the sweep before anything is leased."""

    base: int
    """The last manifest entry that the changes were worked out against."""
    files: tuple[tuple[str, bytes], ...] = ()
    """Keys and contents to put first: the configuration, the cell table of a new plan."""
    entries: tuple[Entry, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """Why the coordinator stopped."""

    reason: str
    """done, stopped, interrupted, storage or fenced."""
    detail: str = ""
