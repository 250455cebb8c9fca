"""The server of a rehearsal: the buckets of `runner simulate`, without HTTP. Pure.

Lengths of answers are stratified draws: every 512 calls of a model hold one from each 512th of the
distribution, in random order. Sums over a sample are then nearly those of the whole sweep, which is
what a small sample is for; from one call to the next they are as random as ever.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist

import numpy as np

from runner.config.schema import ModelConfig, ProviderKind
from runner.limits.quota import Meter, Reading, Readings
from runner.rehearse.scene import Scene
from runner.simulate.limits import Permit, Quota, Refused

_DRAWS = 512


@dataclass(slots=True, eq=False)
class Admitted:
    """A call that is answered."""

    permits: tuple[tuple[Quota, Permit], ...]
    tokens: int
    """Of output."""
    read: int
    """Of its input: read from the cache."""
    written: int
    """Of its input: written to the cache."""
    first_s: float
    """Until its first token."""
    seconds: float
    """Until it has ended."""


@dataclass(frozen=True, slots=True)
class Overloaded:
    """A call that fails through no fault of the quota's."""

    seconds: float


@dataclass(slots=True)
class _Entry:
    ready_at: float
    ends_at: float


class Endpoint:
    """One model of the sweep, as its server treats it."""

    def __init__(
        self,
        model: ModelConfig,
        scene: Scene,
        rng: np.random.Generator,
        *,
        quotas: tuple[Quota, ...],
        sends_headers: bool,
        cache_reads_count: bool,
    ) -> None:
        """Start with an empty cache.

        Args:
            model: as configured.
            scene: says how its server answers.
            rng: of all draws.
            quotas: what a call must be admitted by: the model's own limits, then its group's.
            sends_headers: rate-limit headers, with every response.
            cache_reads_count: as input.
        """
        serving = scene.serving[model.name]
        self.model = model
        self.quotas = quotas
        self.sends_headers = sends_headers
        self.serving = serving
        self._reads_count = cache_reads_count
        self._rng = rng
        self._lengths = _quantiles(serving.output.mean_tokens, serving.output.sigma)
        self._draws: list[tuple[int, float, float]] = []
        self._cache: dict[int, _Entry] = {}

    def call(
        self, cell: int, input_tokens: int, *, shared: int, ttl_s: float, now: float
    ) -> Admitted | Refused | Overloaded:
        """Decide one call.

        Args:
            cell: whose prefix may be cached.
            input_tokens: all of it.
            shared: tokens of the prefix that is marked for the cache, 0 for none.
            ttl_s: for how long it is kept.
            now: seconds; an earlier time than the last counts as the last one.
        """
        if not self._draws:
            self._draw()
        length, pace, fault = self._draws.pop()
        latency = self.serving.latency
        first_s = latency.first_token_s * pace
        if any(s.after_s <= now < s.after_s + s.for_s for s in self.serving.storms):
            return Overloaded(first_s)
        read, written = self._look_up(cell, shared, now)
        bound = self.model.max_tokens
        counted = input_tokens if self._reads_count else input_tokens - read
        permits = self._admit(counted, bound, now)
        if isinstance(permits, Refused):
            return permits
        if fault < self.serving.overloads:
            for quota, permit in permits:
                quota.finish(permit, now, early=True)
            return Overloaded(first_s)
        if read or written:
            self._keep(cell, now, ready_at=now + first_s, ttl_s=ttl_s, written=written)
        tokens = min(length, bound)
        seconds = tokens * pace / latency.tokens_per_s if latency.tokens_per_s else 0.0
        for quota, permit in permits:
            quota.produce(permit, tokens, now + first_s, seconds)
        return Admitted(permits, tokens, read, written, first_s, first_s + seconds)

    def _look_up(self, cell: int, shared: int, now: float) -> tuple[int, int]:
        """Return (tokens read from the cache, tokens written to it)."""
        if not shared or shared < self.serving.cache_min_tokens:
            return 0, 0
        entry = self._cache.get(cell)
        ready = entry is not None and entry.ready_at <= now < entry.ends_at
        return (shared, 0) if ready else (0, shared)

    def _keep(self, cell: int, now: float, *, ready_at: float, ttl_s: float, written: int) -> None:
        entry = self._cache.get(cell)
        if entry is not None and not written:
            entry.ends_at = now + ttl_s
        elif entry is None or entry.ends_at <= now:
            self._cache[cell] = _Entry(ready_at, ready_at + ttl_s)

    def _admit(
        self, counted: int, bound: int, now: float
    ) -> tuple[tuple[Quota, Permit], ...] | Refused:
        permits: list[tuple[Quota, Permit]] = []
        for quota in self.quotas:
            found = quota.admit(counted, bound, now)
            if isinstance(found, Refused):
                for other, permit in permits:  # refused by one, it takes nothing from the others
                    other.finish(permit, now, early=True)
                    for bucket, amount in ((other.requests, 1), (other.input, counted)):
                        if bucket is not None:
                            bucket.charge(-amount, now)
                return found
            permits.append((quota, found))
        return tuple(permits)

    def readings(self, now: float) -> Readings:
        """Return what the headers of a response at this moment say; chat tells only requests."""
        gauges = self.quotas[0].gauges(now)
        told = [(Meter.REQUESTS, gauges.requests, 1)]
        if self.model.provider is ProviderKind.anthropic:
            told += [(Meter.INPUT, gauges.input, 1000), (Meter.OUTPUT, gauges.output, 1000)]
        return {
            meter: Reading(
                limit=round(gauge.limit), remaining=max(0, round(gauge.level / step) * step)
            )
            for meter, gauge, step in told
            if gauge is not None
        }

    def _draw(self) -> None:
        lengths = self._rng.permutation(self._lengths).tolist()
        paces = 1 + self.serving.latency.spread * self._rng.uniform(-1, 1, _DRAWS)
        faults = self._rng.uniform(size=_DRAWS)
        self._draws = list(zip(lengths, paces.tolist(), faults.tolist(), strict=True))


@lru_cache(maxsize=64)
def _quantiles(mean: float, sigma: float) -> np.ndarray:
    """Return equally likely lengths of a lognormal distribution, with exactly its mean."""
    normal = NormalDist()
    places = [normal.inv_cdf((i + 0.5) / _DRAWS) for i in range(_DRAWS)]
    shape = np.exp(sigma * np.array(places))
    return np.maximum(1, np.rint(shape * (mean / shape.mean()))).astype(int)


def endpoints(
    scene: Scene,
    *,
    groups: dict[str, str],
    cache_reads_count: frozenset[str],
    rng: np.random.Generator,
) -> dict[str, Endpoint]:
    """Return every model's endpoint.

    Args:
        scene: what is assumed of servers.
        groups: model to its quota group.
        cache_reads_count: models whose cache reads count as input.
        rng: of all draws.
    """
    quotas = {name: Quota(config, 0.0) for name, config in scene.groups.items()}
    found: dict[str, Endpoint] = {}
    for name, group in groups.items():
        model = next(m for m in (*scene.config.models, *scene.config.actors) if m.name == name)
        own = scene.own.get(name)
        held = (quotas[group],) if own is None else (Quota(own, 0.0), quotas[group])
        found[name] = Endpoint(
            model,
            scene,
            rng,
            quotas=held,
            sends_headers=(own or scene.groups[group]).headers,
            cache_reads_count=name in cache_reads_count,
        )
    return found
