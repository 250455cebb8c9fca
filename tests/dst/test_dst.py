"""The whole engine under seeded schedules of faults, and planted faults that it must show.

Each chunk runs in a process of its own with a fixed hash seed, so that a printed seed replays. How
many schedules: RUNNER_DST_SCHEDULES (`make dst N=20000`).
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.dst.mutants import MUTANTS

pytestmark = pytest.mark.dst

ROOT = Path(__file__).parents[2]
SCHEDULES = int(os.environ.get("RUNNER_DST_SCHEDULES") or 2000)
CHUNK = 50
FOUND = (
    *(189, 10284, 10797, 11616, 11729, 13008, 13960, 15341, 18791, 20639),
    *(21215, 21360, 23693, 25014, 25800, 25854, 26667),
)
"""Seeds beyond those of every run that showed a fault of the engine once, or of the oracle."""
MUTANT_SCHEDULES = 150
"""A mutant that so many schedules do not show would hide in a change of the engine as well."""


def dst(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tests.dst.run", *map(str, arguments)],
        cwd=ROOT,
        env=os.environ | {"PYTHONHASHSEED": "0"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.mark.parametrize("first", range(0, SCHEDULES, CHUNK))
def test_every_invariant_holds_under_every_schedule(first):
    done = dst("--first", first, "--count", min(CHUNK, SCHEDULES - first))
    print(done.stdout)
    assert done.returncode == 0, done.stdout[-6000:]
    assert f"{min(CHUNK, SCHEDULES - first)} schedules, 0 failed" in done.stdout


def test_every_invariant_holds_where_faults_meet():
    count = SCHEDULES // 40
    done = dst("--focus", "--count", count)
    print(done.stdout)
    assert done.returncode == 0, done.stdout[-6000:]
    assert f"{count} schedules, 0 failed" in done.stdout


def test_seeds_that_showed_a_fault_once_show_none():
    done = dst("--seeds", *FOUND, "--keep-going")
    print(done.stdout)
    assert done.returncode == 0, done.stdout[-6000:]
    assert f"{len(FOUND)} schedules, 0 failed" in done.stdout


@pytest.mark.parametrize("name", MUTANTS)
def test_a_planted_fault_is_caught(name):
    done = dst("--mutant", name, "--count", MUTANT_SCHEDULES)
    print(done.stdout)
    caught = re.search(r"^  (\w+): ", done.stdout, re.MULTILINE)
    assert done.returncode == 1, f"{MUTANTS[name].what}: not caught"
    assert caught is not None, done.stdout[-6000:]
    assert caught[1] == "ViolationError", done.stdout[-6000:]


def test_a_seed_replays_exactly():
    runs = [dst("--seed", 39, "--trace").stdout.rpartition("schedules, ")[0] for _ in range(2)]
    assert runs[0] == runs[1]
    assert "FAULT" in runs[0]
    assert "fingerprint" in runs[0]
