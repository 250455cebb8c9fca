"""Requests to a running sweep, written by commands, read by its coordinator once a cycle.

They lie in `events/control-<claim>.json`: for the coordinator of that claim alone.
"""

from __future__ import annotations

import orjson

from runner.core.seams import KeyMissingError, Store
from runner.record.layout import EVENTS
from runner.record.manifest import load_state


def control_key(claim: int) -> str:
    """Return the key of the requests to the claimer of that number."""
    return f"{EVENTS}control-{claim:08d}.json"


async def ask_to_stop(store: Store) -> int | None:
    """Ask whoever holds the sweep to stop; returns its claim, None where nobody holds it.

    Raises:
        RecordError: the manifest is damaged.
        StorageError: the store refuses.
    """
    state = await load_state(store)
    if state.last_claim is None or state.released is not None:
        return None
    number = state.last_claim.number
    await store.put(control_key(number), orjson.dumps({"stop": True}))
    return number


async def stop_asked(store: Store, claim: int) -> bool:
    """Return whether the claimer of that number is to stop.

    Raises:
        StorageError: the store cannot be read.
    """
    try:
        return bool(orjson.loads(await store.get(control_key(claim))).get("stop"))
    except (KeyMissingError, ValueError, AttributeError):
        return False
