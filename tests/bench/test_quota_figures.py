"""The table "Figures" of quotas, row by row, in virtual time: use of the limit that binds, share of 429s.

`python -m tests.bench.quota_sim` prints it. The bounds are the requirement's, not what is measured:
they stand in `quota_sim.cases()` beside each row. A short choice of rows is in
tests/property/limits/test_figures.py.
"""

from __future__ import annotations

import pytest

from tests.bench.quota_sim import Case, Simulation, cases, problems

pytestmark = pytest.mark.bench


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("case", cases(), ids=lambda case: case.name)
def test_quota_figure_holds(case: Case, seed: int):
    assert not problems(case, Simulation(case, seed).run())
