"""Waits at the start of a session for an output store that is away, as a running sweep would.

A store that refuses (credentials, no such bucket, no conditional puts) is told of at once: waiting
would not help. Job systems start sweeps again by themselves; without this, each try of theirs
would be used up within seconds.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from typing import TypeVar

from runner.core.clock import SystemClock
from runner.core.errors import StorageError, StoreAwayError
from runner.core.seams import Clock
from runner.dispatch.patience import while_away
from runner.dispatch.terms import STORE_PATIENCE_S
from runner.observe.console import print_lines

T = TypeVar("T")
LOOK_S = 5.0
"""Between two looks. Each look itself tries for some seconds."""


def _say(line: str) -> None:
    print_lines([line], sys.stderr)


async def when_there(
    work: Callable[[], Awaitable[T]],
    *,
    clock: Clock | None = None,
    say: Callable[[str], None] = _say,
) -> T:
    """Do what needs the store, again and again while that is away.

    Args:
        work: may be done more than once.
        clock: to wait on; None: the system's.
        say: is told once of waiting, and once of the end of it.

    Raises:
        StoreAwayError: it has been away for `STORE_PATIENCE_S`.
    """
    waited = False

    def told(error: StorageError) -> None:
        nonlocal waited
        waited = True
        minutes = f"{STORE_PATIENCE_S / 60:.0f} minutes"
        say(f"{error}. Waiting for it, at most {minutes} (Ctrl-C ends that)")

    done = await while_away(
        work,
        clock or SystemClock(),
        patience_s=STORE_PATIENCE_S,
        every_s=LOOK_S,
        told=told,
        away=StoreAwayError,
    )
    if waited:
        say("the output is there again")
    return done
