"""A seeded campaign of faults against real sweeps on a real Ray of two raylets.

    .venv/bin/python -m tests.chaos.campaign --faults 200            # make chaos FAULTS=200
    .venv/bin/python -m tests.chaos.campaign --seed 7 --only 3       # one round of a campaign again

Rounds of a few faults each, drawn from the seed alone: what, when (after how many calls) and for how
long. After each round: every planned job exactly once by a plain glob that looked all the while, no
job lost, calls repeated within what the faults allow (counted at the server), `runner verify` clean,
nothing left running. One raylet's hosts have a wall clock that is an hour off. A round that fails is
printed with the command that runs it again; moments differ by milliseconds, the order does not.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.support.cli_sweep import KEY, CliSweep
from tests.support.ray_head import RayHead, RayNode
from tests.support.standin import StandIn
from tests.support.watcher import GlobWatcher

JOBS = 1200
WORKERS = 2
FAULTS_A_ROUND = 5
KINDS = {
    "worker": 10,
    "pause": 2,
    "coordinator": 2,
    "driver": 2,
    "raylet": 1,
    "everything": 1,
    "head": 1,
}
"""Kind to weight. All but `worker` and `pause` are faults of Ray's own processes or of the driver."""
OFFSET = {
    "PYTHONPATH": str(Path(__file__).parents[1] / "support" / "offset_clock"),
    "RUNNER_TEST_WALL_OFFSET_S": "3600",
}


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong."""

    kind: str
    after: int
    """Calls since the last fault, or since the round's start."""
    for_s: float
    """Of a pause: some below the lease time of 3 s, some beyond."""


def schedule(seed: int, number: int) -> list[Fault]:
    """Return the faults of one round."""
    rng = random.Random(f"{seed}/{number}")
    kinds = rng.choices(list(KINDS), list(KINDS.values()), k=FAULTS_A_ROUND)
    most = JOBS // (FAULTS_A_ROUND + 2)
    return [Fault(kind, rng.randint(10, most), rng.uniform(1.0, 7.0)) for kind in kinds]


class Lab:
    """A head, a node with a wrong clock, and a model API; any of the first two may be lost."""

    def __init__(self) -> None:
        """Start nothing yet."""
        self._stack = contextlib.ExitStack()
        self._rays = contextlib.ExitStack()
        self.head: RayHead
        self.node: RayNode
        self.server: StandIn

    def __enter__(self) -> Lab:
        self.server = self._stack.enter_context(StandIn(latency_s=0.1, answer_bytes=500))
        self.new_head()
        return self

    def __exit__(self, *_: object) -> None:
        self._rays.close()
        self._stack.close()

    def new_head(self) -> None:
        """Start a cluster anew; what there was is gone."""
        self._rays.close()
        self.head = self._rays.enter_context(RayHead(cpus=1, RUNNER_TEST_KEY=KEY))
        self.new_node()

    def new_node(self) -> None:
        """Give the cluster its second node."""
        self.node = self._rays.enter_context(
            RayNode(self.head, "second", RUNNER_TEST_KEY=KEY, **OFFSET)
        )

    @property
    def placement(self) -> list[str]:
        """Where a sweep runs now."""
        return ["--address", self.head.address, "--workers", str(WORKERS)]


