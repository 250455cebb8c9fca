"""The manifest: numbered entries, each created by a conditional put. The only truth and fence.

    manifest/00000001.json …               entries, never changed, never deleted
    manifest/snapshot-00000064.json        state folded through entry 64; the last two are kept

Entry n + 1 is won by whoever creates it. A claim takes the next free number whatever comes in
between; every other entry only follows what its writer has seen, so a coordinator whose sweep was
claimed by another meets that claim where its own entry should go, and stops. What an entry moves
is carried out after it was won, by its writer or by a later claimer, as often as they like.
"""

from __future__ import annotations

from collections.abc import Sequence

from runner.core.errors import FencedError, RecordError, StorageError
from runner.core.seams import Clock, KeyExistsError, KeyMissingError, Store
from runner.core.seeds import SeedSet
from runner.record.bounded import for_each
from runner.record.entries import (
    Claim,
    Entry,
    Publish,
    Supersede,
    Written,
    encode_entry,
    read_entry,
)
from runner.record.layout import (
    MANIFEST,
    entry_key,
    entry_number,
    snapshot_key,
    snapshot_number,
)
from runner.record.state import NewerSnapshotError, SweepState, decode_state

_READS = 32
"""Entries read side by side."""
_MOVES = 8
"""Moves of one publish side by side."""
_TRIES = 4
"""Tries of a write that the store refuses."""
_PAUSE_S = 0.25
"""Before the second try; doubled for each further one."""
_SNAPSHOTS_KEPT = 2


async def read_written(store: Store, number: int) -> Written:
    """Read one entry.

    Raises:
        KeyMissingError: there is none of that number.
        RecordError: it is damaged, or a newer runner's.
        StorageError: the store cannot be read.
    """
    key = entry_key(number)
    return read_entry(await store.get(key), number, key)


async def latest_claim(store: Store) -> Claim | None:
    """Return the last claim, reading two entries at most; None in an empty manifest.

    Raises:
        RecordError: an entry is damaged.
        StorageError: the store cannot be read.
    """
    numbers = [n for key in await store.list(MANIFEST) if (n := entry_number(key)) is not None]
    if not numbers:
        return None
    last = await read_written(store, max(numbers))
    # Whoever wrote the last entry followed its own claim with nobody else's in between.
    entry = (last if last.kind == "claim" else await read_written(store, last.claim)).entry()
    return entry if isinstance(entry, Claim) else None


async def load_state(store: Store) -> SweepState:
    """Return the newest readable snapshot with all later entries folded in. Writes nothing.

    Raises:
        RecordError: a gap, a damaged entry, or one of a newer runner.
        StorageError: the store cannot be read.
    """
    keys = await store.list(MANIFEST)
    snapshots = sorted((n for key in keys if (n := snapshot_number(key)) is not None), reverse=True)
    last = max((n for key in keys if (n := entry_number(key)) is not None), default=0)
    state = await _newest_snapshot(store, snapshots)

    async def read(number: int) -> Written:
        try:
            return await read_written(store, number)
        except KeyMissingError as error:
            msg = (
                f"{entry_key(number)}: missing, while {entry_key(last)} exists. The manifest is"
                " damaged; restore the file from a copy of the sweep"
            )
            raise RecordError(msg) from error

    for written in await for_each(range(state.head + 1, last + 1), read, limit=_READS):
        state.fold(written)
    return state


async def _newest_snapshot(store: Store, numbers: Sequence[int]) -> SweepState:
    reports: list[str] = []
    state = SweepState()
    for number in numbers:
        key = snapshot_key(number)
        try:
            state = decode_state(await store.get(key), key)
        except NewerSnapshotError:
            raise
        except (RecordError, KeyMissingError) as error:
            reports.append(f"{error or key}; older entries were read instead")
            continue
        if state.head == number:
            break
        reports.append(f"{key}: says it ends at entry {state.head}; older ones were read instead")
        state = SweepState()
    state.reports += reports
    return state


