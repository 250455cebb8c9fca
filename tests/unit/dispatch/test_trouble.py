from __future__ import annotations

from dataclasses import replace

import pytest

from runner.dispatch.leases import WorkerView
from runner.dispatch.trouble import Trouble, Verdict
from runner.execute.messages import Heartbeat
from tests.support.beats import BEAT

FINE = replace(BEAT, incarnation="w-1")
FULL = replace(FINE, storage_error="no space left", storage_error_s=21.0, storage_is_journal=True)


def views(*beats: Heartbeat) -> list[WorkerView]:
    return [WorkerView(b.incarnation, b, 0.0) for b in beats]


@pytest.mark.parametrize(
    ("beat", "other", "expected"),
    [
        (FINE, FINE, Verdict.WAIT),
        (replace(FULL, storage_error_s=19.0), FINE, Verdict.WAIT),
        (FULL, FINE, Verdict.LEAVE),
        (FULL, FULL, Verdict.END),
        (FULL, replace(FINE, draining=True), Verdict.END),
        (replace(FULL, storage_is_journal=False), FINE, Verdict.WAIT),
        (replace(FULL, storage_is_journal=False, storage_error_s=901.0), FINE, Verdict.LEAVE),
        (replace(FULL, storage_is_journal=False, storage_error_s=901.0), FULL, Verdict.END),
    ],
)
def test_worker_in_trouble_leaves_alone_where_another_one_has_none(beat, other, expected):
    trouble = Trouble(patience_s=900.0)
    workers = views(beat, replace(other, incarnation="w-2"))
    assert trouble.of_worker(beat, workers) is expected
    assert bool(trouble.text) == (beat.storage_error is not None)


def test_worker_in_trouble_beside_a_lost_one_ends_the_sweep():
    (lost,) = views(replace(FINE, incarnation="w-2"))
    lost.lost = True
    assert Trouble(patience_s=20.0).of_worker(FULL, [*views(FULL), lost]) is Verdict.END


def test_output_that_refuses_for_too_long_ends_the_sweep_and_one_that_recovers_does_not():
    trouble = Trouble(patience_s=20.0)
    assert trouble.own("no answer", 100.0) is Verdict.WAIT
    assert trouble.own("no answer", 120.0) is Verdict.WAIT
    trouble.over(views(FINE))
    assert trouble.text == ""
    assert trouble.own("no answer", 121.0) is Verdict.WAIT
    assert trouble.own("no answer", 141.5) is Verdict.END
