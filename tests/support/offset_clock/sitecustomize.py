"""Sets the wall clock of our clock module off, in processes that have this folder on PYTHONPATH.

The file named by RUNNER_TEST_WALL_OFFSET_FILE holds the seconds, and may change at any moment: a clock
that somebody sets.
"""

import os
from pathlib import Path

named = os.environ.get("RUNNER_TEST_WALL_OFFSET_FILE")
if named:
    from runner.core.clock import SystemClock

    true_wall = SystemClock.wall
    told = Path(named)

    def wall(self: SystemClock) -> float:
        """Return Unix seconds as a host with a wrong clock sees them."""
        try:
            offset_s = float(told.read_text() or 0)
        except FileNotFoundError:
            offset_s = 0.0
        return true_wall(self) + offset_s

    SystemClock.wall = wall  # a test's own fault, planted from outside
