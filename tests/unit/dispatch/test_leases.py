"""What the lease table does with jobs that come back from where nobody expected them."""

from __future__ import annotations

from dataclasses import replace

from runner.core.seeds import SeedSet
from runner.core.values import Job
from runner.dispatch.leases import LeaseTable
from runner.execute.messages import Lease
from tests.support.beats import BEAT
from tests.support.cells import cell, plan
from tests.support.records import attempt_of, reply_of

JOB = Job(0, 0)


def _answered(incarnation: str) -> Lease:
    reply = reply_of(({"type": "text", "text": "A line."},))
    return Lease(job=JOB, carried=(attempt_of(JOB, reply, incarnation=incarnation),))


def test_job_held_by_a_worker_thought_lost_when_another_has_answers_is_recalled_until_it_is_back() -> (
    None
):
    table = LeaseTable(plan([cell(0, 2)]), {}, suspect_deaths=3)
    table.carried[JOB] = _answered("b").carried
    for seq in (1, 2):  # a reply may be lost
        beat = replace(BEAT, seq=seq, incarnation="a", held=(JOB,))
        assert table.reconcile(beat, 0.0).revoke == (JOB,)
    other = replace(BEAT, incarnation="c")
    table.reconcile(other, 0.0)
    assert JOB not in [lease.job for lease in table.grant("c", "m", 9)]  # still with a
    back = replace(BEAT, seq=3, incarnation="a", returned=(Lease(job=JOB),))
    assert table.reconcile(back, 0.0).returned_seen == (JOB,)
    again = next(lease for lease in table.grant("c", "m", 9) if lease.job == JOB)
    assert [a.incarnation for a in again.carried] == ["b"]


def test_job_held_by_a_worker_thought_lost_when_only_it_has_answers_stays_there() -> None:
    table = LeaseTable(plan([cell(0, 2)]), {}, suspect_deaths=3)
    table.carried[JOB] = _answered("a").carried
    assert table.reconcile(replace(BEAT, incarnation="a", held=(JOB,)), 0.0).revoke == ()


def test_suspect_that_a_worker_taken_for_dead_comes_back_with_is_leased_to_one_at_a_time() -> None:
    table = LeaseTable(plan([cell(0, 1)]), {}, suspect_deaths=1)
    table.died_with([JOB, Job(0, 9)])
    ghost = replace(BEAT, incarnation="ghost")
    table.reconcile(ghost, 0.0)
    assert table.grant("ghost", "m", 1) == []  # it waits to be run alone
    table.reconcile(replace(ghost, held=(JOB,)), 0.0)
    table.remove("ghost")
    for name in ("a", "b"):
        table.reconcile(replace(BEAT, incarnation=name), 0.0)
        table.grant(name, "m", 1)
    alone = [lease.job for name in ("a", "b") for lease in table.grant_alone(name)]
    assert alone == [JOB]
    table.remove("a")
    assert table.owed("m") == 1
    assert not table.settled


def test_suspect_that_has_ended_meanwhile_is_not_run() -> None:
    table = LeaseTable(plan([cell(0, 1)]), {}, suspect_deaths=1)
    table.died_with([JOB, Job(0, 9)])
    table.reconcile(BEAT, 0.0)
    table.grant("w", "m", 1)
    table.ended({0: SeedSet.of_seeds([0])})
    assert not table.isolating("w")
    assert table.grant_alone("w") == []


def test_job_handed_back_with_answers_when_their_rows_are_not_published_is_leased_to_nobody() -> (
    None
):
    table = LeaseTable(plan([cell(0, 1)]), {}, suspect_deaths=3)
    table.reconcile(replace(BEAT, incarnation="a"), 0.0)
    table.reconcile(replace(BEAT, incarnation="b"), 0.0)
    table.grant("a", "m", 1)
    for seq in (2, 3):  # said again until a reply confirms it
        table.reconcile(
            replace(BEAT, seq=seq, incarnation="a", returned=(_answered("a"),), draining=True), 0.0
        )
    assert table.owed("m") == 1
    assert not table.settled
    assert table.grant("b", "m", 1) == []
    told = {job: dict(by_worker) for job, by_worker in table.unlisted.items()}
    table.listed(told)
    assert table.unlisted == {}
    (lease,) = table.grant("b", "m", 1)
    assert [a.incarnation for a in lease.carried] == ["a"]
    table.listed(told)  # leased meanwhile: not owed a second time
    assert table.grant("b", "m", 1) == []


def test_job_told_of_again_when_a_worker_holds_it_is_owed_once_that_worker_dies_and_it_is_listed() -> (
    None
):
    table = LeaseTable(plan([cell(0, 1)]), {}, suspect_deaths=3)
    table.reconcile(replace(BEAT, incarnation="b", held=(JOB,)), 0.0)
    table.reconcile(replace(BEAT, incarnation="a", returned=(_answered("a"),)), 0.0)
    table.remove("b")
    assert table.grant("a", "m", 1) == []
    table.listed({job: dict(by_worker) for job, by_worker in table.unlisted.items()})
    assert [lease.job for lease in table.grant("a", "m", 1)] == [JOB]


def test_job_handed_back_with_nothing_of_the_workers_own_is_owed_at_once() -> None:
    table = LeaseTable(plan([cell(0, 1)]), {}, suspect_deaths=3)
    table.reconcile(replace(BEAT, incarnation="a"), 0.0)
    table.grant("a", "m", 1)
    table.reconcile(replace(BEAT, seq=2, incarnation="a", returned=(_answered("b"),)), 0.0)
    assert [lease.job for lease in table.grant("a", "m", 1)] == [JOB]
