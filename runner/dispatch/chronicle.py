"""A coordinator's beginning, publishing and end as events. Pure."""

from __future__ import annotations

from runner.dispatch.leases import LeaseTable
from runner.dispatch.terms import Ended
from runner.observe.events import Event, Fenced, ShardsPublished, SweepEnded, SweepStarted
from runner.record.entries import Publish
from runner.record.state import SweepState


def started(sweep: str, claim: int, state: SweepState, table: LeaseTable) -> Event:
    """Return what a coordinator begins with, before it recovers anything."""
    return SweepStarted(
        sweep=sweep,
        claim=claim,
        planned=table.plan.jobs,
        recorded=state.recorded_jobs,
        owed=_owed(table),
    )


def published(entry: Publish, number: int) -> Event:
    """Return what a manifest entry made part of the record."""
    return ShardsPublished(
        entry=number,
        seals=len(entry.seals),
        rows=sum(shard.rows for shard in entry.transcripts),
        failures=sum(shard.rows for shard in entry.failures),
    )


def stopped(ended: Ended, claim: int, state: SweepState, table: LeaseTable) -> Event:
    """Return how a coordinator ended."""
    if ended.reason == "fenced":
        return Fenced(claim=claim, why=ended.detail)
    return SweepEnded(
        claim=claim, recorded=state.recorded_jobs, owed=_owed(table), reason=ended.reason
    )


def _owed(table: LeaseTable) -> int:
    return sum(table.owed(model) for model in table.plan.models)
