"""How throughput follows the number of Ray workers, at a second a call, against `runner simulate`.

    .venv/bin/python -m tests.bench.scaling            # 1, 2, 4, 8 workers; some five minutes
    .venv/bin/python -m tests.bench.scaling --for-s 60 1 2

Each worker may have `PLACES` calls in flight, so N workers can end N · PLACES calls a second at best.
Counted at the server, after 10 s. The CPU of coordinator and workers is read from /proc; what a
heartbeat costs there is its rate times the figure of `make bench ARGS="-k heartbeats"`.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path

from tests.support.timed_sweep import Simulator, TimedSweep, watch

PLACES = 40
SERVER = (
    "quota={rpm: 10000000, itpm: null, otpm: null}",
    "latency={first_token_s: 1.0, tokens_per_s: 1000000, spread: 0}",
    "output={mean_tokens: 100, sigma: 0}",
)


def _cpu_s(pid: int) -> float:
    """Return the CPU seconds of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure(workers: int, *, for_s: float) -> tuple[float, float]:
    """Return calls a second, and the share of a core that the coordinator took."""
    model = {"quota": {"rpm": 10_000_000}, "max_in_flight": workers * PLACES}
    with (
        tempfile.TemporaryDirectory() as folder,
        Simulator(SERVER) as simulator,
        TimedSweep(Path(folder), simulator.url, ("--workers", str(workers)), model) as sweep,
    ):
        watch(simulator, sweep, "requests", for_s=10.0, start_within_s=120)
        coordinator = sweep.coordinator()
        assert coordinator is not None
        before = _cpu_s(coordinator)
        _, samples = watch(simulator, sweep, "requests", for_s=for_s, start_within_s=120)
        took = _cpu_s(coordinator) - before
        first, last = samples.list[0], samples.list[-1]
    span = last.at - first.at
    return (last.answered - first.answered) / span, took / span


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.scaling", description=__doc__)
    parser.add_argument("workers", nargs="*", type=int, default=[1, 2, 4, 8])
    parser.add_argument("--for-s", type=float, default=30.0)
    options = parser.parse_args()
    print(
        f"{'workers':>7} {'calls/s':>8} {'of N · places':>13} {'of 1 worker × N':>15} {'coordinator':>11}"
    )
    one = 0.0
    for workers in options.workers:
        rate, core = measure(workers, for_s=options.for_s)
        one = one or rate / workers
        print(
            f"{workers:7} {rate:8.1f} {rate / (workers * PLACES):13.3f} "
            f"{rate / (workers * one):15.3f} {core:10.1%}",
            flush=True,
        )


if __name__ == "__main__":
    main()
