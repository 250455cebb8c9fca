"""JSON as bytes that are kept for a while: in memory no larger than they are long. Pure."""

from __future__ import annotations

from collections.abc import Callable

import orjson


def dumps(value: object, default: Callable[[object], object] | None = None) -> bytes:
    """Encode with orjson, into bytes of their own.

    orjson hands out its buffer as it has grown: a text of 8 KB holds 32 or 64 KB, one of 10 bytes
    4 KB (3.13.0, by `malloc_usable_size`). A thousand rows kept like that cost five times their
    size, and the page faults of getting it and giving it back.

    Raises:
        TypeError: what orjson refuses (its JSONEncodeError).
    """
    return bytes(memoryview(orjson.dumps(value, default=default)))
