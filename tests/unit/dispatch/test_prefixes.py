"""Who writes a cached prefix, and who waits for that: the coordinator's view."""

from __future__ import annotations

import pytest

from runner.dispatch.prefixes import PATIENCE_S, SETTLE_S, Prefixes
from runner.execute.messages import AWAITS, WRITES

NOTHING: tuple[dict[int, float], frozenset[int]] = ({}, frozenset())


@pytest.fixture
def prefixes() -> Prefixes:
    """Two workers are there; `a` is granted jobs of cell 1 first."""
    found = Prefixes(cached=frozenset({"m"}), model_of=lambda cell: "m" if cell < 10 else "other")
    found.answer("b", {}, (), 0.0)
    assert found.answer("a", {}, (1,), 0.0) == NOTHING
    return found


def test_second_worker_waits_until_the_first_has_written_and_reads_then(prefixes):
    assert prefixes.answer("b", {}, (1, 2, 10), 0.5) == ({}, {1})
    prefixes.answer("a", {1: WRITES}, (), 1.0)
    assert prefixes.answer("b", {1: AWAITS, 2: 0.0}, (), 40.0) == ({}, {1})
    prefixes.answer("a", {1: 270.0}, (), 50.0)
    assert prefixes.answer("b", {1: AWAITS}, (), 60.0) == ({1: 260.0}, frozenset())
    assert prefixes.answer("b", {1: 259.0}, (), 61.0) == NOTHING
    assert prefixes.answer("b", {1: 0.0}, (), 330.0) == NOTHING  # it is gone: b writes it anew
    assert prefixes.answer("a", {1: 0.0}, (), 330.0) == ({}, {1})


def test_nobody_waits_for_a_worker_that_is_gone_or_has_no_such_job_any_more(prefixes):
    assert prefixes.answer("b", {1: 0.0}, (), 0.5) == ({}, {1})
    prefixes.answer("a", {2: 0.0}, (), SETTLE_S)
    assert prefixes.answer("b", {1: AWAITS}, (), SETTLE_S + 0.1) == NOTHING
    assert prefixes.answer("a", {}, (1,), SETTLE_S + 0.2) == ({}, {1})
    prefixes.gone("b")
    prefixes.answer("c", {}, (), 4.0)
    assert prefixes.answer("a", {1: AWAITS}, (), 4.0) == NOTHING


def test_who_waits_too_long_for_somebody_who_has_not_begun_writes_it(prefixes):
    prefixes.answer("a", {1: 0.0}, (), 100.0)  # nobody waits: it may take its time
    assert prefixes.answer("b", {1: AWAITS}, (), 100.0) == ({}, {1})
    prefixes.answer("a", {1: 0.0}, (), 105.0)
    assert prefixes.answer("b", {1: AWAITS}, (), 100.0 + PATIENCE_S) == NOTHING
    assert prefixes.answer("a", {1: 0.0}, (), 100.5 + PATIENCE_S) == ({}, {1})


def test_calls_that_go_out_one_by_one_wait_for_nobody(prefixes):
    assert prefixes.answer("b", {1: 0.0}, (), 0.5, outages={"m"}) == NOTHING


def test_one_worker_alone_is_told_nothing():
    alone = Prefixes(cached=frozenset({"m"}), model_of=lambda _: "m")
    assert alone.answer("a", {1: AWAITS}, (2,), 0.0) == NOTHING
