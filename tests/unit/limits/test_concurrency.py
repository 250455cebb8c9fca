from __future__ import annotations

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


def test_trouble_takes_it_below_what_the_server_takes():
    concurrency = Concurrency(most=2000, at=0.0)
    run(concurrency, 20, 60, fails=True)
    assert concurrency.limit <= 40


def test_it_never_passes_the_configured_bound():
    concurrency = Concurrency(most=100, at=0.0)
    run(concurrency, 10_000, 120)
    assert concurrency.limit <= 100
