"""What readers yield: one prompt of a set, or why it is none. Pure.

    source ──reader──▶ Draft | Fault ──collect──▶ items ──write──▶ configuration (+ file of items)

A reader never raises for a single prompt: what cannot be imported is a `Fault` with file and line, and
the rest goes on. `ConfigError` is for a source that cannot be read at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Message = Mapping[str, Any]


class Unusable(Exception):  # noqa: N818 -- becomes a Fault where the place is known
    """A prompt cannot be imported; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """What is said to the model, in Messages API form."""

    system: str = ""
    messages: tuple[Message, ...] = ()
    tools: tuple[Mapping[str, Any], ...] = ()
    notes: tuple[str, ...] = ()
    """What was left out or moved."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """One prompt of a set."""

    where: str
    """`file:line`, or the file."""
    name: str
    """What the set calls it; "" for nothing."""
    said: Conversation
    facts: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """`target`, `choices` and `metadata`, where the set has them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What cannot be imported."""

    where: str
    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Fields:
    """Which fields (or files) of a set hold what; empty: found by their usual names."""

    user: tuple[str, ...] = ()
    """Several are joined by an empty line."""
    system: str = ""
    id: str = ""
