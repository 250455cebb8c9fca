from __future__ import annotations

from random import Random

from runner.limits.concurrency import Concurrency


def run(concurrency: Concurrency, takes: int, seconds: int, *, fails: bool = False) -> None:
    """A server that answers each request in a second, `takes` of them side by side."""
    start = int(concurrency.at)
    for second in range(start + 1, start + seconds + 1):
        in_flight = int(concurrency.limit)
        answered = min(in_flight, takes)
        trouble = max(0, in_flight - takes) if fails else 0
        concurrency.observe(
            answered=answered, trouble=trouble, in_flight=in_flight, now=float(second)
        )


def test_the_number_grows_to_what_the_server_takes_and_not_far_beyond():
    concurrency = Concurrency(most=2000, at=0.0)
    run(concurrency, 500, 120)
    assert 300 <= concurrency.limit <= 900


def test_refusals_of_a_server_that_limits_its_rate_soon_are_few():
    """600 a minute, a bucket of ten seconds, answers after a second: ten in flight use all of it."""
    concurrency, level, refused_late, answered = Concurrency(most=256, at=0.0), 100.0, 0, 0
    for second in range(1, 301):
        sent = int(concurrency.limit)
        level = min(100.0, level + 10.0)
        taken = min(sent, int(level))
        level -= taken
        # Who is refused makes room for another, who is refused too; then all pause.
        refused = 2 * (sent - taken)
        concurrency.observe(
            answered=taken, trouble=0, refused=refused, in_flight=sent, now=float(second)
        )
        if second > 30:
            answered += taken
            refused_late += refused
    assert answered >= 0.9 * 10 * 270
    assert refused_late <= 0.03 * answered


def test_trouble_that_does_not_depend_on_the_number_leaves_it_alone():
    concurrency, draw = Concurrency(most=256, at=0.0), Random(1)
    for second in range(1, 121):
        in_flight = int(concurrency.limit)
        trouble = sum(draw.random() < 0.15 for _ in range(in_flight))
        concurrency.observe(
            answered=in_flight - trouble, trouble=trouble, in_flight=in_flight, now=float(second)
        )
    assert concurrency.limit >= 64


def test_trouble_takes_it_below_what_the_server_takes():
    concurrency = Concurrency(most=2000, at=0.0)
    run(concurrency, 20, 60, fails=True)
    assert concurrency.limit <= 40


def test_it_never_passes_the_configured_bound():
    concurrency = Concurrency(most=100, at=0.0)
    run(concurrency, 10_000, 120)
    assert concurrency.limit <= 100