class ManifestLog:
    """One process's hold on the manifest. Used from one task.

    Attributes:
        state: everything up to the last entry seen; current after every call.
        claim_number: of our claim, 0 before it.
        unsure: the entry whose `append` ended in a StorageError, so that nobody knows whether it
            was won. Nothing else can be appended before a repeated call has settled it.
    """

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._nonce = ""
        self._fenced: str | None = None
        self._undone: dict[int, Written] = {}
        self._own: dict[int, Entry] = {}
        self.state = SweepState()
        self.claim_number = 0
        self.unsure: Entry | None = None

    async def load(self) -> SweepState:
        """Read the manifest; the state is also `self.state`.

        Raises:
            RecordError: a gap, a damaged entry, or one of a newer runner.
            StorageError: the store cannot be read.
        """
        self.state = await load_state(self._store)
        since = self.state.entries_since_snapshot
        self._undone = {n: written for n, written in since.items() if _moves(written)}
        return self.state

    async def claim(self, claim: Claim) -> int:
        """Win the sweep for this process: from then on every earlier claimer is fenced.

        Takes the next free number, folding in whatever others append meanwhile. Whether it may be
        taken at all is the caller's to judge (`holder.py`); `load` comes first.

        Returns:
            The number of the claim.

        Raises:
            RecordError: an entry met on the way is damaged.
            StorageError: the store refuses; the same claim may be tried again.
        """
        self._nonce = claim.nonce
        while True:
            number = self.state.head + 1
            written = await self._create(number, claim, number)
            self._fold(written)
            if written.nonce == claim.nonce:
                self.claim_number = number
                self._fenced = None
                return number

    async def append(self, entry: Entry) -> int:
        """Win the next entry and fold it into the state. Carries nothing out: see `complete`.

        Returns:
            The entry's number.

        Raises:
            FencedError: another process has claimed the sweep; every later call raises it too.
            RecordError: a job would be recorded twice; nothing was written.
            StorageError: the store refuses. The entry may or may not have been won: repeat the
                call with the same entry, or stop.
        """
        if not self.claim_number:
            msg = "append before claim"
            raise RuntimeError(msg)
        if self._fenced is not None:
            raise FencedError(self._fenced)
        if self.unsure is not None and self.unsure != entry:
            msg = "another entry is unsure; append that one again first"
            raise RuntimeError(msg)
        if isinstance(entry, Publish):
            self._refuse_twice(entry)
        number = self.state.head + 1
        self.unsure = entry
        written = await self._create(number, entry, self.claim_number)
        self.unsure = None
        if written.nonce != self._nonce:
            self._fenced = await self._who(written)
            raise FencedError(self._fenced)
        self._fold(written)
        if _moves(written):
            self._own[number] = entry
        return number

    async def complete(self, entry: Entry) -> None:
        """Carry out the moves, then the drops, of a won entry. Idempotent.

        Raises:
            StorageError: the store refuses; call it again.
        """
        store = self._store
        if isinstance(entry, Supersede):
            for source, target in entry.moves:  # out before in: never two rows of one job
                await store.move(source, target)
            await for_each(entry.drops, store.delete, limit=_MOVES)
        elif isinstance(entry, Publish):
            await for_each(entry.moves, lambda move: store.move(*move), limit=_MOVES)
            await for_each(entry.drops, store.delete, limit=_MOVES)
        for number in [n for n, own in self._own.items() if own == entry]:
            del self._own[number]
            self._undone.pop(number, None)

    async def complete_old(self) -> None:
        """Carry out every entry not known to be complete, in order, a dead coordinator's too.

        Raises:
            RecordError: an entry's moves are unreadable.
            StorageError: the store refuses; call it again.
        """
        for number in sorted(self._undone):
            await self.complete(self._own.get(number) or self._undone[number].entry())
            self._undone.pop(number, None)

    async def snapshot(self) -> None:
        """Complete every entry, write the state as a snapshot and delete all but the last two.

        Raises:
            StorageError: the store refuses; the sweep goes on without it.
        """
        await self.complete_old()  # a later load never looks behind the snapshot
        state = self.state
        number = state.head
        await self._store.put(snapshot_key(number), state.encode())
        state.snapshot = number
        for done in [n for n in state.entries_since_snapshot if n <= number]:
            del state.entries_since_snapshot[done]
        keys = await self._store.list(MANIFEST)
        numbers = sorted(n for key in keys if (n := snapshot_number(key)) is not None)
        for old in numbers[:-_SNAPSHOTS_KEPT]:
            await self._store.delete(snapshot_key(old))

    def _fold(self, written: Written) -> None:
        self.state.fold(written)
        if _moves(written):
            self._undone[written.number] = written

    def _refuse_twice(self, entry: Publish) -> None:
        """The last line of defence of "one final row per job"; the publisher removes overlaps."""
        seen: dict[int, SeedSet] = {}
        for shard in entry.transcripts:
            twice = self.state.overlap(shard.jobs)
            for cell, seeds in shard.jobs.items():
                before = seen.get(cell, SeedSet())
                both = before.union(seeds)
                if len(both) != len(before) + len(seeds):
                    twice[cell] = seeds
                seen[cell] = both
            if twice:
                cell, seeds = next(iter(twice.items()))
                msg = f"{shard.name}: cell {cell}, seeds {seeds} would be recorded twice"
                raise RecordError(msg)

    async def _create(self, number: int, entry: Entry, claim: int) -> Written:
        """Create entry `number`, or return the one that is there: ours of an earlier try, or not."""
        key = entry_key(number)
        data = encode_entry(entry, nonce=self._nonce, claim=claim)
        pause = _PAUSE_S
        for last in (*[False] * (_TRIES - 1), True):
            try:
                await self._store.create(key, data)
                return read_entry(data, number, key)
            except KeyExistsError:
                return await read_written(self._store, number)
            except StorageError:
                if last:
                    raise
            await self._clock.sleep(pause)
            pause *= 2
        raise AssertionError

    async def _who(self, written: Written) -> str:
        holder = "another process"
        try:
            entry = (
                written
                if written.kind == "claim"
                else await read_written(self._store, written.claim)
            ).entry()
            if isinstance(entry, Claim):
                holder = f"pid {entry.process.pid} on {entry.process.host}"
        except (KeyMissingError, RecordError):
            pass  # the message is all that would be better
        return (
            f"the sweep was claimed by {holder} (manifest entry {written.number}); this process"
            " stops without another write. Watch it with: runner status"
        )


def _moves(written: Written) -> bool:
    return written.kind in {"publish", "supersede"}
