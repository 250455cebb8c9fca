"""What a meter knows of itself and of others on the same quota."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from runner.limits.controller import Target
from runner.limits.discovery import Learner
from runner.limits.quota import Meter, Reading

LIMIT = 100.0
"""A second."""


def target() -> Target:
    return Target(
        meter=Meter.INPUT,
        limit=LIMIT,
        source="config",
        learner=Learner(at=0.0, searching=False),
    )


def observed(own: Callable[[int], float], *, others: float, lag_s: int, for_s: int) -> list[float]:
    """Return what is thought of others, each second, beside a bucket of 10 s.

    What we use is counted at once; the header says so `lag_s` later.
    """
    meter, level, thought = target(), 10.0 * LIMIT, []
    for second in range(for_s):
        meter.count(own(second) * LIMIT, second)
        level += LIMIT * (1.0 - others - own(second - lag_s))
        level = min(10.0 * LIMIT, max(0.0, level))
        reading = Reading(limit=60.0 * LIMIT, remaining=level)
        meter.observe(reading, binding=True, now=float(second))
        thought.append(meter.status(0.99, second).foreign or 0.0)
    return thought


@pytest.mark.parametrize("lag_s", [0, 1, 2])
@pytest.mark.parametrize(
    "own",
    [
        lambda second: 4.4 if second == 20 else 0.02,  # prompts that go to a cache, then short ones
        lambda second: 0.0 if second < 60 else min(0.99, 0.1 * (second - 60)),  # after an outage
        lambda second: 1.1 if second > 20 else 0.5,
    ],
    ids=["burst", "outage", "more"],
)
def test_nobody_else_is_seen_in_what_we_use_ourselves(own, lag_s):
    assert max(observed(own, others=0.0, lag_s=lag_s, for_s=100)) < 0.25
    assert observed(own, others=0.0, lag_s=lag_s, for_s=50)[-1] < 0.02


@pytest.mark.parametrize("lag_s", [0, 2])
def test_others_are_seen_within_half_a_minute(lag_s):
    found = observed(lambda second: 0.75, others=0.3, lag_s=lag_s, for_s=60)
    assert all(0.24 < share < 0.34 for share in found[35:])


def test_use_after_a_limit_was_halved_is_of_the_limit_of_its_moment():
    meter = target()
    for second in range(120):
        limit = LIMIT if second < 90 else LIMIT / 2
        meter.observe(Reading(limit=60.0 * limit), binding=True, now=float(second))
        meter.count(limit, second)
        use = meter.status(0.99, second).utilisation
        assert second < 5 or use == pytest.approx(1.0, abs=0.25)
