"""The counts that people see, folded from what workers say and what is recorded."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

from runner.core.seeds import SeedSet
from runner.core.values import Job
from runner.dispatch.board import Board
from runner.dispatch.leases import LeaseTable
from runner.observe.progress import Phase, Progress
from runner.observe.quotas import QuotaProgress
from runner.record.state import SweepState
from tests.support.beats import BEAT
from tests.support.cells import cell, plan


def seen(table: LeaseTable, board: Board, now: float, breaker: str = "closed") -> Progress:
    class Quotas:
        def progress(self, _now: float) -> tuple[QuotaProgress, ...]:
            return (QuotaProgress(group="m", breaker=breaker),)

    return board.progress(
        table, SweepState(), now=now, phase=Phase.RUNNING, text="", quotas=cast("Any", Quotas())
    )


def board_of() -> Board:
    return Board(sweep="s", directory="d", started="", started_at=0.0)


def test_job_that_was_just_published_is_counted_once_while_others_hold_more() -> None:
    table = LeaseTable(plan([cell(0, 100)]), {}, suspect_deaths=3)
    board = board_of()
    held: dict[str, tuple[Job, ...]] = {}
    for who in ("a", "b"):
        table.reconcile(replace(BEAT, incarnation=who), 0.0)
        held[who] = tuple(lease.job for lease in table.grant(who, "m", 10))
    beat = replace(BEAT, incarnation="a", held=held["a"], unpublished={"m": 4})
    table.reconcile(beat, 1.0)
    assert (seen(table, board, 1.0).unpublished, seen(table, board, 1.0).owed) == (4, 96)
    table.ended({0: SeedSet.of_seeds(job.seed for job in held["a"][:4])})
    for again in (beat, replace(beat, seq=2)):  # sent before it could hear of the publication
        now = seen(table, board, 2.0)
        assert (now.recorded, now.unpublished, now.owed) == (4, 0, 96)
        table.reconcile(again, 2.0)
    table.reconcile(replace(beat, seq=3, held=held["a"][4:], unpublished={"m": 1}), 3.0)
    now = seen(table, board, 3.0)
    assert (now.recorded, now.unpublished, now.owed) == (4, 1, 95)


def test_no_time_of_arrival_is_told_while_the_endpoint_is_away() -> None:
    table = LeaseTable(plan([cell(0, 100)]), {}, suspect_deaths=3)
    board = board_of()
    table.reconcile(BEAT, 0.0)
    table.grant("w", "m", 50)
    seen(table, board, 0.0)
    table.ended({0: SeedSet.of([(0, 10)])})
    assert seen(table, board, 10.0).eta_s == 90
    assert seen(table, board, 10.0, breaker="open").eta_s is None


def test_time_of_arrival_is_that_of_models_that_go_on() -> None:
    table = LeaseTable(plan([cell(0, 100), cell(1, 300, model="m2")]), {}, suspect_deaths=3)
    board = board_of()
    table.reconcile(BEAT, 0.0)
    table.grant("w", "m", 50)
    seen(table, board, 0.0)
    table.ended({0: SeedSet.of([(0, 10)])})
    assert seen(table, board, 10.0).eta_s == 390
    table.stopped["m2"] = "cancelled"
    now = seen(table, board, 10.0)
    assert (now.eta_s, now.owed) == (90, 390)
