"""Where the coordinator leaves its progress for `runner status`: `events/status-<claim>.json`.

Overwritten every few seconds; for people only, nothing is decided by it.
"""

from __future__ import annotations

import re

from runner.core.seams import KeyMissingError, Store
from runner.record.layout import EVENTS

_STATUS = re.compile(rf"{EVENTS}status-(\d{{8}})\.json")


def status_key(claim: int) -> str:
    """Return the key under which the claimer of that number leaves its progress."""
    return f"{EVENTS}status-{claim:08d}.json"


async def latest_status(store: Store) -> bytes | None:
    """Return the newest claimer's progress as it was written, None where there is none.

    Raises:
        StorageError: the store cannot be read.
    """
    keys = [k for k in await store.list(EVENTS) if _STATUS.fullmatch(k)]
    try:
        return await store.get(max(keys)) if keys else None
    except KeyMissingError:
        return None
