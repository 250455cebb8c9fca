"""What a backend offers to whoever drives a sweep: two thin ones exist, in-process and Ray."""

from __future__ import annotations

from typing import Protocol

from runner.dispatch.guests import GuestBeat
from runner.dispatch.terms import Ended
from runner.execute.messages import HeartbeatReply
from runner.observe.progress import Progress


class Backend(Protocol):
    """Runs the coordinator and the workers of one sweep."""

    async def start(self) -> None:
        """Claim the sweep, start the workers.

        Raises:
            RunnerError: the sweep cannot be claimed, or no worker can be started.
        """
        ...

    async def progress(self) -> Progress | None:
        """Return the sweep at this moment; None while nobody can say."""
        ...

    async def guest(self, said: GuestBeat) -> HeartbeatReply:
        """Answer a judge that draws on this sweep's quotas.

        Raises:
            PeerUnreachableError: nobody can, now.
        """
        ...

    async def drain(self, grace_s: float) -> None:
        """Stop leasing, finish or hand back within the grace period, seal."""
        ...

    async def wait(self) -> Ended:
        """Wait until the coordinator has ended.

        Raises:
            RunnerError: it cannot end in order.
        """
        ...

    async def close(self) -> None:
        """End everything that is left, at once; nothing recorded is lost."""
        ...
