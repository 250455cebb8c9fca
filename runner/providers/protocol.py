"""What the rest of the engine knows of a provider. Pure.

A provider owns one model's wire: how a conversation becomes a request body, how one attempt is
sent, how a body is read. It does not retry, pace, count or record; that is `execute`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from runner.core.values import Answer, Conversation, Failure, Prepared, Reply


class Provider(Protocol):
    """One model endpoint as seen from one process and one event loop."""

    def prepare(self, conversation: Conversation, seed: int) -> Prepared:
        """Return the request for a conversation: pure and cheap, the same bytes every time.

        Args:
            conversation: what the model is to answer.
            seed: the job's seed; in the body only where the model has `send_seed`.

        Raises:
            ValueError: a content block that the provider's wire cannot carry.
        """
        ...

    async def send(
        self, prepared: Prepared, begun: Callable[[], None] | None = None
    ) -> Answer | Failure:
        """Make one attempt, under its own deadline; raises nothing but CancelledError.

        `begun` is told once a streamed answer has begun: from then on its prompt can be read from
        the server's cache. A plain call does not know when that is.

        An Answer is HTTP 200 with a whole body, as received; whether the body is a usable reply
        is what `read` says. No value returned holds a request, a key or an unfiltered header.
        """
        ...

    def read(self, body: bytes) -> Reply | Failure:
        """Read an answer's body: a pure function of it, so that journalled turns can be replayed.

        A Failure (`bad_response`, `truncated_response`, or what an error object inside HTTP 200
        means) has neither request id nor headers: the Answer has them.
        """
        ...

    async def aclose(self) -> None:
        """Close connections; the provider is not usable afterwards. Idempotent."""
        ...
