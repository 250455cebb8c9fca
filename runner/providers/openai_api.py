"""Chat completions over plain aiohttp, for any OpenAI-compatible server."""

from __future__ import annotations

from collections.abc import Callable

from runner.config.schema import ModelConfig
from runner.config.streaming import longest_call_s, streams
from runner.core.values import Answer, Conversation, Failure, Prepared, Reply
from runner.providers.codec import ModelCodec
from runner.providers.deadline import Deadlines
from runner.providers.event_stream import ChatAssembler
from runner.providers.headers import Redactor
from runner.providers.wire import Channel, Streamed, network_failure, outcome, timeout_failure

USER_AGENT = "runner"


class OpenAIProvider:
    """One model behind chat completions."""

    def __init__(
        self,
        model: ModelConfig,
        *,
        base_url: str,
        key: str | None,
        proxy: str | None,
        max_body_bytes: int,
    ) -> None:
        """Build the provider; connects to nothing.

        Args:
            model: checked by `open_provider`.
            base_url: without the `/chat/completions`.
            key: sent as a bearer token; None sends no authentication.
            proxy: URL of an HTTP proxy.
            max_body_bytes: larger bodies are not read to their end.
        """
        self._model = model
        self._streams = streams(model)
        self._deadlines = Deadlines(longest_call_s(model))
        self._codec = ModelCodec(model)
        self._redactor = Redactor(key)
        self._headers = {
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            "Content-Type": "application/json",
            "User-Agent": USER_AGENT,
            **model.headers,
        }
        if key is not None:
            self._headers["Authorization"] = f"Bearer {key}"
        self._channel = Channel(
            f"{base_url.rstrip('/')}/chat/completions",
            connections=model.max_in_flight,
            proxy=proxy,
            max_bytes=max_body_bytes,
            headers=self._headers,
        )

    def prepare(self, conversation: Conversation, seed: int) -> Prepared:
        """Return the request; see Provider."""
        return self._codec.prepare(conversation, seed)

    async def send(
        self, prepared: Prepared, begun: Callable[[], None] | None = None
    ) -> Answer | Failure:
        """Make one attempt; see Provider."""
        try:
            with self._deadlines.one():
                if self._streams:
                    how = Streamed(
                        assembler=ChatAssembler(),
                        silence_s=self._model.timeout_s,
                        begun=begun or _unheard,
                    )
                    exchange = await self._channel.stream(self._headers, prepared.body, how)
                else:
                    exchange = await self._channel.post(self._headers, prepared.body)
        except Exception as error:  # noqa: BLE001  # past here failures are values, ours included
            if type(error) is TimeoutError:
                return timeout_failure(self._deadlines.seconds)
            return network_failure(error, self._channel.url, self._redactor)
        return outcome(exchange, self._redactor)

    def read(self, body: bytes) -> Reply | Failure:
        """Read a body; see Provider."""
        return self._codec.read(body)

    async def aclose(self) -> None:
        """Close connections; see Provider."""
        self._deadlines.clear()
        await self._channel.aclose()


def _unheard() -> None:
    """Nobody waits for the beginning of this answer."""
