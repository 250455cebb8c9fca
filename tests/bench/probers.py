"""Probers side by side: short slices of each in turn, so that a busy machine slows all alike.

CPU per job is a slope: (CPU of a large slice - CPU of a small one) ÷ (difference of their jobs).
What a sweep costs once (reading the manifest, connecting, the last count) falls out of it.
"""

from __future__ import annotations

import contextlib
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.support.standin import StandIn


class Prober:
    """One child process; see `prober.py`."""

    def __init__(self, kind: str, url: str, folder: Path) -> None:
        command = [sys.executable, "-m", "tests.bench.prober", kind, url, str(folder)]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.wall_s = 0.0
        self.peak_mb = 0.0

    def run(self, jobs: int) -> float:
        """Return the CPU seconds of so many jobs."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{jobs}\n")
        self._process.stdin.flush()
        cpu_s, self.wall_s, self.peak_mb = json.loads(self._process.stdout.readline())
        return cpu_s

    def close(self) -> None:
        """End the child."""
        self._process.kill()
        self._process.communicate()


@contextlib.contextmanager
def probers(kinds: Sequence[str], folder: Path) -> Iterator[dict[str, Prober]]:
    """Start the probers and a stand-in; the stand-in keeps to the last processor."""
    with StandIn(count_digests=False) as server:
        os.sched_setaffinity(server.process.pid, {max(os.sched_getaffinity(0))})
        found = {kind: Prober(kind, server.url, folder) for kind in kinds}
        try:
            yield found
        finally:
            for prober in found.values():
                prober.close()


def slopes(found: dict[str, Prober], small: int, large: int, rounds: int) -> dict[str, list[float]]:
    """Return microseconds of CPU per job and round, after one round that is thrown away."""
    out: dict[str, list[float]] = {kind: [] for kind in found}
    for prober in found.values():
        prober.run(small)
    for _ in range(rounds):
        for kind, prober in found.items():
            few = prober.run(small)
            many = prober.run(large)
            out[kind].append((many - few) / (large - small) * 1e6)
    return out


def ratio(candidate: Sequence[float], baseline: Sequence[float]) -> float:
    """Return the median of the ratios of each round."""
    return statistics.median(c / b for c, b in zip(candidate, baseline, strict=True))
