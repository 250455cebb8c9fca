"""A sweep's progress as metric samples, the same whatever exports them. Pure.

Names and labels are for dashboards that outlive a sweep: `runner_…`, one series per sweep, model,
state, kind or quota group, never per job or worker. Sums begin at zero with each coordinator, as a
restarted process's counters do; gauges are what holds now.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from runner.observe.progress import ModelProgress, Progress
from runner.observe.quotas import QuotaProgress


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One number of one series."""

    name: str
    help: str
    value: float
    labels: dict[str, str] = field(default_factory=dict[str, str])
    sums: bool = False
    """A sum that only grows, not what holds now."""


def samples(progress: Progress) -> list[Sample]:
    """Return every sample of a sweep at this moment."""
    p = progress
    sweep = {"sweep": p.sweep}
    found = [
        Sample(name=f"runner_{name}", help=about, value=value, labels=sweep)
        for name, about, value in (
            ("workers", "Workers that answer", p.workers),
            (
                "journal_lag_seconds",
                "Age of the oldest answer that is not synced yet, worst worker",
                p.journal_lag_s,
            ),
            (
                "event_loop_lag_seconds",
                "By how much a worker's event loop was late, worst worker",
                p.loop_lag_s,
            ),
            ("seal_seconds", "What the last seal took, worst worker", p.seal_s),
            ("memory_bytes", "Memory of all worker processes", p.memory_bytes),
        )
    ]
    for model in p.called:
        found += _of_model(sweep | {"model": model.name}, model)
    for quota in p.quotas:
        found += _of_group(sweep | {"group": quota.group}, quota)
    return found


def _of_model(labels: dict[str, str], m: ModelProgress) -> Iterator[Sample]:
    states = {
        "recorded": m.done,
        "unpublished": m.unpublished,
        "dead_letter": m.failed,
        "waiting": m.waiting,
        "in_flight": m.in_flight,
        "owed": m.planned - m.done - m.unpublished - m.failed,
    }
    for state, number in states.items():
        yield Sample(
            name="runner_jobs",
            help="Jobs by state; waiting and in_flight are part of owed",
            value=number,
            labels=labels | {"state": state},
        )
    failed = sum(m.retries.values())
    for status, number in {"answered": m.requests - failed, **m.retries}.items():
        yield Sample(
            name="runner_attempts",
            help="HTTP attempts that ended, by what became of them",
            value=number,
            labels=labels | {"status": status},
            sums=True,
        )
    fresh = m.input_tokens - m.cached_tokens
    tokens = {"input": fresh, "cached": m.cached_tokens, "output": m.output_tokens}
    for kind, number in tokens.items():
        yield Sample(
            name="runner_tokens",
            help="Tokens that were answered for; cached are input read from a prompt cache",
            value=number,
            labels=labels | {"kind": kind},
            sums=True,
        )
    yield Sample(
        name="runner_cost_usd",
        help="Dollars of attempts whose price is known",
        value=m.cost_usd,
        labels=labels,
        sums=True,
    )


def _of_group(labels: dict[str, str], quota: QuotaProgress) -> Iterator[Sample]:
    for meter in quota.meters:
        if meter.utilisation is not None:
            yield Sample(
                name="runner_quota_utilisation",
                help="Share of the limit used over the last minute",
                value=meter.utilisation,
                labels=labels | {"meter": meter.meter},
            )
    yield Sample(
        name="runner_quota_refused_share",
        help="429s per request that ended, last minute",
        value=quota.refused_share,
        labels=labels,
    )
    yield Sample(
        name="runner_breaker_open",
        help="1 while a model of the group has its breaker open or half open",
        value=float(quota.breaker != "closed"),
        labels=labels,
    )
