"""A choice of the quota figures in virtual time, most of them shorter; all rows: tests/bench/test_quota_figures.py."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.bench.quota_sim import Case, Simulation, cases, problems

ROWS = {
    "rpm burst 1",
    "input burst 1 no headers",
    "output burst 10",
    "brief output, 60000 a minute, 0.6 s",
    "brief output, 500000 a minute, 2 s",
    "foreign requests burst 10 bucket",
    "coordinator killed every 20 s, away 3.0 s",
    "8 workers, 2 busy",
    "halved, headers",
    "halved, no headers",
    "acceleration limit, all is allowed after 70 s",
    "two models, one with 600 rpm of its own",
}


@pytest.mark.parametrize("case", [c for c in cases() if c.name in ROWS], ids=lambda case: case.name)
def test_quota_figure_holds(case: Case):
    whole = case.settled_s is not None or case.name.startswith(("output", "brief", "foreign"))
    short = case if whole else replace(case, for_s=80.0)
    assert not problems(short, Simulation(short).run())


def test_choice_names_rows_that_exist():
    assert len(ROWS) == sum(c.name in ROWS for c in cases())
