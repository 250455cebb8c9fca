"""What a rehearsal found: one value per model and per quota group, and sums over them. Pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from runner.limits.quota import Meter
from runner.rehearse.measure import most_done_s, smoothed
from runner.rehearse.rehearsal import Rehearsal
from runner.rehearse.scene import Scene

LEAST_PHASE = 0.02
"""Share of the duration below which a phase is not told apart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelOutcome:
    """One model; amounts are floats, since a sample's are scaled."""

    model: str
    jobs: float
    """0 for a model that only plays roles."""
    calls: float
    """Sent, refused ones too."""
    refused: float
    """Of these with a 429."""
    overloaded: float
    input_tokens: float
    """Uncached and not written to a cache."""
    cached_tokens: float
    written_tokens: float
    output_tokens: float
    cost_usd: float | None
    """None: no price is known."""
    ends_s: float
    """When its last call ended."""
    most_done_s: float
    """When nine of ten of its answers had come."""
    most_in_flight: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BucketOutcome:
    """One limit of a quota group."""

    meter: Meter
    limit: float
    """A minute."""
    utilisation: float
    """Used share of the limit, over the time in which work waited and the start was over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """A time in which one thing held a group back."""

    start_s: float
    end_s: float
    what: str
    """A meter, `places` (max_in_flight), `workers` (their processors), `pause` (after a 429),
    `start` (ramping up), `tail` (nothing waits, the last calls run) or `demand` (it would answer
    more than it is asked)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupOutcome:
    """One quota group."""

    group: str
    models: tuple[str, ...]
    buckets: tuple[BucketOutcome, ...]
    refused_by: dict[str, float]
    """429s by the limit that they named."""
    phases: tuple[Phase, ...]

    @property
    def binds(self) -> str:
        """Return what held it back longest while work waited."""
        seconds: dict[str, float] = {}
        for phase in self.phases:
            if phase.what not in {"tail", "demand"}:
                lasted = phase.end_s - phase.start_s
                seconds[phase.what] = seconds.get(phase.what, 0.0) + lasted
        return max(seconds, key=lambda what: seconds[what], default="demand")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """A rehearsed sweep."""

    duration_s: float
    """From the first heartbeat to the end of the last call."""
    models: tuple[ModelOutcome, ...]
    groups: tuple[GroupOutcome, ...]
    simulated_jobs: int
    """Jobs whose every call was simulated; fewer than all: the rest is extrapolated."""

    @property
    def jobs(self) -> float:
        """Return the jobs of all models."""
        return sum(m.jobs for m in self.models)

    @property
    def calls(self) -> float:
        """Return the requests of all models."""
        return sum(m.calls for m in self.models)

    @property
    def refused_share(self) -> float:
        """Return 429s per request."""
        return sum(m.refused for m in self.models) / self.calls if self.calls else 0.0

    @property
    def cost_usd(self) -> float:
        """Return the cost of the models whose price is known."""
        return sum(m.cost_usd or 0.0 for m in self.models)

    @property
    def unpriced(self) -> tuple[str, ...]:
        """Return the models whose price is not known."""
        return tuple(m.model for m in self.models if m.calls and m.cost_usd is None)

    @property
    def slowest(self) -> GroupOutcome:
        """Return the group of the model under test whose last call ends last."""
        ends = {m.model: m.ends_s for m in self.models if m.jobs}
        return max(self.groups, key=lambda g: max(ends.get(m, 0.0) for m in g.models))


def rehearsed(scene: Scene) -> Outcome:
    """Run a scene event by event.

    Raises:
        EndlessError: the sweep would not end.
    """
    run = Rehearsal(scene)
    run.run()
    members: dict[str, list[str]] = {}
    for model, group in run.group_of.items():
        if run.models[model].calls:
            members.setdefault(group, []).append(model)
    models = tuple(
        ModelOutcome(
            model=name,
            jobs=m.jobs,
            calls=m.calls,
            refused=m.refused,
            overloaded=m.overloaded,
            input_tokens=m.input_tokens,
            cached_tokens=m.cached_tokens,
            written_tokens=m.written_tokens,
            output_tokens=m.output_tokens,
            cost_usd=None if m.unpriced else m.cost_usd,
            ends_s=m.ended_at,
            most_done_s=most_done_s(m),
            most_in_flight=m.most_in_flight,
        )
        for name, m in run.models.items()
        if m.calls
    )
    groups = tuple(_group(run, name, tuple(of)) for name, of in members.items())
    return Outcome(
        duration_s=max((m.ends_s for m in models), default=0.0),
        models=models,
        groups=groups,
        simulated_jobs=round(sum(m.jobs for m in models)),
    )


def _group(run: Rehearsal, name: str, models: tuple[str, ...]) -> GroupOutcome:
    measure, config = run.groups[name], run.scene.groups[name]
    end = max(run.models[m].ended_at for m in models)
    refused: Counter[str] = Counter()
    for m in models:
        refused.update(run.models[m].refused_by)
    # The first fifth, a minute at most, is left out: permits ramp up, and full buckets empty.
    busy = max(1, int(measure.busy_until or end))
    start = min(60, busy // 5)
    limits = ((Meter.REQUESTS, config.rpm), (Meter.INPUT, config.itpm), (Meter.OUTPUT, config.otpm))
    return GroupOutcome(
        group=name,
        models=models,
        buckets=tuple(
            BucketOutcome(
                meter=meter,
                limit=limit,
                utilisation=measure.used(meter, start, busy) / (limit / 60 * max(1, busy - start)),
            )
            for meter, limit in limits
            if limit is not None
        ),
        refused_by={limit: float(n) for limit, n in refused.items()},
        phases=tuple(
            Phase(start_s=a, end_s=b, what=what)
            for a, b, what in smoothed(measure.binds, end, max(1.0, LEAST_PHASE * end))
        ),
    )
