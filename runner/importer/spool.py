"""The prompts of a set while it is read: in memory while they are few, else in a temporary file.

So a set may be larger than memory. What stays in memory of each prompt is its name and a digest (`collect`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from tempfile import SpooledTemporaryFile
from typing import Any, Self

import orjson

from runner.core.errors import StorageError

IN_MEMORY = 32_000_000
"""Bytes."""


class Spool:
    """Prompts in the order in which they were put in; a context manager, which deletes them."""

    def __init__(self, in_memory: int = IN_MEMORY) -> None:
        """Begin empty; `in_memory` is how many bytes are kept without a file."""
        self._lines = SpooledTemporaryFile[bytes](max_size=in_memory)
        self._count = 0
        self.size = 0
        """Bytes of all, as JSON lines."""

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Delete what was put in."""
        self._lines.close()

    def __len__(self) -> int:
        """Return how many there are."""
        return self._count

    def append(self, item: Mapping[str, Any]) -> None:
        """Put one in.

        Raises:
            StorageError: the disk of temporary files is full, or fails.
        """
        line = orjson.dumps(item) + b"\n"
        try:
            self._lines.write(line)
        except OSError as error:
            msg = (
                f"the folder of temporary files: cannot be written ({error.strerror or error}). "
                "A set of this size needs as much room there again: name another one by TMPDIR."
            )
            raise StorageError(msg) from error
        self._count += 1
        self.size += len(line)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Yield all of them from the first; nothing may be put in meanwhile."""
        self._lines.seek(0)
        for line in self._lines:
            yield orjson.loads(line)