class Round:
    """One sweep and its faults."""

    def __init__(self, lab: Lab, sweep: CliSweep) -> None:
        """Take a sweep that has not begun."""
        self.lab = lab
        self.sweep = sweep
        self.allowed = 0
        """Calls that may be repeated after all faults so far."""
        self._session = sweep.start()
        self._strike: dict[str, Callable[[Fault], None]] = {
            "worker": self._worker,
            "pause": self._pause,
            "coordinator": self._coordinator,
            "driver": self._driver,
            "raylet": self._raylet,
            "everything": self._everything,
            "head": self._head,
        }

    def run(self, faults: list[Fault]) -> None:
        """Let everything happen, and let the sweep end."""
        for fault in faults:
            target = self.lab.server.stats()["total"] + fault.after
            self._until(lambda target=target: self.lab.server.stats()["total"] >= target)
            if self._session.poll() is None:
                self._strike[fault.kind](fault)
        self.sweep.hurry()
        self._until(lambda: False)

    def _until(self, condition: Callable[[], bool]) -> None:
        """Wait for a condition or for the sweep's end; start it again where it died."""
        deadline = time.monotonic() + 180
        while not condition():
            assert time.monotonic() < deadline, f"took too long:\n{self.sweep.screen[-3000:]}"
            code = self._session.poll()
            if code == 0:
                return
            if code is not None:
                self._session = self.sweep.start("--take-over")
            time.sleep(0.05)

    def _worker(self, _: Fault) -> None:
        self._kill_one(self.sweep.workers())

    def _coordinator(self, _: Fault) -> None:
        self._kill_one([self.sweep.coordinator()], flying=0)

    def _driver(self, _: Fault) -> None:
        os.kill(self._session.pid, signal.SIGKILL)
        self._session.wait()
        self.allowed += self.sweep.in_flight  # its workers end with it, in order or not

    def _pause(self, fault: Fault) -> None:
        pids = self.sweep.workers()
        if pids:
            with _stopped(pids[0]):
                time.sleep(fault.for_s)
            self.allowed += self.sweep.in_flight

    def _raylet(self, _: Fault) -> None:
        self.lab.node.kill()
        self.allowed += self.sweep.in_flight
        self.lab.new_node()

    def _everything(self, _: Fault) -> None:
        self.sweep.kill_all()
        self.allowed += self.sweep.in_flight

    def _head(self, _: Fault) -> None:
        self.lab.head.kill()
        self.allowed += self.sweep.in_flight
        os.kill(self._session.pid, signal.SIGKILL)
        self._session.wait()
        self.lab.new_head()
        self.sweep.move(self.lab.placement)

    def _kill_one(self, pids: list[int], flying: int | None = None) -> None:
        if pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pids[0], signal.SIGKILL)
            self.allowed += self.sweep.in_flight if flying is None else flying


@contextlib.contextmanager
def _stopped(pid: int) -> Iterator[None]:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


def run_round(lab: Lab, faults: list[Fault], folder: Path) -> int:
    """Run one sweep through its faults and look at what is left; returns the repeated calls.

    Raises:
        AssertionError: something that must hold does not.
    """
    lab.server.configure(latency_s=0.1, answer_bytes=500)
    lab.server.reset()
    with (
        CliSweep(folder, lab.server, lab.placement, jobs=JOBS) as sweep,
        GlobWatcher(sweep.directory) as watcher,
    ):
        found = Round(lab, sweep)
        found.run(faults)
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
    return repeated


def campaign(seed: int, faults: int, only: int | None = None) -> int:
    """Run rounds until so many faults have struck; returns how many rounds failed."""
    rounds = [only] if only is not None else list(range(-(-faults // FAULTS_A_ROUND)))
    struck: Counter[str] = Counter()
    failed = repeated = 0
    with Lab() as lab:
        for number in rounds:
            planned = schedule(seed, number)
            kinds = ", ".join(f.kind for f in planned)
            began = time.monotonic()
            with tempfile.TemporaryDirectory(prefix="chaos-") as folder:
                try:
                    again = run_round(lab, planned, Path(folder))
                except AssertionError as error:
                    failed += 1
                    print(f"round {number} FAILED ({kinds}): {error}", flush=True)
                    print(f"again: python -m tests.chaos.campaign --seed {seed} --only {number}")
                    lab.new_head()
                    continue
            struck.update(f.kind for f in planned)
            repeated += again
            took = time.monotonic() - began
            print(f"round {number}: {kinds}; {again} calls repeated, {took:.0f} s", flush=True)
    total = ", ".join(f"{kind} {n}" for kind, n in struck.most_common())
    print(
        f"{struck.total()} faults survived in {len(rounds) - failed} rounds of {JOBS} jobs ({total}); "
        f"{repeated} calls repeated, 0 rows lost, 0 twice; {failed} rounds failed"
    )
    return failed


def main() -> None:
    """Run a campaign."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.campaign", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--faults", type=int, default=200)
    parser.add_argument("--only", type=int, metavar="ROUND", help="this round alone")
    options = parser.parse_args()
    sys.exit(1 if campaign(options.seed, options.faults, options.only) else 0)


if __name__ == "__main__":
    main()
