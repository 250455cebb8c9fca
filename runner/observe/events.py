"""Typed events of a sweep and where they go: what a coordinator decided, never prompts or keys.

A sink takes events one by one and must be cheap; `JsonLines` appends them to a file that no other
process writes: `events/coordinator-<claim>.jsonl`, one JSON object a line with `event`, `at` (Unix
seconds) and the event's fields.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from io import FileIO
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepStarted:
    """A coordinator won the claim."""

    sweep: str
    claim: int
    planned: int
    recorded: int
    owed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepEnded:
    """A coordinator stopped, other than by being fenced or killed."""

    claim: int
    recorded: int
    owed: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerJoined:
    """A worker registered."""

    worker: str
    incarnation: str
    node: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerLost:
    """A worker holds no lease any more: what it had not finished is owed again."""

    worker: str
    incarnation: str
    reason: str
    """left, died, or silent: past its lease, though nobody can tell whether it runs."""
    owed_again: int


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalRecovered:
    """What was read from the journal of a worker that is gone, or silent."""

    incarnation: str
    rows: int
    """Jobs whose end it knew: sealed, published next."""
    unfinished: int
    """Jobs that go on from their journalled attempts, or begin again."""
    damage: int
    """Bad frames and foreign files met."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardsPublished:
    """A manifest entry was won; its files move now."""

    entry: int
    seals: int
    rows: int
    """Of transcripts/."""
    failures: int
    """Of failures/."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelStopped:
    """No further request to this model can succeed."""

    model: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Controlled:
    """What `runner control` asks for has changed; fields as in `record/control.py`."""

    paused: bool
    cancelled: tuple[str, ...]
    quotas: dict[str, dict[str, float]]
    max_in_flight: dict[str, int]
    budget: dict[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fenced:
    """A later claim exists: this coordinator writes nothing more."""

    claim: int
    """Its own."""
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Something a person should read: a torn file, a foreign file, a full disk."""

    where: str
    what: str


Event = (
    SweepStarted
    | SweepEnded
    | WorkerJoined
    | WorkerLost
    | JournalRecovered
    | ShardsPublished
    | ModelStopped
    | Controlled
    | Fenced
    | Problem
)


class Sink(Protocol):
    """Takes events; raises nothing, since no event is worth a sweep."""

    def emit(self, event: Event) -> None:
        """Take one event."""
        ...

    def close(self) -> None:
        """Let go of what is held."""
        ...


class Discard:
    """A sink for whoever wants no events."""

    def emit(self, event: Event) -> None:
        """Drop the event."""

    def close(self) -> None:
        """Do nothing."""


class JsonLines:
    """Appends events to one file; a full disk ends the writing, not the sweep.

    Args:
        path: the file; its folder is made.
        wall: Unix seconds.
    """

    def __init__(self, path: Path, wall: Callable[[], float]) -> None:
        self._wall = wall
        self._file: FileIO | None = None
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("ab", buffering=0)
        except OSError:
            # Events are for people who look later; the sweep itself reports a disk that refuses.
            self._file = None

    def emit(self, event: Event) -> None:
        """Append one line."""
        if self._file is None:
            return
        line = encode(event, self._wall())
        try:
            self._file.write(f"{line}\n".encode())
        except OSError:
            self.close()

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None


def encode(event: Event, at: float) -> str:
    """Return the event as one JSON line (no newline)."""
    return json.dumps({"event": type(event).__name__, "at": round(at, 3), **asdict(event)})
