"""The way by which guests reach a live sweep: a socket of this user's, on the host of its driver.

    judge's worker ─▶ GuestPeer ─┬─▶ its own coordinator: leases, journal, publishing
                                 └─▶ Door of the judged sweep ─▶ its coordinator: permits, places

The socket's name is a digest of the sweep's place, in a folder that only this user can enter; so nothing
has to be announced, and nobody else can ask. Two programs of different versions do not speak.

Failure cases: no socket, or nobody behind it (the sweep runs on another host, in another container, as
another user, or not at all: `knock` says so before anything is sent); an answer does not come (the guest
drops all permits it holds and sends nothing for `LEAD_S`, so that a successor of the coordinator, which
hears nothing of them, grants none of that time twice); nobody answers any more (`GuestPeer.left`: whoever
runs the judge ends its session in order and begins anew, in whatever way is right then).
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import pickle
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import TypeVar

from runner.config.schema import ModelConfig
from runner.core.errors import ConfigError
from runner.core.values import NOTHING, Amount
from runner.dispatch.guests import GuestBeat
from runner.dispatch.quota_plan import QuotaPlan
from runner.execute.messages import Heartbeat, HeartbeatReply
from runner.execute.terms import Peer, PeerUnreachableError
from runner.limits.authority import GRACE_S, LEAD_S, MESSAGE_S
from runner.limits.ledger import GUEST
from runner.providers.private_folder import private_folder

_LEFT_AFTER = 3
"""Heartbeats without an answer after which the sweep is taken to have ended, or moved."""
_HEADER = 4
_MOST_BYTES = 1 << 22

V = TypeVar("V")
Answer = Callable[[GuestBeat], Awaitable[HeartbeatReply]]


def socket_of(place: str) -> Path:
    """Return the socket of a sweep by its absolute path or URL.

    Raises:
        ConfigError: the folder for it belongs to somebody else.
    """
    digest = hashlib.sha256(place.encode()).hexdigest()[:24]
    return private_folder("doors") / f"{digest}.sock"


async def knock(place: str) -> bool:
    """Return whether somebody answers at a sweep's door on this host."""
    try:
        async with asyncio.timeout(MESSAGE_S):
            _, writer = await asyncio.open_unix_connection(socket_of(place))
    except (OSError, TimeoutError, ConfigError):
        return False
    await _close(writer)
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    version: str
    beat: GuestBeat


@dataclass(slots=True)
class Door:
    """Takes guests in, while a sweep is driven from here."""

    place: str
    """Absolute path or URL of the sweep."""
    answer: Answer
    _server: asyncio.Server | None = None
    _inode: int = 0
    _guests: dict[asyncio.Task[None], asyncio.StreamWriter] = field(
        default_factory=dict["asyncio.Task[None]", asyncio.StreamWriter]
    )

    async def open(self) -> None:
        """Listen.

        Raises:
            OSError: the socket cannot be made, e.g. for too long a TMPDIR; no guest can come then.
            ConfigError: the folder for it belongs to somebody else.
        """
        path = socket_of(self.place)
        path.unlink(missing_ok=True)  # of a driver that was killed: there is but one at a time
        self._server = await asyncio.start_unix_server(self._serve, path)
        path.chmod(0o600)
        self._inode = path.stat().st_ino

    async def close(self) -> None:
        """Let nobody in any more."""
        if self._server is None:
            return
        self._server.close()
        guests = dict(self._guests)
        for writer in guests.values():
            await _close(writer)
        if guests:
            await asyncio.wait(guests)
        path = socket_of(self.place)
        with contextlib.suppress(OSError):
            if path.stat().st_ino == self._inode:  # else it is a successor's
                path.unlink()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._guests[task] = writer
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while True:
                said = await _read(reader)
                reply: HeartbeatReply | str
                if not isinstance(said, _Asked) or said.version != _version():
                    reply = f"the sweep is run by version {_version()} of runner"
                else:
                    try:
                        reply = await self.answer(said.beat)
                    except PeerUnreachableError as error:
                        reply = str(error)
                await _write(writer, reply)
        await _close(writer)
        del self._guests[task]


