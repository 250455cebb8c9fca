"""Pace of Python's cyclic garbage collector while thousands of rollouts are in memory.

A worker makes a few hundred container objects per job, nearly all freed by their reference count.
With the default of one collection per 700 objects the collector walks the same live rollouts, and
now and then all imported modules, over and over: measured as a quarter of the CPU of a job.
"""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Generator

YOUNG = 100_000
"""Net new container objects between two collections: some 20 MB. A sealed part's worth of finished
jobs, which are let go of by their reference counts, has fewer."""
MIDDLE = 20
OLD = 50


@contextlib.contextmanager
def rare_collections() -> Generator[None]:
    """Collect garbage more rarely, and leave what is alive now out of it, until the block ends."""
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(YOUNG, MIDDLE, OLD)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()
