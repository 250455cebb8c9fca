"""A large sweep from two small ones: proportional samples of the plan, and a line through them. Pure.

A sweep of up to `WHOLE_CALLS` calls is rehearsed whole, event by event. Of a larger one two samples
are, of n and of 2n jobs, and every amount is taken as a line in the number of jobs:

    x(N) = x(2n) + (x(2n) − x(n)) · (N − 2n) / n

(of the end of a model: with the times at which nine of ten answers had come, over 0.9 · n).

What is paid once (ramping up, the credit of full buckets, the tail) is in both samples and falls
out of the difference; what goes on for as long as there are jobs is in the difference alone. Each
model is scaled by itself and has the same share of both samples, so that models that share a quota
or end early do so in the sample too. Samples take whole seed blocks of cells spread evenly over the
sizes of their prompts, and lengths of answers are stratified draws (`server.py`), so that means are
those of the sweep. n grows until the smaller sample lasts `LEAST_S`, or has `MOST_CALLS`.

Its error, measured against whole rehearsals (`make bench ARGS="-k rehearse"`), stands in
docs/rehearse.md. It does not see what changes only later than the sample: steps of a server's
limits, storms, or caches that outlive a round over all cells of a small sample only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from runner.core.seeds import SeedSet
from runner.plan.cells import Cell, Plan
from runner.rehearse.outcome import GroupOutcome, ModelOutcome, Outcome, Phase, rehearsed
from runner.rehearse.scene import Scene, with_seeds

WHOLE_CALLS = 24_000
LEAST_CALLS = 6_000
MOST_CALLS = 16_000
"""Of the smaller sample, both."""
LEAST_S = 90.0
START_S = 60.0
"""What happens before is taken to happen once."""
DONE = 0.9
FEW_JOBS = 100
"""A model's jobs up to here are rehearsed whole."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How large the smaller sample is; None: rehearse the whole plan."""

    jobs: int | None


def rehearse(scene: Scene, sampling: Sampling | None = None) -> tuple[Outcome, Sampling]:
    """Rehearse a scene of any size.

    Args:
        scene: what is rehearsed.
        sampling: of an earlier rehearsal, to be compared with it; None: as large as is needed.

    Returns:
        The outcome for the whole plan, and how it was sampled.

    Raises:
        EndlessError: the sweep would not end.
    """
    plan = scene.plan
    if sampling is not None:
        return _with(scene, sampling), sampling
    calls = sum(len(c.seeds) * scene.shape(c.number).all_calls for c in plan.cells)
    if calls <= WHOLE_CALLS:
        whole = Sampling(jobs=None)
        return _with(scene, whole), whole
    per_job = calls / plan.jobs
    jobs = max(1, round(LEAST_CALLS / per_job))
    most = max(1, round(MOST_CALLS / per_job))
    while True:
        small = rehearsed(replace(scene, plan=thinned(plan, jobs, scene.shape)))
        if small.duration_s >= LEAST_S or jobs >= most or 4 * jobs >= plan.jobs:
            break
        grow = LEAST_S / max(small.duration_s, 1.0) * 1.1
        jobs = min(round(jobs * max(1.5, min(grow, 8.0))), most)
    return _with(scene, Sampling(jobs=jobs), small), Sampling(jobs=jobs)


def _with(scene: Scene, sampling: Sampling, small: Outcome | None = None) -> Outcome:
    if sampling.jobs is None or 2 * sampling.jobs >= scene.plan.jobs:
        return rehearsed(scene)

    def sample(jobs: int) -> Outcome:
        return rehearsed(replace(scene, plan=thinned(scene.plan, jobs, scene.shape)))

    jobs = {m: sum(len(c.seeds) for c in scene.plan.of_model(m)) for m in scene.plan.models}
    return stretched(small or sample(sampling.jobs), sample(2 * sampling.jobs), jobs)


# -- samples -----------------------------------------------------------------------------------


def thinned(plan: Plan, jobs: int, shape: Callable[[int], object]) -> Plan:
    """Return a plan of about so many jobs that is like a whole one.

    Args:
        plan: the whole.
        jobs: wanted.
        shape: cell number to what its calls are like; has `input_tokens`.
    """
    share = jobs / plan.jobs
    seeds: dict[int, SeedSet] = {}
    for model in plan.models:
        cells = plan.of_model(model)
        total = sum(len(c.seeds) for c in cells)
        wanted = max(min(total, FEW_JOBS), round(total * share))
        seeds |= _spread(cells, wanted, total, plan.seed_block, shape)
    return with_seeds(plan, seeds)


