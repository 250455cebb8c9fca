"""Which models are called with a stream, and how long a call may last. Pure.

A plain call is silent until its last token is written, so proxies and read timeouts cut long ones;
the Messages API's own client therefore refuses plain calls that may last longer than ten minutes.
A stream sends something (at least a ping) every few seconds. It changes how an answer travels and
nothing else: neither a job's key nor its record shows it.
"""

from __future__ import annotations

from runner.config.schema import ModelConfig, ProviderKind, Streaming

S_PER_TOKEN = 3600 / 128_000
"""The slowest that an answer is expected to be written (anthropic 2.12, `_base_client.py`)."""
PLAIN_AT_MOST = 21_333
"""`max_tokens` of the longest plain call: S_PER_TOKEN times this is 600 s."""


def streams(model: ModelConfig) -> bool:
    """Return whether a model's answers are asked for as a stream."""
    if model.stream is Streaming.auto:
        return model.provider is not ProviderKind.local and model.max_tokens > PLAIN_AT_MOST
    return model.stream is Streaming.always


def longest_call_s(model: ModelConfig) -> float:
    """Return after how many seconds a call of a model has ended one way or the other.

    For a plain call `timeout_s`. A stream may be silent for no longer than that, and may take the
    time that `max_tokens` need at the slowest beside it.
    """
    return model.timeout_s + (S_PER_TOKEN * model.max_tokens if streams(model) else 0.0)
