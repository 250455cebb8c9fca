"""Planted faults of the protocol, to show that the oracle catches each."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def planted(name: str | None) -> Iterator[None]:
    """Run the block with a mutant in place of one function of the engine."""
    yield
