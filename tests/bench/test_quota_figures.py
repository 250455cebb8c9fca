"""The figures of quotas in virtual time: utilisation of the binding limit and share of 429s."""

from __future__ import annotations

import pytest

from tests.bench.quota_sim import Case, Simulation, cases, limit_of, worst_minute


@pytest.mark.bench
@pytest.mark.parametrize("case", cases(), ids=lambda case: case.name)
def test_quota_figure_holds(case: Case):
    outcome = Simulation(case).run()
    used = outcome.used / (limit_of(case) * case.for_s)
    refused = outcome.refused / outcome.ended
    print(f"\n{case.name:45} {used:6.3f} of {case.least:.3f}-{case.most:.2f}, 429s {refused:.3%}")
    assert case.least <= used <= case.most
    assert refused <= case.most_refused
    if case.kills_every_s:
        assert worst_minute(outcome.starts, limit_of(case)) <= 1.0
    if len(case.loads) > 1:
        left = limit_of(case) * case.for_s - outcome.by_model["a"]
        assert outcome.by_model["b"] >= 0.98 * left
