"""When a model is given up: at once, after repeating, or because nobody answers."""

from __future__ import annotations

from runner.limits.health import (
    APART_S,
    BROKEN_AFTER_S,
    REPEATED_STOP,
    UNREACHABLE_AFTER_S,
    ModelHealth,
)


def test_health_when_never_reached_for_long_is_unreachable() -> None:
    health = ModelHealth()
    health.on_connection_failure("refused", 10.0)
    assert health.unreachable is None
    health.on_connection_failure("refused", 10.0 + UNREACHABLE_AFTER_S)
    assert health.unreachable == "refused"


def test_health_when_it_once_answered_is_never_unreachable() -> None:
    health = ModelHealth()
    health.on_answer()
    health.on_connection_failure("refused", 0.0)
    health.on_connection_failure("refused", 3600.0)
    assert health.unreachable is None


def test_health_when_the_server_answers_with_errors_is_not_unreachable() -> None:
    health = ModelHealth()
    health.on_connection_failure("refused", 0.0)
    health.on_other_failure()
    health.on_connection_failure("refused", UNREACHABLE_AFTER_S)
    assert health.unreachable is None


def test_health_when_a_failure_repeats_across_jobs_stops() -> None:
    health = ModelHealth()
    for job in range(REPEATED_STOP - 1):
        health.on_repeated(job, "forbidden")
    health.on_repeated(0, "forbidden")  # the same job again is no news
    assert health.stopped is None
    health.on_repeated("another", "forbidden")
    assert health.stopped == "forbidden"


def test_health_when_an_answer_comes_between_forgets_repeats() -> None:
    health = ModelHealth()
    for job in range(REPEATED_STOP - 1):
        health.on_repeated(job, "forbidden")
    health.on_answer()
    health.on_repeated("another", "forbidden")
    assert health.stopped is None


def test_health_when_stopped_keeps_the_first_reason() -> None:
    health = ModelHealth()
    health.on_stop("key refused")
    health.on_stop("unknown model")
    assert health.stopped == "key refused"


def test_outage_needs_two_failing_jobs_and_no_answer() -> None:
    health = ModelHealth()
    health.on_server_failure("a", "HTTP 500", 0.0)
    health.on_server_failure("a", "HTTP 500", 1.0)
    assert not health.outage
    health.on_server_failure("b", "HTTP 500", 2.0)
    assert health.outage
    health.on_answer()
    assert not health.outage


def test_outage_when_only_jobs_fail_that_failed_amid_answers_is_none() -> None:
    """What is left at the end of a sweep may be two jobs that always fail."""
    health = ModelHealth()
    for job in ("a", "b"):
        health.on_server_failure(job, "HTTP 500", 0.0)
    health.on_answer()
    for job in ("a", "b"):
        health.on_server_failure(job, "HTTP 500", 1.0)
    assert not health.outage
    health.on_server_failure("never failed before", "HTTP 500", 2.0)
    assert health.outage


def test_health_when_nothing_but_server_errors_for_long_is_given_up() -> None:
    health = ModelHealth()
    health.on_server_failure("a", "HTTP 500", 0.0)
    assert health.unreachable is None
    health.on_server_failure("a", "HTTP 500", BROKEN_AFTER_S)
    assert health.unreachable is not None
    assert "HTTP 500" in health.unreachable


def test_health_when_a_job_is_forgotten_no_longer_counts_it() -> None:
    health = ModelHealth()
    for job in ("a", "b"):
        health.on_server_failure(job, "HTTP 500", 0.0)
    health.forget("b")
    assert not health.outage


def test_health_when_no_further_failure_comes_is_judged_by_time() -> None:
    health = ModelHealth()
    health.on_connection_failure("refused", 10.0)
    health.on_connection_failure("refused", 10.0 + APART_S)
    health.look(10.0 + UNREACHABLE_AFTER_S, 1)  # one is on the wire: the server may be back
    assert health.unreachable is None
    health.look(10.0 + UNREACHABLE_AFTER_S - 0.1, 0)
    assert health.unreachable is None
    health.look(10.0 + UNREACHABLE_AFTER_S, 0)
    assert health.unreachable == "refused"


def test_health_when_failures_are_one_hiccup_is_not_unreachable() -> None:
    health = ModelHealth()
    health.on_connection_failure("refused", 10.0)
    health.on_connection_failure("refused", 10.0 + APART_S / 2)
    health.look(10.0 + 60.0, 0)
    assert health.unreachable is None


def test_health_when_two_connects_timed_out_does_not_wait_for_a_third() -> None:
    health = ModelHealth()
    health.on_connection_failure("no connection", 10.0, tried_s=10.0)
    assert health.unreachable is None
    health.on_connection_failure("no connection", 10.0, tried_s=10.0)
    assert health.unreachable == "no connection"
