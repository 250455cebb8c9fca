"""How a model's requests are written and its answers read: the pure half of every provider.

Needs no key and no connection, so that a coordinator can replay journalled answers.
"""

from __future__ import annotations

from typing import Any

from runner.config.schema import ModelConfig, ProviderKind
from runner.config.streaming import streams
from runner.core.values import Conversation, Failure, Prepared, Reply
from runner.providers.caching import TTL_S, marked, ttl_of
from runner.providers.messages_api import encode, payload_of, read_message
from runner.providers.openai_chat import chat_payload, read_chat


class ModelCodec:
    """Writes and reads for one model."""

    __slots__ = ("_model", "_payload", "_read", "_stream", "_ttl")

    def __init__(self, model: ModelConfig) -> None:
        """Choose the wire by the model's provider; `local` speaks the Messages API."""
        self._model = model
        chat = model.provider is ProviderKind.openai
        self._payload = chat_payload if chat else payload_of
        self._read = read_chat if chat else read_message
        self._stream: dict[str, Any] = {}
        if streams(model):
            self._stream = {"stream": True}
            if chat:
                self._stream["stream_options"] = {"include_usage": True}
        own = model.provider is ProviderKind.anthropic
        self._ttl = ttl_of(model.cache) if own else None

    def prepare(self, conversation: Conversation, seed: int) -> Prepared:
        """Return the request for a conversation: the same bytes for the same arguments."""
        model = self._model
        plain = self._payload(
            conversation,
            model=model.model,
            max_tokens=model.max_tokens,
            params=model.params,
            seed=seed if model.send_seed else None,
        )
        sent = None
        if self._ttl is not None and conversation.shared is not None:
            sent = marked(plain, conversation.shared, self._ttl)
        cache_s = TTL_S[self._ttl] if sent is not None and self._ttl is not None else None
        if sent is None and not self._stream:
            return encode(plain)
        return encode({**(sent or plain), **self._stream}, plain=plain, cache_s=cache_s)

    def read(self, body: bytes) -> Reply | Failure:
        """Return what a response body says."""
        return self._read(body)
