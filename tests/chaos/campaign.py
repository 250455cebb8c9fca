"""A seeded campaign of faults against real sweeps, on a Ray of three machines with real links.

    .venv/bin/python -m tests.chaos.campaign --faults 200            # make chaos FAULTS=200
    .venv/bin/python -m tests.chaos.campaign --seed 7 --only 3       # one round of a campaign again

Rounds of a few faults each, drawn from the seed alone (faults.py): what, where, when (after how many
calls) and for how long. After each round: every planned job exactly once by a plain glob that looked all
the while, no job lost, paid calls repeated within what the faults allow (rounds.py; counted at the
server), `runner verify` clean, nothing left running. A round that fails is printed with the command that
runs it again; moments differ by milliseconds, the order does not. Needs root (tests/support/machines.py).
"""

from __future__ import annotations

import argparse
import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

from runner.record.object_store import ObjectStore
from runner.record.place import Place
from tests.chaos.faults import FAULTS_A_ROUND, JOBS, ON_RAY, Fault, on_store, schedule
from tests.chaos.lab import Lab
from tests.chaos.rounds import Round
from tests.support.cli_sweep import CliSweep
from tests.support.watcher import BucketWatcher, GlobWatcher

BUCKET = "s3://sweeps"
ENGINE = {"suspect_deaths": 20}
"""Workers are killed at random here: that a job was there twice says nothing about it."""
LONGER_LEASE = {"lease_ttl_s": 8.0}
"""With a bucket: beside it a dead worker's journal is handed in by its successor, which Ray starts in
some 5 s. The default lease is 18 s."""


def run_round(lab: Lab, faults: list[Fault], folder: Path, *, bucket: bool) -> tuple[int, int]:
    """Run one sweep through its faults and look at what is left.

    Returns the calls that were repeated, and how many might have been.

    Raises:
        AssertionError: something that must hold does not.
    """
    lab.server.configure(latency_s=0.1, answer_bytes=500)
    lab.server.reset()
    lab.clear()
    with ExitStack() as stack:
        sweep = CliSweep(
            folder,
            lab.server,
            lab.placement,
            machine=lab.hub,
            environ=lab.environ,
            journals=lab.journals if bucket else None,
            jobs=JOBS,
            engine=ENGINE | (LONGER_LEASE if bucket else {}),
        )
        stack.enter_context(sweep)
        watcher: GlobWatcher
        if bucket:
            sweep.directory = Place(f"{BUCKET}/{folder.name}")
            watcher = watching = BucketWatcher(str(sweep.directory))
            unsealed = lambda: _unsealed(sweep, watching)  # noqa: E731
        else:
            watcher = GlobWatcher(sweep.directory)
            unsealed = lambda: 0  # noqa: E731  # every journal lies where all read it
        stack.enter_context(watcher)
        stack.callback(lab.bury)
        found = Round(lab, sweep, unsealed)
        found.run(faults)
        lab.bury()
        if bucket:
            asyncio.run(sweep.directory.refresh())
        sweep.check_rows()
        repeated = sweep.check_calls(repeated_at_most=found.allowed)
        verify = [sys.executable, "-m", "runner", "verify", str(sweep.directory)]
        done = subprocess.run(verify, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stdout + done.stderr
        deadline = time.monotonic() + 30
        while sweep.workers():
            assert time.monotonic() < deadline, "a worker is left running"
            time.sleep(0.2)
    assert not watcher.problems, watcher.problems
    assert watcher.rows == sweep.planned
    return repeated, found.allowed


def _unsealed(sweep: CliSweep, watcher: BucketWatcher) -> int:
    """Return the most jobs that can be answered and in no seal at this moment."""
    stats = sweep.server.stats()
    again = sum(n - 1 for turns in stats["conversations"].values() for n in turns.values())
    sealed = watcher.rows + watcher.waiting() - again  # a job may be in two seals by then
    return max(0, len(stats["answered_markers"]) - sealed)


def campaign(seed: int, faults: int, only: int | None = None, start: int = 0) -> int:
    """Run rounds until so many faults have struck; returns how many rounds failed."""
    rounds = range(start, start + -(-faults // FAULTS_A_ROUND)) if only is None else [only]
    struck: Counter[str] = Counter()
    failed = repeated = 0
    with Lab() as lab:
        asyncio.run(ObjectStore(BUCKET).put("made", b""))  # SeaweedFS makes the bucket
        for number in rounds:
            planned = schedule(seed, number)
            kinds = ", ".join(f.kind for f in planned)
            where = "bucket" if on_store(number) else "folder"
            began = time.monotonic()
            with tempfile.TemporaryDirectory(prefix="chaos-") as folder:
                try:
                    again, most = run_round(lab, planned, Path(folder), bucket=on_store(number))
                except Exception as error:  # noqa: BLE001  # whatever it was, the others are run
                    failed += 1
                    what = f"{type(error).__name__}: {error}"
                    print(f"round {number} FAILED ({where}: {kinds}): {what}", flush=True)
                    print(f"again: python -m tests.chaos.campaign --seed {seed} --only {number}")
                    lab.renew()
                    continue
            struck.update(f.kind for f in planned)
            repeated += again
            took = time.monotonic() - began
            print(
                f"round {number} ({where}): {kinds}; {again} calls repeated (bound {most}), "
                f"{took:.0f} s",
                flush=True,
            )
    total = ", ".join(f"{kind} {n}" for kind, n in struck.most_common())
    on_ray = sum(n for kind, n in struck.items() if kind in ON_RAY)
    print(
        f"{struck.total()} faults survived in {len(rounds) - failed} rounds of {JOBS} jobs, "
        f"{on_ray} of them on Ray ({total}); "
        f"{repeated} calls repeated, 0 rows lost, 0 twice; {failed} rounds failed"
    )
    return failed


def main() -> None:
    """Run a campaign."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.campaign", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--faults", type=int, default=200)
    parser.add_argument("--start", type=int, default=0, metavar="ROUND", help="from this round on")
    parser.add_argument("--only", type=int, metavar="ROUND", help="this round alone")
    options = parser.parse_args()
    if os.geteuid() != 0:
        sys.exit("tests.chaos.campaign makes network namespaces: run it as root")
    sys.exit(1 if campaign(options.seed, options.faults, options.only, options.start) else 0)


if __name__ == "__main__":
    main()
