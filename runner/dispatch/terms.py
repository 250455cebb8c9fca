"""What a coordinator is given, and what it says when it ends."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from runner.core.errors import SweepStateError
from runner.core.seams import Clock, Disk, Processes, Store
from runner.core.values import NOTHING, Amount
from runner.execute.outbox import Offload
from runner.observe.events import Discard, Sink
from runner.record.entries import Claim, Entry, Release
from runner.record.manifest import ManifestLog
from runner.record.state import ClaimWritten

_FASTER = (
    "another process took the sweep while this one was starting; nothing was started here. See "
    "who: runner status DIR"
)

ASKED = "asked by runner stop"
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
    elsewhere: Amount = NOTHING
    """What others have spent of the sweep's budget: its judges."""
    budget_since: int = 0
    """The last manifest entry when the configuration got its budget."""

    def refuse_later(self, last: ClaimWritten | None, fleet: str) -> None:
        """Look before claiming: a session that began with this one and was faster goes on.

        Raises:
            SweepStateError: another fleet claimed the sweep since `base`.
        """
        if last is not None and last.number > self.base and last.claim.fleet != fleet:
            raise SweepStateError(_FASTER)

    async def write(self, log: ManifestLog, store: Store, fleet: str) -> None:
        """Write the changes under a claim just won, if nobody else changed the sweep meanwhile.

        Raises:
            SweepStateError: somebody did, between the look and the claim; it is released again.
            FencedError: a later claim exists.
            StorageError: the store refused.
        """
        since = log.state.entries_since_snapshot
        later = [since[n] for n in range(self.base + 1, log.state.head + 1) if n in since]
        claims = [w.entry() for w in later if w.kind == "claim"]
        done = len(later) - len(claims)
        if any(isinstance(c, Claim) and c.fleet != fleet for c in claims):
            await log.append(Release(reason="interrupted"))
            raise SweepStateError(_FASTER)
        if done and done >= len(self.entries):
            return  # an earlier coordinator of this fleet came as far
        for key, data in self.files:
            await store.put(key, data)
        for entry in self.entries[done:]:
            await log.append(entry)
            await log.complete(entry)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """Why the coordinator stopped."""

    reason: str
    """done, stopped, budget, interrupted, storage or fenced."""
    detail: str = ""

    @property
    def on_request(self) -> bool:
        """Somebody asked for it (`runner stop`), who would not want it to be run again."""
        return self.reason == "interrupted" and self.detail == ASKED
