"""What goes wrong in a campaign, and when: drawn from a seed, the same whenever it is drawn. Pure."""

from __future__ import annotations

import random
from dataclasses import dataclass

JOBS = 1200
FAULTS_A_ROUND = 5
ON_RAY = {"coordinator", "driver", "raylet", "machine", "head", "cut", "deaf", "mute", "slow"}
"""Kinds that strike Ray's own processes, the driver, or the links between Ray's nodes."""
EVERYWHERE = {
    "worker": 9,  # kill -9
    "pause": 2,  # SIGSTOP, and SIGCONT later
    "clock": 2,  # a machine's wall clock jumps
    "coordinator": 2,
    "driver": 2,
    "everything": 1,  # driver, coordinator and workers with one blow
    "raylet": 1,
    "machine": 1,  # a power cut
    "head": 1,  # Ray's head and the driver; the old workers find no coordinator any more
    "cut": 1,  # a worker's machine: nothing passes, either way
    "mute": 1,  # it is not heard by the coordinator's machine
    "deaf": 1,  # it does not hear it
    "slow": 1,  # 256 kilobits a second to it
}
"""Kind to weight, in sweeps of a shared folder."""
ON_STORE = {
    "store": 4,  # the S3 server, kill -9, started again later
    "full": 3,  # the disk of a worker's machine, where its journal lies
}
"""What comes on top in sweeps of a bucket."""
EVERY_STORE = 3
"""Every third round is a sweep of a bucket."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong."""

    kind: str
    after: int
    """Calls since the last fault, or since the round's start."""
    for_s: float
    """Of what ends by itself: some below the lease time of 3 s, some beyond. Others may strike
    meanwhile."""
    side: int
    """0 or 1: which of the two machines with workers."""


def on_store(number: int) -> bool:
    """Return whether a round's sweep lies in a bucket."""
    return number % EVERY_STORE == EVERY_STORE - 1


def schedule(seed: int, number: int) -> list[Fault]:
    """Return the faults of one round."""
    rng = random.Random(f"{seed}/{number}")
    weights = EVERYWHERE | (ON_STORE if on_store(number) else {})
    kinds = rng.choices(list(weights), list(weights.values()), k=FAULTS_A_ROUND)
    most = JOBS // (FAULTS_A_ROUND + 2)
    return [Fault(k, rng.randint(10, most), rng.uniform(1.0, 8.0), rng.randrange(2)) for k in kinds]
