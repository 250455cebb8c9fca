"""How a model's requests are written and its answers read: the pure half of every provider.

Needs no key and no connection, so that a coordinator can replay journalled answers.
"""

from __future__ import annotations

from runner.config.schema import ModelConfig, ProviderKind
from runner.core.values import Conversation, Failure, Prepared, Reply
from runner.providers.messages_api import encode, payload_of, read_message
from runner.providers.openai_chat import chat_payload, read_chat


class ModelCodec:
    """Writes and reads for one model."""

    __slots__ = ("_model", "_payload", "_read")

    def __init__(self, model: ModelConfig) -> None:
        """Choose the wire by the model's provider; `local` speaks the Messages API."""
        self._model = model
        chat = model.provider is ProviderKind.openai
        self._payload = chat_payload if chat else payload_of
        self._read = read_chat if chat else read_message

    def prepare(self, conversation: Conversation, seed: int) -> Prepared:
        """Return the request for a conversation: the same bytes for the same arguments."""
        model = self._model
        return encode(
            self._payload(
                conversation,
                model=model.model,
                max_tokens=model.max_tokens,
                params=model.params,
                seed=seed if model.send_seed else None,
            )
        )

    def read(self, body: bytes) -> Reply | Failure:
        """Return what a response body says."""
        return self._read(body)
