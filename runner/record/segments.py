"""Which journal segment still holds a frame that somebody needs. Pure accounting, no files.

A segment may go when every job with frames in it has been forgotten, and no seal frame in it
speaks for frames of a segment that is still there: recovery would take those for unsealed ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from runner.core.seeds import SeedSet
from runner.core.values import Job


@dataclass(slots=True, eq=False)
class Segment:
    """One file of the journal."""

    number: int
    name: str
    held: int = 0
    """Jobs with frames here that nobody has forgotten."""
    speaks_for: set[int] = field(default_factory=set[int])
    """Other segments, with frames that a seal frame in this one covers."""


@dataclass(slots=True, eq=False)
class _Held:
    """The frames of one job, up to its seal."""

    segments: list[Segment]
    size: int = 0
    results: int = 0


class SegmentBook:
    """Frames per job and per segment; memory grows with the jobs that are not forgotten."""

    def __init__(self) -> None:
        self._segments: dict[int, Segment] = {}
        self._open: dict[Job, _Held] = {}
        self._sealed: dict[Job, list[_Held]] = {}
        self.unsealed_bytes = 0
        """Bytes of frames whose job is neither sealed nor forgotten."""

    @property
    def segments(self) -> list[Segment]:
        """All segments that still exist, oldest first."""
        return [self._segments[number] for number in sorted(self._segments)]

    @property
    def has_results(self) -> bool:
        """Whether any frame but a note belongs to a job that is not forgotten."""
        sealed = (held for some in self._sealed.values() for held in some)
        return any(h.results for h in self._open.values()) or any(h.results for h in sealed)

    def begin(self, segment: Segment) -> None:
        """Add a segment; its number is higher than any before."""
        self._segments[segment.number] = segment

    def drop(self, segment: Segment) -> None:
        """Take a deleted segment off."""
        self._segments.pop(segment.number, None)

    def add(self, segment: Segment, job: Job) -> None:
        """Remember that a frame of the job lies in the segment."""
        held = self._open.get(job)
        if held is None:
            held = self._open[job] = _Held([])
        if not held.segments or held.segments[-1] is not segment:
            held.segments.append(segment)
            segment.held += 1

    def count(self, job: Job, size: int, *, result: bool) -> None:
        """Count a frame once, however many segments it was written to; after `add`."""
        held = self._open[job]
        held.size += size
        held.results += result
        self.unsealed_bytes += size

    def add_seal(self, segment: Segment, jobs: Mapping[int, SeedSet]) -> None:
        """Remember that a seal frame in the segment speaks for these jobs."""
        for job in each(jobs):
            held = self._open.get(job)
            if held is not None:
                for other in held.segments:
                    if other is not segment:
                        segment.speaks_for.add(other.number)

    def seal(self, jobs: Mapping[int, SeedSet]) -> None:
        """Close the books of these jobs: what comes for them later is not part of the seal."""
        for job in each(jobs):
            held = self._open.pop(job, None)
            if held is not None:
                self.unsealed_bytes -= held.size
                self._sealed.setdefault(job, []).append(held)

    def forget(self, jobs: Iterable[Job]) -> None:
        """Release jobs: of a sealed one what was sealed, of any other everything."""
        for job in jobs:
            released = self._sealed.pop(job, None)
            if released is None:
                held = self._open.pop(job, None)
                released = [] if held is None else [held]
                self.unsealed_bytes -= sum(h.size for h in released)
            for held in released:
                for segment in held.segments:
                    segment.held -= 1

    def unneeded(self, current: Segment | None) -> Iterator[Segment]:
        """Yield what may be deleted, oldest first; each must be dropped before the next is asked."""
        for segment in self.segments:
            needed = segment.held or segment is current
            if not needed and segment.speaks_for.isdisjoint(self._segments):
                yield segment


def each(jobs: Mapping[int, SeedSet]) -> Iterator[Job]:
    """Yield every job of a mapping from cell number to seeds."""
    return (Job(cell, seed) for cell, seeds in jobs.items() for seed in seeds)
