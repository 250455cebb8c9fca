"""Calls to actors, each with a deadline: the only place that knows Ray's errors."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Protocol, TypeVar

from ray.exceptions import ActorDiedError, ActorUnavailableError, RayError, RayTaskError

from runner.execute.messages import Heartbeat, HeartbeatReply
from runner.execute.terms import PeerUnreachableError

T = TypeVar("T")

BEAT_DEADLINE_S = 3.0


class ActorGoneError(PeerUnreachableError):
    """The actor is dead and Ray does not start it again."""


class CallFailedError(PeerUnreachableError):
    """The call arrived and raised there; the same call would raise again."""


class RemoteMethod(Protocol):
    """A method of an actor elsewhere."""

    def remote(self, *args: object, **options: object) -> Awaitable[object]:
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
        CallFailedError: the method raised.
        PeerUnreachableError: no answer in time, or the actor crashed; whether it acted is unknown.
    """
    try:
        async with asyncio.timeout(within_s):
            return await reference
    except TimeoutError:
        msg = f"no answer within {within_s} s"
        raise PeerUnreachableError(msg) from None
    except ActorDiedError as error:
        raise ActorGoneError(_brief(error)) from None
    except ActorUnavailableError as error:
        raise PeerUnreachableError(_brief(error)) from None
    except RayTaskError as error:
        raise CallFailedError(_brief(error)) from error
    except RayError as error:
        raise PeerUnreachableError(_brief(error)) from error


def _brief(error: RayError) -> str:
    """Return what happened, and the error at the end of the traceback where there is one."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if len(lines) > 1 and "Error: " in lines[-1]:
        return f"{lines[0]} … {lines[-1]}"
    return lines[0] if lines else type(error).__name__


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
