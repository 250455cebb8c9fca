"""Seeded schedules: the shape of a small sweep and the faults that meet it. Plain data, printable.

A schedule of a seed is always the same, so a failing seed is all that a report needs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from random import Random

from runner.dispatch.terms import DISK_PATIENCE_S


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing that goes wrong."""

    at: float
    """Virtual seconds after the start of the sweep."""
    kind: str
    target: str = ""
    """A host, a worker's name, `coordinator`, a model, or nothing."""
    lasts: float = 0.0
    """Seconds until it is mended."""
    amount: float = 0.0
    """A probability or a factor."""

    def __str__(self) -> str:
        parts = [f"{self.at:7.2f}s {self.kind}"]
        parts += [self.target] if self.target else []
        parts += [f"for {self.lasts:.1f}s"] if self.lasts else []
        parts += [f"at {self.amount:.2f}"] if self.amount else []
        return " ".join(parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """The sweep and its cluster."""

    workers: int
    hosts: int
    """Worker i runs on host i modulo this; the coordinator starts on h0."""
    models: int
    conditions: int
    seeds: int
    turns: int
    seed_block: int
    max_in_flight: int
    latency_s: float
    heartbeat_s: float
    lease_ttl_s: float
    seal_rows: int
    seal_age_s: float
    snapshot_every: int
    copy_moves: bool
    shared_journal: bool
    """Journals lie in the sweep directory, seen by all hosts, not on each node's own disk."""
    bad_requests: float
    deadly_jobs: int
    real_parquet: bool
    """Parts are real Parquet; else a faster stand-in for its encoder."""
    stage: str = ""
    """Scripted turns; `tools`: an environment answers tool calls; `roles`: another model is asked
    in between, too."""
    rpm: float = 0.0
    """Requests a minute of each quota group; 0.0: no quota."""
    itpm: float = 0.0
    """Input tokens a minute of each quota group; 0.0: no limit. Where there is one, a condition's
    prompts take one token for four characters or for two."""
    otpm: float = 0.0
    """Output tokens a minute of each quota group, of which a call reserves `max_tokens`; 0.0: no limit."""
    shared_quota: bool = False
    """All models draw on one group."""
    storage_patience_s: float = DISK_PATIENCE_S
    hands_in: bool = False
    """Workers hand in the journals of dead processes of their hosts."""
    cache_s: float = 0.0
    """Seconds for which the API caches what a condition's jobs share; 0.0: it does not."""
    budget: float = 0.0
    """Share of what the sweep will cost that its first budget pays for; 0.0: no budget."""

    @property
    def jobs(self) -> int:
        return self.models * self.conditions * self.seeds


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """A shape and its faults, oldest first."""

    seed: int
    profile: str
    shape: Shape
    faults: tuple[Fault, ...]

    def __str__(self) -> str:
        shape = " ".join(f"{k}={v}" for k, v in asdict(self.shape).items())
        lines = [f"seed {self.seed} profile {self.profile}", f"  {shape}"]
        return "\n".join([*lines, *(f"  {fault}" for fault in self.faults)])

    @property
    def calm_after(self) -> float:
        """Return when the last fault is over."""
        return max((f.at + f.lasts for f in self.faults), default=0.0)


Maker = Callable[[Random, Shape, float], Fault]


def _worker(rng: Random, shape: Shape) -> str:
    return f"w{rng.randrange(shape.workers)}"


def _host(rng: Random, shape: Shape) -> str:
    return f"h{rng.randrange(shape.hosts)}"


def _pause_s(rng: Random, shape: Shape) -> float:
    """Around the lease time: half of the pauses are longer."""
    return rng.uniform(0.2, 2.5) * shape.lease_ttl_s


def _kill_worker(rng: Random, shape: Shape, at: float) -> Fault:
    return Fault(at=at, kind="kill", target=_worker(rng, shape))


def _kill_coordinator(rng: Random, shape: Shape, at: float) -> Fault:
    return Fault(at=at, kind="kill", target="coordinator")


def _kill_all(rng: Random, shape: Shape, at: float) -> Fault:
    return Fault(at=at, kind="kill-all", lasts=rng.uniform(0.5, 20))


def _crash_host(rng: Random, shape: Shape, at: float) -> Fault:
    return Fault(at=at, kind="crash-host", target=_host(rng, shape), lasts=rng.uniform(2, 30))


def _lose_host(rng: Random, shape: Shape, at: float) -> Fault:
    target = f"h{rng.randrange(1, shape.hosts)}" if shape.hosts > 1 else "h0"
    kind = "lose-host" if shape.hosts > 1 else "crash-host"
    return Fault(at=at, kind=kind, target=target, lasts=5.0 if kind == "crash-host" else 0.0)


def _stop_worker(rng: Random, shape: Shape, at: float) -> Fault:
    return Fault(at=at, kind="stop", target=_worker(rng, shape), lasts=_pause_s(rng, shape))


def _stop_coordinator(rng: Random, shape: Shape, at: float) -> Fault:
    return Fault(at=at, kind="stop", target="coordinator", lasts=_pause_s(rng, shape))


def _suspend_host(rng: Random, shape: Shape, at: float) -> Fault:
    return Fault(at=at, kind="suspend", target=_host(rng, shape), lasts=_pause_s(rng, shape))


def _partition(rng: Random, shape: Shape, at: float) -> Fault:
    kind = rng.choice(("cut-to", "cut-from", "cut-both"))
    return Fault(at=at, kind=kind, target=_host(rng, shape), lasts=_pause_s(rng, shape))


def _lossy(rng: Random, shape: Shape, at: float) -> Fault:
    kind = rng.choice(("lose-requests", "lose-replies", "double", "late"))
    amount = rng.choice((0.1, 0.3, 0.6))
    return Fault(at=at, kind=kind, lasts=rng.uniform(3, 40), amount=amount)


def _store_errors(rng: Random, shape: Shape, at: float) -> Fault:
    kind = rng.choice(("store-before", "store-after", "store-late"))
    amount = rng.choice((0.05, 0.2, 0.5))
    return Fault(at=at, kind=kind, lasts=rng.uniform(1, 15), amount=amount)


def _store_trouble(rng: Random, shape: Shape, at: float) -> Fault:
    kind = rng.choice(("store-full", "store-slow", "store-cut"))
    target = _host(rng, shape) if kind == "store-cut" else ""
    amount = rng.choice((20.0, 200.0)) if kind == "store-slow" else 0.0
    return Fault(at=at, kind=kind, target=target, lasts=rng.uniform(1, 12), amount=amount)


def _disk_trouble(rng: Random, shape: Shape, at: float) -> Fault:
    kind = rng.choice(("disk-full", "disk-short", "disk-sync", "disk-slow"))
    amount = {"disk-short": 0.3, "disk-sync": 0.3, "disk-slow": 200.0}.get(kind, 0.0)
    return Fault(
        at=at, kind=kind, target=_host(rng, shape), lasts=rng.uniform(1, 12), amount=amount
    )


def _api_fault(rng: Random, shape: Shape, at: float) -> Fault:
    kind = rng.choice(
        (
            "api-rate_limited",
            "api-overloaded",
            "api-server_error",
            "api-connection",
            "api-connection-paid",
            "api-timeout",
            "api-timeout-paid",
            "api-truncated_response",
        )
    )
    target = f"m{rng.randrange(shape.models)}" if rng.random() < 0.7 else ""
    return Fault(
        at=at, kind=kind, target=target, lasts=rng.uniform(1, 20), amount=rng.choice((0.2, 0.6))
    )


def _api_cut(rng: Random, shape: Shape, at: float) -> Fault:
    return Fault(at=at, kind="api-cut", target=_host(rng, shape), lasts=rng.uniform(1, 15))


def _rival(rng: Random, shape: Shape, at: float) -> Fault:
    return Fault(at=at, kind="rival", target=_host(rng, shape), amount=float(rng.random() < 0.4))


def _drain_worker(rng: Random, shape: Shape, at: float) -> Fault:
    return Fault(at=at, kind="drain", target=_worker(rng, shape), amount=rng.uniform(0.5, 20))


MAKERS: dict[str, tuple[Maker, ...]] = {
    "calm": (),
    "kills": (_kill_worker, _kill_worker, _kill_coordinator, _kill_all),
    "hosts": (_crash_host, _lose_host, _kill_worker, _kill_coordinator),
    "pauses": (_stop_worker, _stop_worker, _stop_coordinator, _suspend_host),
    "partitions": (_partition, _partition, _lossy, _kill_worker),
    "messages": (_lossy, _lossy, _lossy, _kill_worker, _kill_coordinator),
    "storage": (_store_errors, _store_errors, _store_trouble, _disk_trouble, _kill_worker),
    "rivals": (_rival, _rival, _stop_coordinator, _kill_coordinator, _partition, _store_errors),
    "api": (_api_fault, _api_fault, _api_cut, _kill_worker, _drain_worker),
    "mixed": (
        _kill_worker,
        _kill_coordinator,
        _kill_all,
        _crash_host,
        _lose_host,
        _stop_worker,
        _stop_coordinator,
        _suspend_host,
        _partition,
        _lossy,
        _store_errors,
        _store_trouble,
        _disk_trouble,
        _api_fault,
        _api_cut,
        _rival,
        _drain_worker,
    ),
}
WEIGHTS = {"calm": 1, "mixed": 8}


def shape_of(rng: Random) -> Shape:
    """Draw a sweep of 12–60 jobs on a cluster of 1–3 hosts."""
    models = rng.choice((1, 1, 2, 3))
    conditions = rng.choice((2, 3, 4))
    most = 60 // (models * conditions)
    lease_ttl_s = rng.choice((4.0, 6.0, 10.0))
    hosts = rng.choice((1, 2, 2, 3))
    shared_journal = rng.random() < 0.5
    return Shape(
        workers=rng.choice((2, 2, 3, 4)),
        hosts=hosts,
        models=models,
        conditions=conditions,
        seeds=rng.randint(min(4, most), most),
        turns=rng.choice((1, 1, 2, 3)),
        seed_block=rng.choice((3, 25)),
        max_in_flight=rng.choice((2, 4, 8)),
        latency_s=rng.choice((0.5, 1.5, 4.0)),
        heartbeat_s=1.0,
        lease_ttl_s=lease_ttl_s,
        seal_rows=rng.choice((3, 10, 1000)),
        seal_age_s=rng.choice((2.0, 5.0)),
        snapshot_every=rng.choice((3, 8, 64)),
        copy_moves=rng.random() < 0.4,
        shared_journal=shared_journal,
        bad_requests=rng.choice((0.0, 0.05)),
        # Whose worker dies on a host whose journals nobody reads comes under no suspicion.
        deadly_jobs=int(rng.random() < 0.06 and (shared_journal or hosts == 1)),
        real_parquet=rng.random() < 0.1,
    )


def schedule_of(seed: int) -> Schedule:
    """Return the schedule of a seed."""
    rng = Random(f"schedule {seed}")
    profiles = list(MAKERS)
    weights = [WEIGHTS.get(p, 2) for p in profiles]
    profile = rng.choices(profiles, weights)[0]
    shape = shape_of(rng)
    makers = MAKERS[profile]
    # About as long as the sweep takes undisturbed, start-up included.
    rounds = shape.jobs * shape.turns / (shape.max_in_flight * shape.models)
    span = 3 + rounds * shape.latency_s
    count = rng.choice((1, 2, 3, 4, 6)) if makers else 0
    faults = []
    for _ in range(count):
        at = rng.uniform(0.2, span * 1.2 + 2)
        if faults and rng.random() < 0.4:  # bunched: what interacts is close together
            at = max(0.2, faults[-1].at + rng.uniform(-1, 4))
        faults.append(rng.choice(makers)(rng, shape, at))
    stages = Random(f"stage {seed}")  # a draw of its own: the rest of a schedule stays as it was
    shape = replace(shape, stage=stages.choice(("", "", "", "tools", "roles")))
    if shape.stage:
        shape = replace(shape, turns=stages.choice((2, 4, 6)))
    quota = Random(f"quota {seed}")  # drawn apart: schedules stay what they were
    if quota.random() < 0.4:
        rpm = quota.choice((120.0, 300.0, 900.0))
        shape = replace(shape, rpm=rpm, shared_quota=quota.random() < 0.5)
    tokens = Random(f"tokens {seed}")  # likewise
    if tokens.random() < 0.25 and shape.turns == 1 and not shape.stage:
        shape = replace(shape, itpm=tokens.choice((3000.0, 9000.0, 27_000.0)))
    output = Random(f"output {seed}")  # likewise
    if output.random() < 0.2 and not shape.itpm:
        shape = replace(shape, otpm=output.choice((600.0, 1800.0, 5400.0)))
    if shape.hosts > 1 and not shape.shared_journal:
        shape = replace(shape, hands_in=Random(f"hand in {seed}").random() < 0.6)
    budget = Random(f"budget {seed}")  # likewise
    if budget.random() < 0.3:
        shape = replace(shape, budget=budget.choice((0.2, 0.5, 0.8)))
    if profile == "calm" and shape.deadly_jobs:
        shape = replace(shape, deadly_jobs=0)
    return Schedule(
        seed=seed,
        profile=profile,
        shape=shape,
        faults=tuple(sorted(faults, key=lambda f: f.at)),
    )
