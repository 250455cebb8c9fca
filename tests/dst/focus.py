"""Seeded schedules about one subject each: several faults close together that meet in the engine.

Schedules of `schedule.py` draw on everything, so that what only three certain faults bring about
comes up once in tens of thousands. These draw on a few makers and on shapes in which they matter.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

from tests.dst import schedule as made
from tests.dst.schedule import Maker, Schedule, shape_of

Draw = Callable[[Random], dict[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Focus:
    """A subject: what goes wrong, and in which shapes."""

    makers: tuple[Maker, ...]
    fields: Draw = field(default=lambda rng: {})


FOCI: dict[str, Focus] = {
    "hand-backs": Focus(
        makers=(
            *(made._drain_worker, made._drain_worker, made._kill_coordinator, made._kill_all),
            *(made._kill_coordinator, made._lose_host, made._crash_host, made._kill_worker),
            *(made._rival, made._stop_worker, made._partition, made._store_errors),
        ),
        fields=lambda rng: {"turns": rng.choice((2, 3, 4)), "shared_journal": rng.random() < 0.2},
    ),
    "long-calls": Focus(
        makers=(
            *(made._api_fault, made._api_fault, made._kill_coordinator, made._partition),
            *(made._stop_worker, made._suspend_host, made._kill_worker, made._rival),
        ),
        fields=lambda rng: {"turns": rng.choice((1, 2))},
    ),
    "late-writes": Focus(
        makers=(
            *(made._store_errors, made._store_errors, made._store_trouble, made._kill_worker),
            *(made._kill_coordinator, made._drain_worker, made._rival, made._stop_coordinator),
        ),
        fields=lambda rng: {"snapshot_every": 3, "seal_rows": 3, "seal_age_s": 2.0},
    ),
    "duels": Focus(
        makers=(
            *(made._rival, made._rival, made._rival, made._kill_worker, made._kill_worker),
            *(made._stop_worker, made._stop_coordinator, made._store_errors, made._partition),
            *(made._kill_coordinator, made._suspend_host),
        ),
    ),
    "prefixes": Focus(  # calls wait for what another worker was to write to a cache
        makers=(
            *(made._kill_worker, made._kill_worker, made._stop_worker, made._partition),
            *(made._kill_coordinator, made._api_fault, made._drain_worker, made._lose_host),
            *(made._stop_coordinator, made._rival),
        ),
        fields=lambda rng: {
            "cache_s": rng.choice((3.0, 20.0, 300.0)),
            "workers": rng.choice((3, 4)),
            "max_in_flight": rng.choice((4, 16)),
            "rpm": rng.choice((0.0, 0.0, 300.0)),
            "turns": rng.choice((1, 2)),
        },
    ),
    "disks": Focus(
        makers=(
            *(made._disk_trouble, made._disk_trouble, made._store_errors, made._store_trouble),
            *(made._crash_host, made._kill_worker, made._kill_coordinator, made._drain_worker),
        ),
    ),
}


def focused_schedule_of(seed: int) -> Schedule:
    """Return the schedule of a seed, which also says its subject."""
    subject = list(FOCI)[seed % len(FOCI)]
    focus = FOCI[subject]
    rng = Random(f"focus {seed}")
    shape = replace(
        shape_of(rng),
        hosts=rng.choice((2, 3)),
        workers=rng.choice((2, 3)),
        turns=rng.choice((1, 2, 3)),
        latency_s=rng.choice((0.5, 1.5)),
        lease_ttl_s=rng.choice((4.0, 6.0)),
        deadly_jobs=0,
        real_parquet=False,
    )
    shape = replace(shape, **focus.fields(rng))
    span = 3 + shape.jobs * shape.turns / (shape.max_in_flight * shape.models) * shape.latency_s
    faults: list[made.Fault] = []
    for _ in range(rng.choice((2, 3, 4, 5, 6))):
        at = rng.uniform(0.5, span * 1.2 + 2)
        if faults and rng.random() < 0.6:
            at = max(0.3, faults[-1].at + rng.uniform(-1, 4))
        faults.append(rng.choice(focus.makers)(rng, shape, at))
    return Schedule(
        seed=seed,
        profile=subject,
        shape=shape,
        faults=tuple(sorted(faults, key=lambda fault: fault.at)),
    )