def _spread(
    cells: tuple[Cell, ...],
    wanted: int,
    total: int,
    block: int,
    shape: Callable[[int], object],
) -> dict[int, SeedSet]:
    """Take whole blocks, evenly spaced in the row of all blocks sorted by the size of prompts."""
    if wanted >= total:
        return {c.number: c.seeds for c in cells}
    ordered = sorted(cells, key=lambda c: (_size(shape(c.number)), c.number))
    blocks = [-(-len(c.seeds) // block) for c in ordered]
    step = sum(blocks) / max(1, round(wanted * sum(blocks) / total))
    found: dict[int, SeedSet] = {}
    passed, following = 0.0, step / 2
    for cell, count in zip(ordered, blocks, strict=True):
        passed += count
        taken = 0
        while following < passed:
            taken += 1
            following += step
        if taken:
            found[cell.number] = _first(cell.seeds, taken * block)
    return found


def _size(shape: object) -> float:
    return float(getattr(shape, "input_tokens", 0.0))


def _first(seeds: SeedSet, count: int) -> SeedSet:
    ranges: list[tuple[int, int]] = []
    for start, stop in seeds.ranges:
        if count <= 0:
            break
        ranges.append((start, min(stop, start + count)))
        count -= stop - start
    return SeedSet(tuple(ranges))


# -- the line through two samples --------------------------------------------------------------


def stretched(small: Outcome, large: Outcome, jobs: Mapping[str, int]) -> Outcome:
    """Return the outcome of a whole plan.

    Args:
        small: of n jobs.
        large: of 2n jobs.
        jobs: of the whole plan, by model.
    """
    before = {m.model: m for m in small.models}
    shares = [
        (jobs[m.model] - m.jobs) / (m.jobs - b.jobs)
        for m in large.models
        if (b := before.get(m.model)) and m.model in jobs and m.jobs > b.jobs
    ]
    common = max(shares, default=0.0)
    models: list[ModelOutcome] = []
    for m in large.models:
        b = before.get(m.model, m)
        grown = m.jobs - b.jobs
        # A model without jobs of its own, an actor, grows as the others do.
        further = (jobs[m.model] - m.jobs) / grown if grown > 0 else 0.0 if m.jobs else common
        models.append(_stretched_model(b, m, further, jobs.get(m.model, 0)))
    duration = max((m.ends_s for m in models), default=0.0)
    ends = {m.model: m.ends_s for m in models}
    return Outcome(
        duration_s=duration,
        models=tuple(models),
        groups=tuple(
            _stretched_group(
                next((o for o in small.groups if o.group == g.group), g), g, common, ends
            )
            for g in large.groups
        ),
        simulated_jobs=large.simulated_jobs,
    )


def _stretched_model(
    small: ModelOutcome, large: ModelOutcome, further: float, jobs: int
) -> ModelOutcome:
    def line(a: float, b: float) -> float:
        return max(b, b + (b - a) * further)

    # By the time when most had come: when the last one does is a matter of the longest answer.
    steady_s = max(0.0, large.most_done_s - small.most_done_s)
    cost = None
    if small.cost_usd is not None and large.cost_usd is not None:
        cost = line(small.cost_usd, large.cost_usd)
    return ModelOutcome(
        model=large.model,
        jobs=jobs,
        calls=line(small.calls, large.calls),
        refused=line(small.refused, large.refused),
        overloaded=line(small.overloaded, large.overloaded),
        input_tokens=line(small.input_tokens, large.input_tokens),
        cached_tokens=line(small.cached_tokens, large.cached_tokens),
        written_tokens=line(small.written_tokens, large.written_tokens),
        output_tokens=line(small.output_tokens, large.output_tokens),
        cost_usd=cost,
        ends_s=large.ends_s + steady_s / DONE * further,
        most_done_s=line(small.most_done_s, large.most_done_s),
        most_in_flight=large.most_in_flight,
    )


def _stretched_group(
    small: GroupOutcome, large: GroupOutcome, further: float, ends: Mapping[str, float]
) -> GroupOutcome:
    end = max(ends[m] for m in large.models)
    return replace(
        large,
        refused_by={
            limit: n + max(0.0, n - small.refused_by.get(limit, 0.0)) * further
            for limit, n in large.refused_by.items()
        },
        phases=_stretched_phases(large.phases, end),
    )


def _stretched_phases(phases: tuple[Phase, ...], end: float) -> tuple[Phase, ...]:
    """Keep the lengths of start and tail; all between grows."""
    if not phases or end <= phases[-1].end_s:
        return phases
    last = phases[-1].start_s if phases[-1].what == "tail" else phases[-1].end_s
    tail = phases[-1].end_s - last
    first = min(START_S, last / 3)
    scale = (end - tail - first) / max(last - first, 1e-9)

    def moved(at: float) -> float:
        if at <= first:
            return at
        return end - tail + (at - last) if at >= last else first + (at - first) * scale

    return tuple(Phase(start_s=moved(p.start_s), end_s=moved(p.end_s), what=p.what) for p in phases)
