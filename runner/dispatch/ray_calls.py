"""Calls to actors, each with a deadline: the only place that knows Ray's errors."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Protocol, TypeVar

from ray.exceptions import ActorDiedError, ActorUnavailableError, RayError

from runner.execute.messages import Heartbeat, HeartbeatReply
from runner.execute.worker import PeerUnreachableError

T = TypeVar("T")

BEAT_DEADLINE_S = 3.0


class ActorGoneError(PeerUnreachableError):
    """The actor is dead and Ray does not start it again."""


class RemoteMethod(Protocol):
    """A method of an actor elsewhere."""

    def remote(self, *args: object) -> Awaitable[object]:
        """Send the call; the answer is awaited."""
        ...


class CoordinatorHandle(Protocol):
    """A coordinator actor, as far as workers call it."""

    @property
    def heartbeat(self) -> RemoteMethod:
        """`CoordinatorActor.heartbeat`."""
        ...


async def answer_of(reference: Awaitable[T], within_s: float | None) -> T:
    """Wait for an actor's answer; None waits without end, for an actor that waits for a place.

    Raises:
        ActorGoneError: there is no such actor any more.
        PeerUnreachableError: no answer in time, or the actor crashed, or the call failed inside
            it; whether it acted is unknown.
    """
    try:
        async with asyncio.timeout(within_s):
            return await reference
    except TimeoutError:
        msg = f"no answer within {within_s} s"
        raise PeerUnreachableError(msg) from None
    except ActorDiedError as error:
        raise ActorGoneError(_first_line(error)) from None
    except ActorUnavailableError as error:
        raise PeerUnreachableError(_first_line(error)) from None
    except RayError as error:
        raise PeerUnreachableError(str(error)) from error


def _first_line(error: RayError) -> str:
    """Return what happened; the rest is ids and addresses."""
    return str(error).strip().partition("\n")[0]


class RayPeer:
    """The coordinator as a worker reaches it."""

    def __init__(self, coordinator: CoordinatorHandle) -> None:
        """Take the actor's handle."""
        self._coordinator = coordinator

    async def heartbeat(self, beat: Heartbeat) -> HeartbeatReply:
        """Deliver a heartbeat; see `Peer`."""
        reply = await answer_of(self._coordinator.heartbeat.remote(beat), BEAT_DEADLINE_S)
        if not isinstance(reply, HeartbeatReply):
            msg = "the coordinator does not hold the sweep"
            raise PeerUnreachableError(msg)
        return reply
