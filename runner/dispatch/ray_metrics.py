"""Hands a sweep's metric samples to Ray's exporter, as `ray_runner_…`; from the coordinator alone.

Workers report to the coordinator anyway, so one process exports authoritative numbers instead of
one series per worker and life. A series that goes on (a counter) is fed the growth since the last
look; after a restart of the coordinator it goes on from there.
"""

from __future__ import annotations

from typing import Protocol, cast

from ray.util import metrics

from runner.observe.metrics import Sample

EVERY_S = 5.0
"""Ray's own agents report every 10 s."""


class _Gauge(Protocol):
    def set(self, value: float, tags: dict[str, str]) -> None: ...


class _Counter(Protocol):
    def inc(self, value: float, tags: dict[str, str]) -> None: ...


class RayMetrics:
    """Series of one process."""

    def __init__(self) -> None:
        """Start with no series; each is made when its first sample comes."""
        self._gauges: dict[str, _Gauge] = {}
        self._counters: dict[str, _Counter] = {}
        self._sums: dict[tuple[str, ...], float] = {}

    def export(self, samples: list[Sample]) -> None:
        """Take the samples of one moment."""
        for sample in samples:
            if sample.sums:
                self._grow(sample)
            else:
                self._gauge(sample).set(sample.value, tags=sample.labels)

    def _grow(self, sample: Sample) -> None:
        series = (sample.name, *sample.labels.values())
        more = sample.value - self._sums.get(series, 0.0)
        if more > 0:
            self._sums[series] = sample.value
            self._counter(sample).inc(more, tags=sample.labels)

    def _gauge(self, sample: Sample) -> _Gauge:
        if sample.name not in self._gauges:
            made = metrics.Gauge(sample.name, sample.help, tuple(sample.labels))
            self._gauges[sample.name] = cast("_Gauge", made)
        return self._gauges[sample.name]

    def _counter(self, sample: Sample) -> _Counter:
        if sample.name not in self._counters:
            made = metrics.Counter(sample.name, sample.help, tuple(sample.labels))
            self._counters[sample.name] = cast("_Counter", made)
        return self._counters[sample.name]
