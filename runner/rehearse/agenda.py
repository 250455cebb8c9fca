"""What happens when: virtual time as a heap of events. Pure."""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from enum import IntEnum

from runner.rehearse.worker import Flight, Lane, Run, Worker


class Kind(IntEnum):
    """Of events."""

    BEAT = 0
    """A worker's heartbeat; with its time, since a later one may have taken its place."""
    WAKE = 1
    """A permit comes due."""
    END = 2
    """A call ends."""
    WARM = 3
    """A response has begun that others read a cache after."""
    RETRY = 4
    SAMPLE = 5
    """Somebody looks at what binds."""


What = Flight | Lane | Run | float | None
Event = tuple[float, int, Kind, Worker, What]


@dataclass(slots=True)
class Agenda:
    """Events to come; those of one moment in the order in which they were noted."""

    now: float = 0.0
    _events: list[Event] = field(default_factory=list[Event])
    _serial: int = 0

    def at(self, when: float, kind: Kind, worker: Worker, what: What) -> None:
        """Note an event."""
        self._serial += 1
        heapq.heappush(self._events, (when, self._serial, kind, worker, what))

    def pop(self) -> Event:
        """Go on to the next event and return it."""
        event = heapq.heappop(self._events)
        self.now = event[0]
        return event
