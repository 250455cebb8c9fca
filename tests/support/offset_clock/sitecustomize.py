"""Sets the wall clock of our clock module off, in processes that have this folder on PYTHONPATH."""

import os

offset_s = float(os.environ.get("RUNNER_TEST_WALL_OFFSET_S", "0"))
if offset_s:
    from runner.core.clock import SystemClock

    true_wall = SystemClock.wall

    def wall(self: SystemClock) -> float:
        """Return Unix seconds as a host with a wrong clock sees them."""
        return true_wall(self) + offset_s

    SystemClock.wall = wall  # a test's own fault, planted from outside