@dataclass(slots=True, kw_only=True)
class GuestPeer:
    """A judge's own coordinator for its jobs, and the judged sweep's for what may be sent."""

    own: Peer
    place: str
    """Absolute path or URL of the judged sweep."""
    model: str
    """Of the judge."""
    known_as: str
    """At the judged sweep."""
    plan: QuotaPlan
    """What the model draws on, under that name."""
    models: Mapping[str, ModelConfig]
    """It, by that name."""
    left: bool = False
    """The judged sweep answers no more."""
    _allowed: Amount = NOTHING
    """By the judged sweep, since the worker started."""
    _failures: int = 0
    _claim: int = 0
    _streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = field(
        default=None, repr=False
    )

    async def heartbeat(self, beat: Heartbeat) -> HeartbeatReply:
        """Deliver a heartbeat to both; see `Peer`.

        Last words go to its own coordinator first: that one waits for them, and the worker, which
        waits for an answer no longer than a moment, is gone when a busy sweep has not given one.
        """
        last = await self.own.heartbeat(replace(beat, quota={})) if beat.done else None
        there: HeartbeatReply | None = None
        try:
            async with asyncio.timeout(MESSAGE_S):
                there = await self._ask(
                    GuestBeat(beat=self._translated(beat), plan=self.plan, models=self.models)
                )
        except (PeerUnreachableError, OSError, TimeoutError, asyncio.IncompleteReadError):
            await self.close()
        reply = last or await self.own.heartbeat(replace(beat, quota={}))
        self._failures = 0 if there is not None else self._failures + 1
        self.left = self.left or self._failures >= _LEFT_AFTER
        if there is None or there.claim != self._claim:
            began = self._claim == 0
            self._claim = 0 if there is None else there.claim
            if not began or there is None:
                return replace(
                    reply,
                    allowance=self._both(reply.allowance),
                    slots=dict.fromkeys(reply.slots, 0),
                    permits=(),
                    holds={self.model: LEAD_S + GRACE_S},
                )
        return self._joined(reply, there)

    def _translated(self, beat: Heartbeat) -> Heartbeat:
        """Return what the judged sweep is told: no jobs, and the model by its name there."""
        spending = beat.spending

        def named(values: Mapping[str, V]) -> dict[str, V]:
            return {self.known_as: values[self.model]} if self.model in values else {}

        return replace(
            beat,
            incarnation=GUEST + beat.incarnation,
            held=(),
            returned=(),
            sealed=(),
            wants={},
            queued=named(beat.queued),
            unpublished={},
            slots=named(beat.slots),
            tallies=named(beat.tallies),
            stopped_models={},
            unreachable={},
            quota=named(beat.quota),
            spending=None if spending is None else replace(spending, broke=frozenset()),
            gone=(),
        )

    def _joined(self, reply: HeartbeatReply, there: HeartbeatReply) -> HeartbeatReply:
        """Return what the worker is to obey: jobs by one, calls by the other."""
        places = there.slots.get(self.known_as, 0)
        if there.allowance is not None:
            self._allowed = there.allowance
        return replace(
            reply,
            allowance=self._both(reply.allowance),
            slots={name: min(number, places) for name, number in reply.slots.items()},
            permits=tuple(
                replace(block, model=self.model)
                for block in there.permits
                if block.model == self.known_as
            ),
            holds={self.model: hold} if (hold := there.holds.get(self.known_as)) else {},
            outages=frozenset({self.model} if self.known_as in there.outages else ()),
            quota_notes={self.model: there.quota_notes.get(self.known_as, "")},
        )

    def _both(self, own: Amount | None) -> Amount | None:
        """Return what both budgets allow: its own account lasts, the judged sweep's is the limit."""
        return None if own is None else own.least(self._allowed)

    async def _ask(self, said: GuestBeat) -> HeartbeatReply:
        if self._streams is None:
            self._streams = await asyncio.open_unix_connection(socket_of(self.place))
        reader, writer = self._streams
        await _write(writer, _Asked(version=_version(), beat=said))
        reply = await _read(reader)
        if not isinstance(reply, HeartbeatReply):
            raise PeerUnreachableError(str(reply))
        return reply

    async def close(self) -> None:
        """Close the connection; the next heartbeat makes another."""
        if self._streams is not None:
            (_, writer), self._streams = self._streams, None
            await _close(writer)


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


def _version() -> str:
    return version("runner")


async def _write(writer: asyncio.StreamWriter, value: object) -> None:
    data = pickle.dumps(value)
    writer.write(len(data).to_bytes(_HEADER, "big") + data)
    await writer.drain()


async def _read(reader: asyncio.StreamReader) -> object:
    """Read what `_write` wrote.

    Raises:
        OSError: the connection broke, or that is no message.
        asyncio.IncompleteReadError: it ended.
    """
    size = int.from_bytes(await reader.readexactly(_HEADER), "big")
    if size > _MOST_BYTES:
        msg = f"a message of {size} bytes"
        raise OSError(msg)
    data = await reader.readexactly(size)
    try:
        return pickle.loads(data)  # noqa: S301  # only processes of this user can connect
    except Exception as error:
        msg = f"a message of another version of runner ({type(error).__name__})"
        raise OSError(msg) from error
