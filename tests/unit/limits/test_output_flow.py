"""What output that is charged while it is produced lets in, told by what a worker reports."""

from __future__ import annotations

import pytest

from runner.limits.output_flow import OutputFlow
from runner.limits.quota import Ledger


def steady(*, tokens: float, seconds: float, ahead_s: float, a_second: float = 20.0) -> OutputFlow:
    """Return a flow after two minutes of one worker that uses exactly the rate.

    Answers have `tokens` and last `seconds`; permits are held for the next `ahead_s`.
    """
    flow = OutputFlow(at=0.0)
    flow.pending("m", round(a_second * ahead_s))
    running = round(a_second * seconds)
    n = round(a_second)
    flow.begin("w", "m", Ledger(in_flight=running, elapsed_s=running * seconds / 2))
    for beat in range(1, 121):
        flow.advance(float(beat), a_second * tokens)
        flow.answered(
            "m",
            n=n,
            y=n * tokens,
            x=n * seconds,
            yy=n * tokens * tokens,
            xy=n * tokens * seconds,
        )
        flow.report("w", "m", in_flight=running, elapsed_s=running * seconds / 2, started=n)
        flow.advance(float(beat), a_second * tokens)  # as before each grant
    return flow


@pytest.mark.parametrize("ahead_s", [0.5, 3.0])
@pytest.mark.parametrize("seconds", [0.3, 1.0, 4.0, 20.0])
def test_a_rate_that_is_met_is_let_in_again(seconds: float, ahead_s: float):
    flow = steady(tokens=60.0, seconds=seconds, ahead_s=ahead_s)
    rate = 20.0 * 60.0
    assert 0.75 * rate < flow.speed(rate) < 1.5 * rate


def test_permits_that_begin_answers_beyond_the_rate_let_in_less():
    held = steady(tokens=60.0, seconds=20.0, ahead_s=3.0)
    before = held.speed(1200.0)
    held.pending("m", 400)
    assert held.speed(1200.0) < 0.5 * before


def test_a_successor_knows_from_the_first_heartbeat_how_long_answers_are_and_how_fast_they_come():
    lengths, flow = [40.0, 60.0, 80.0] * 100, OutputFlow(at=0.0)
    seconds = [0.2 + y / 120.0 for y in lengths]
    ledger = Ledger(
        answered=len(lengths),
        output_tokens=sum(lengths),
        latency=sum(seconds),
        output_squared=sum(y * y for y in lengths),
        output_latency=sum(y * x for y, x in zip(lengths, seconds, strict=True)),
    )
    flow.begin("w", "m", ledger)
    assert flow.mean("m") < 80.0  # of 60, with what is left of the guess of 550
    assert 90.0 < flow._model("m").speed < 130.0
