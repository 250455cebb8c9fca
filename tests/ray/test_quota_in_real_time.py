"""A quota in real time: Ray workers against the simulated server, the coordinator killed in between.

The figures themselves, five minutes each, are a bench: `python -m tests.bench.realtime`.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.ray_head import RayHead
from tests.support.timed_sweep import Simulator, TimedSweep, watch

pytestmark = pytest.mark.ray

RPM = 1200
SETTINGS = (
    # A bucket that would let four times the rate pass for a while: nothing but the runner paces.
    f"quota={{rpm: {RPM}, itpm: null, otpm: null, burst_s: 60}}",
    "latency.first_token_s=0.5",
    "latency.tokens_per_s=200",
    "output={mean_tokens: 50, sigma: 0.5}",
)
FOR_S = 18.0


def test_quota_holds_at_the_server_while_the_coordinator_is_killed(
    tmp_path: Path, ray_head: RayHead
) -> None:
    placement = ("--address", ray_head.address, "--workers", "2")
    model = {"quota": {"rpm": RPM, "ramp": {"start": 1.0}}}
    with (
        Simulator(SETTINGS) as simulator,
        TimedSweep(tmp_path, simulator.url, placement, model) as sweep,
        sweep.coordinator_killed(every_s=12.0) as killed,
    ):
        _, samples = watch(simulator, sweep, "requests", for_s=FOR_S, start_within_s=120)
    assert killed
    assert samples.list[-1].refused == 0
    used = samples.list[-1].used
    # A paused machine may use half a second and a heartbeat's way of permits late, never more.
    for window_s in (1.0, 10.0):
        assert samples.most(window_s) <= RPM / 60 * (window_s + 0.5 + 2.0 + 0.3) + 1
    assert used <= RPM / 60 * (FOR_S + 0.5 + 2.0 + 0.3) + 1
    assert used >= 0.3 * RPM / 60 * FOR_S  # it went on after the kill
