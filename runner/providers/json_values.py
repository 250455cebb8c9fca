"""Reading JSON whose shape a server only promises: what is not as expected reads as empty. Pure."""

from __future__ import annotations

from typing import Any, cast


def as_object(value: object) -> dict[str, Any]:
    """Return a JSON object as it is, anything else as an empty one."""
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def as_list(value: object) -> list[Any]:
    """Return a JSON array as it is, anything else as an empty one."""
    return cast("list[Any]", value) if isinstance(value, list) else []


def as_text(value: object) -> str | None:
    """Return a string as it is, anything else as None."""
    return value if isinstance(value, str) else None


def as_count(value: object) -> int:
    """Return a token count; what is no number, or below zero, is 0."""
    return max(0, int(value)) if isinstance(value, int | float) else 0
