"""The quota figures marked ▲ in real time: Ray with 4 worker processes against `runner simulate`.

    .venv/bin/python -m tests.bench.realtime               # the table; half an hour
    .venv/bin/python -m tests.bench.realtime requests 1    # cases whose name has all these words
    .venv/bin/python -m tests.bench.realtime --for-s 60 …  # shorter

Everything is counted at the server. Measured for 5 minutes after 10 s from the first call (after
60 s where nothing is known). "Worst minute" is an upper bound of the use of any 60 s, from the first
call to the last, as a share of the quota; it includes what a full bucket gives away at the start.
"""

from __future__ import annotations

import argparse
import contextlib
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.timed_sweep import Simulator, TimedSweep, watch

WORKERS = 4
LATENCY = ("latency.first_token_s=1", "latency.tokens_per_s=80")
SHORT = ("output={mean_tokens: 100, sigma: 0.5}",)
LONG = ("output={mean_tokens: 600, sigma: 1}",)
BRIEF = ("output={mean_tokens: 60, sigma: 0.5}",)
BRIEF_LATENCY = ("latency.first_token_s=0.1", "latency.tokens_per_s=120")


@dataclass(frozen=True, kw_only=True)
class RealCase:
    """One row."""

    name: str
    settings: tuple[str, ...]
    quota: Any
    """Of the model in the sweep's configuration."""
    limit: float
    """A minute, of the bucket that binds."""
    bucket: str = "requests"
    output: tuple[str, ...] = SHORT
    latency: tuple[str, ...] = LATENCY
    least: float
    most_refused: float
    start_s: float = 10.0
    kills_every_s: float | None = None


@dataclass(kw_only=True)
class Measured:
    """What a case gave."""

    used: float
    """Share of the limit."""
    refused: float
    worst_minute: float
    calls: int
    killed: int = 0


def cases() -> list[RealCase]:
    """Return the rows of the issue's table that are marked ▲, and one of short answers."""
    found = [
        RealCase(
            name=f"requests bind, burst {burst} s",
            settings=(f"quota={{rpm: 4000, itpm: null, otpm: null, burst_s: {burst}}}",),
            quota={"rpm": 4000},
            limit=4000,
            least=0.985,
            most_refused=0.001,
        )
        for burst in (1, 10, 60)
    ]
    found += [
        RealCase(
            name=f"output tokens bind, burst {burst} s",
            settings=(f"quota={{rpm: 10000, itpm: null, otpm: 2000000, burst_s: {burst}}}",),
            quota={"rpm": 10_000, "otpm": 2_000_000},
            limit=2_000_000,
            bucket="output",
            output=LONG,
            least=0.98 if burst >= 10 else 0.93,
            most_refused=0.002 if burst >= 10 else 0.02,
        )
        for burst in (10, 60, 1)
    ]
    found.append(
        RealCase(
            name="output tokens bind, answers of 0.6 s, burst 10 s",
            settings=("quota={rpm: 10000, itpm: null, otpm: 60000, burst_s: 10}",),
            quota={"rpm": 10_000, "otpm": 60_000},
            limit=60_000,
            bucket="output",
            output=BRIEF,
            latency=BRIEF_LATENCY,
            least=0.98,
            most_refused=0.002,
        )
    )
    found.append(
        RealCase(
            name="unknown quota, no headers, burst 10 s",
            settings=("quota={rpm: 4000, itpm: null, otpm: null, burst_s: 10, headers: false}",),
            quota="auto",
            limit=4000,
            least=0.92,
            most_refused=0.01,
            start_s=60,
        )
    )
    found.append(
        RealCase(
            name="coordinator killed every 20 s, burst 10 s",
            settings=("quota={rpm: 4000, itpm: null, otpm: null, burst_s: 10}",),
            quota={"rpm": 4000},
            limit=4000,
            least=0.90,
            most_refused=0.005,
            kills_every_s=20.0,
        )
    )
    return found


def measure(case: RealCase, *, for_s: float, placement: tuple[str, ...] = ()) -> Measured:
    """Run a case."""
    where = placement or ("--workers", str(WORKERS))
    settings = (*case.settings, *case.latency, *case.output)
    with (
        tempfile.TemporaryDirectory() as folder,
        Simulator(settings) as simulator,
        TimedSweep(Path(folder), simulator.url, where, {"quota": case.quota}) as sweep,
        contextlib.ExitStack() as stack,
    ):
        killed: list[int] = []
        if case.kills_every_s:
            killed = stack.enter_context(sweep.coordinator_killed(case.kills_every_s))
        begun, samples = watch(
            simulator, sweep, case.bucket, for_s=case.start_s + for_s, start_within_s=120
        )
    first = begun + case.start_s
    last = first + for_s
    return Measured(
        used=samples.used_between(first, last) / (case.limit / 60),
        refused=samples.refused_share(first, last),
        worst_minute=samples.most(60.0) / case.limit,
        calls=samples.at(last).answered - samples.at(first).answered,
        killed=len(killed),
    )


def holds(case: RealCase, found: Measured) -> bool:
    """Return whether a row's bounds hold."""
    kept = found.used >= case.least and found.refused <= case.most_refused
    return kept and (case.kills_every_s is None or found.worst_minute <= 1.0)


def line(case: RealCase, found: Measured) -> str:
    """Return a row of the table."""
    extra = f" ({found.killed} kills)" if found.killed else ""
    return (
        f"{case.name:44} {found.used:6.3f} {case.least:7.3f} {found.refused:8.3%}"
        f" {case.most_refused:7.2%} {found.worst_minute:9.3f} {found.calls:8,}"
        f" {'' if holds(case, found) else 'MISSED'}{extra}"
    )


HEAD = f"{'case':44} {'use':>6} {'least':>7} {'429s':>8} {'most':>7} {'worst min':>9} {'calls':>8}"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.realtime", description=__doc__)
    parser.add_argument("words", nargs="*")
    parser.add_argument("--for-s", type=float, default=300.0)
    options = parser.parse_args()
    print(HEAD, flush=True)
    for case in cases():
        if all(word in case.name.replace(",", "").split() for word in options.words):
            print(line(case, measure(case, for_s=options.for_s)), flush=True)


if __name__ == "__main__":
    main()
