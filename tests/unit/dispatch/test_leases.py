"""What the lease table does with jobs that come back from where nobody expected them."""

from __future__ import annotations

from dataclasses import replace

from runner.core.seams import ProcessIdentity
from runner.core.values import Job
from runner.dispatch.leases import LeaseTable
from runner.execute.messages import Heartbeat, Lease
from tests.support.cells import cell, plan
from tests.support.records import attempt_of, reply_of

JOB = Job(0, 0)
BEAT = Heartbeat(
    seq=1,
    worker="w",
    incarnation="w",
    process=ProcessIdentity(host="h", boot_id="b", pid_namespace="n", pid=1, started="1"),
    node="n",
    claim=1,
    held=(),
    returned=(),
    sealed=(),
    wants={},
    queued={},
    running=0,
    unpublished={},
    slots={},
    tallies={},
)


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
