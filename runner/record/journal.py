"""The journal of one worker incarnation: nothing is acted on before it is durable here.

Owns segment files `<incarnation>-<k>.wal`: when a frame is written, synced, written again, and
when a file is left and deleted. Does not read them (`recovery.py`), does not know their bytes
(`frames.py`) nor which are still needed (`segments.py`). Reaches the world through `Disk`,
`DiskFile` and `Clock` only.

A file is never reopened, and never used again after an error: whatever a write or a sync fails
on, the journal goes on in a new file that begins with every frame not known to be durable, so a
frame can lie in two files. Readers collapse them.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from runner.core.errors import StorageError
from runner.core.seams import Clock, Disk, DiskFile
from runner.core.seeds import SeedSet
from runner.core.values import Amount, Attempt, Job
from runner.record.frames import AttemptFrame, DeadFrame, Header, Note, SealFrame, encode
from runner.record.layout import segment_name
from runner.record.segments import Segment, SegmentBook

GROUP_S = 0.02
"""A sync waits so long for company. It costs about 0.15 ms of CPU, whatever it covers: at 1,500
answers a second this is 5 microseconds for each of them. Half the time would make an answer durable
5 ms earlier, which nobody notices beside a call of seconds, for 3 microseconds more."""


@dataclass(slots=True, eq=False)
class _Entry:
    """A frame that is not known to be durable."""

    data: bytes
    job: Job | None = None
    note: bool = False
    seals: Mapping[int, SeedSet] | None = None
    waiter: asyncio.Future[None] | None = None
    counted: bool = False


class Journal:
    """Append-only, group-committed log of one incarnation. Used from one event loop.

    Costs a few microseconds a frame; memory grows with unforgotten jobs, not with frames, except
    for the frames of the sync under way.
    """

    def __init__(
        self, disk: Disk, clock: Clock, header: Header, *, group_s: float = GROUP_S
    ) -> None:
        self._disk = disk
        self._clock = clock
        self._incarnation = header.incarnation
        self._header = encode(header)
        self._group_s = group_s
        self._book = SegmentBook()
        self._next_number = 1
        self._file: DiskFile | None = None
        self._current: Segment | None = None
        self._retired: list[DiskFile] = []
        self._spoiled: list[Segment] = []
        self._entries: list[_Entry] = []
        """Not known to be durable."""
        self._unwritten: list[_Entry] = []
        """The newest of them, of which the file has nothing yet: they wait for company."""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiters = 0
        self._waiting_since = 0.0
        self._flusher: asyncio.Task[None] | None = None
        self._closed = False

    @property
    def unsealed_bytes(self) -> int:
        """Bytes of frames whose job is neither sealed nor forgotten."""
        return self._book.unsealed_bytes

    @property
    def lag_s(self) -> float:
        """Seconds that the oldest frame waiting to be durable has been waiting; 0 if none is."""
        return self._clock.monotonic() - self._waiting_since if self._waiters else 0.0

    async def open(self) -> None:
        """Make the first segment durable; before it the worker may take no lease.

        Raises:
            StorageError: the journal's disk refuses.
        """
        await self.durable()

    def note(self, job: Job, turn: int, number: int, reserved: Amount | None = None) -> None:
        """Write that an attempt begins, without waiting; a disk that refuses is met by `append`."""
        self._put(_Entry(encode(Note(job, turn, number, reserved)), job, note=True))
        self._write()

    def copy(self, attempt: Attempt) -> None:
        """Write an attempt that another incarnation journalled, without waiting.

        Answers that are appended later build on it, and are not durable before it is.
        """
        self._put(_Entry(encode(AttemptFrame(attempt)), attempt.job))
        self._write()

    def append(self, frame: AttemptFrame | DeadFrame) -> Coroutine[Any, Any, None]:
        """Write a frame; it is durable when what this returns has been awaited.

        A cancelled caller leaves the frame on its way. After an error the frame may or may not be
        found by recovery; repeating the call is right, since recovery drops doubles.

        Raises:
            StorageError: neither the file in use nor a new one took it.
            ValueError: an answer's body beyond 512 MB.
        """
        return self._commit(_Entry(encode(frame), frame.job))

    async def durable(self) -> None:
        """Wait until all that has been written so far, notes included, is durable.

        Raises:
            StorageError: as for `append`.
        """
        await self._commit(_Entry(b""))

    async def begin_seal(self, seal: str, jobs: Mapping[int, SeedSet]) -> None:
        """Make it durable that the frames of these jobs go into a seal, and begin a new segment.

        Args:
            seal: its name, never used before.
            jobs: cell number to seeds; each has ended.

        Raises:
            StorageError: as for `append`; the seal has not begun then and may be tried again.
        """
        await self._commit(_Entry(encode(SealFrame(seal=seal, jobs=jobs)), seals=jobs))
        self._book.seal(jobs)
        try:
            self._roll()
        except OSError:
            self._kick()
        if self._flusher is None:
            await self._tidy()

    async def forget(self, jobs: Iterable[Job]) -> None:
        """Release the frames of published jobs and delete segments that nobody needs any more.

        Of a job that was sealed, only what lies before its seal is released; of one that never
        was (handed back, recorded by another worker), everything.

        Raises:
            StorageError: a file could not be deleted; it is tried again by the next call.
        """
        self._book.forget(jobs)
        for segment in self._book.unneeded(self._current):
            await self._delete(segment)

    @property
    def writable(self) -> bool:
        """Whether a note goes to a file at once: the disk did not refuse the last frame."""
        return self._file is not None

    async def close(self, *, delete_if_empty: bool = True) -> None:
        """Wait for the sync under way and close; no further call is allowed.

        Args:
            delete_if_empty: delete all files where every attempt and dead letter was forgotten.

        Raises:
            StorageError: a file could not be deleted.
        """
        self._closed = True
        if self._flusher is not None:
            await asyncio.wait({self._flusher})  # a bare await would cancel it with its caller
        self._abandon(self._file)
        await self._tidy()
        if delete_if_empty and not self._book.has_results:
            for segment in self._book.segments:
                await self._delete(segment)

    def _put(self, entry: _Entry) -> None:
        if self._closed:
            msg = f"journal {self._incarnation} is closed"
            raise RuntimeError(msg)
        self._entries.append(entry)
        self._unwritten.append(entry)

    def _write(self) -> None:
        """Put what waits into the file, in one piece; a disk that refuses is left to the flusher."""
        file, entries = self._file, self._unwritten
        if file is None:
            self._kick()
            return
        try:
            file.write(
                entries[0].data if len(entries) == 1 else b"".join([e.data for e in entries])
            )
        except OSError:
            self._abandon(file)
            self._kick()
            return
        self._unwritten = []
        for entry in entries:
            self._track(entry)

    async def _commit(self, entry: _Entry) -> None:
        """Wait until a frame is durable. It is written with the next note, or by the sync."""
        loop = self._loop
        if loop is None:
            # Asking for it costs a system call each time (Python 3.11).
            loop = self._loop = asyncio.get_running_loop()
        entry.waiter = loop.create_future()
        self._put(entry)
        if not self._waiters:
            self._waiting_since = self._clock.monotonic()
        self._waiters += 1
        self._kick()
        await entry.waiter

    def _track(self, entry: _Entry) -> None:
        """Remember that the current segment holds this frame."""
        segment = self._current
        assert segment is not None
        if entry.job is not None:
            self._book.add(segment, entry.job)
            if not entry.counted:
                entry.counted = True
                self._book.count(entry.job, len(entry.data), result=not entry.note)
        elif entry.seals is not None:
            self._book.add_seal(segment, entry.seals)

    def _kick(self) -> None:
        if self._flusher is None:
            self._flusher = asyncio.get_running_loop().create_task(
                self._flush(), name=f"journal {self._incarnation}"
            )

    async def _flush(self) -> None:
        """Sync until nobody waits; on an error once more, in a new file, before giving up."""
        try:
            while self._waiters or (self._file is None and not self._closed):
                await self._clock.sleep(self._group_s)
                error = await self._sync() and await self._sync()
                await self._tidy()
                if error is not None:
                    self._give_up(error)
                    return
        finally:
            self._flusher = None

    async def _sync(self) -> OSError | None:
        file = self._file
        try:
            if file is not None and self._unwritten:
                self._write()
                file = self._file
            if file is None:
                file = self._roll()
            covered = len(self._entries)
            began = self._clock.monotonic()
            await file.sync()
        except OSError as error:
            self._abandon(file)
            return error
        self._settle(covered)
        self._waiting_since = began
        return None

    def _settle(self, covered: int, reason: str | None = None) -> None:
        """Take the oldest entries off the list and tell who waits for them."""
        done, self._entries = self._entries[:covered], self._entries[covered:]
        for entry in done:
            waiter = entry.waiter
            if waiter is None:
                continue
            self._waiters -= 1
            if waiter.done():  # its caller was cancelled
                continue
            if reason is None:
                waiter.set_result(None)
            else:
                waiter.set_exception(StorageError(reason))

    def _give_up(self, error: OSError) -> None:
        """Tell all who wait; only frames nobody waits for stay here, for the next file."""
        orphans: list[_Entry] = []
        waiting: list[_Entry] = []
        for entry in self._entries:
            if entry.waiter is not None and not entry.waiter.cancelled():
                waiting.append(entry)
                continue
            self._waiters -= entry.waiter is not None
            entry.waiter = None
            orphans.append(entry)
        self._entries = waiting
        self._settle(
            len(waiting),
            f"journal {self._incarnation}: {error.strerror or error}. What was durable before is"
            " safe; make room or mend the disk, then run the same command again",
        )
        self._entries = orphans

    def _roll(self) -> DiskFile:
        """Go on in a new file, which begins with every frame not known to be durable.

        Raises:
            OSError: the disk refuses; the old file is left all the same.
        """
        self._abandon(self._file)
        number = self._next_number
        self._next_number += 1
        segment = Segment(number, segment_name(self._incarnation, number))
        file = self._file = self._disk.create(segment.name)
        self._current = segment
        self._book.begin(segment)
        try:
            file.write(self._header)
            for entry in self._entries:
                file.write(entry.data)
                self._track(entry)
            self._unwritten = []
        except OSError:
            self._spoiled.append(segment)
            self._abandon(file)
            raise
        return file

    def _abandon(self, file: DiskFile | None) -> None:
        """Leave a file if it is the current one; a sync of it may still be under way."""
        if file is not None and file is self._file:
            self._retired.append(file)
            self._file = None
            self._current = None

    async def _tidy(self) -> None:
        """Close files that were left and delete spoiled ones; no sync is under way."""
        while self._retired:
            self._retired.pop().close()
        while self._spoiled:
            with contextlib.suppress(OSError):  # only a waste of space: `forget` tries again
                await self._disk.delete(self._spoiled.pop().name)

    async def _delete(self, segment: Segment) -> None:
        try:
            await self._disk.delete(segment.name)
        except OSError as error:
            msg = f"journal file {segment.name}: {error.strerror or error}. It was not deleted"
            raise StorageError(msg) from error
        self._book.drop(segment)
