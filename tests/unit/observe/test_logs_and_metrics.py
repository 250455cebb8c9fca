from __future__ import annotations

import json
import logging
import sys

from runner.observe.logs import JsonFormatter, log_as_asked
from runner.observe.metrics import samples
from runner.observe.progress import ModelProgress, Progress
from runner.observe.quotas import MeterProgress, QuotaProgress


def record(message: str, **extra: object) -> logging.LogRecord:
    made = logging.LogRecord("runner.x", logging.INFO, __file__, 1, message, (), None)
    made.__dict__.update(extra)
    return made


def test_line_is_json_with_the_facts_it_was_given():
    line = json.loads(JsonFormatter().format(record("job ended", facts={"job": "ab", "seed": 3})))
    assert (line["event"], line["job"], line["seed"], line["level"]) == (
        "job ended",
        "ab",
        3,
        "info",
    )


def test_error_is_told_by_its_type_not_by_what_it_quotes():
    try:
        raise ValueError("the prompt: secret")
    except ValueError:
        broken = record("job %s failed", args=("k",), exc_info=sys.exc_info())
    text = JsonFormatter().format(broken)
    assert json.loads(text)["error"] == "ValueError"
    assert "secret" not in text


def test_nothing_is_logged_unless_asked_for():
    assert not log_as_asked({})
    assert not log_as_asked({"RUNNER_LOG": "off"})


def test_jobs_by_state_add_up_to_the_plan_and_attempts_to_the_requests():
    model = ModelProgress(
        name="m",
        planned=10,
        done=4,
        failed=1,
        unpublished=2,
        in_flight=2,
        waiting=1,
        requests=9,
        retries={"overloaded": 2},
        input_tokens=50,
        cached_tokens=20,
    )
    quota = QuotaProgress(
        group="g", meters=(MeterProgress(meter="requests", utilisation=0.5),), breaker="open"
    )
    found = samples(Progress(sweep="s", directory="d", models=(model,), quotas=(quota,)))
    values = {(s.name, *s.labels.values()): s.value for s in found}
    states = ("recorded", "unpublished", "dead_letter", "owed")
    assert sum(values["runner_jobs", "s", "m", state] for state in states) == 10
    attempts = [s.value for s in found if s.name == "runner_attempts"]
    assert (sum(attempts), values["runner_attempts", "s", "m", "answered"]) == (9, 7)
    assert values["runner_tokens", "s", "m", "input"] == 30
    assert values["runner_quota_utilisation", "s", "g", "requests"] == 0.5
    assert values["runner_breaker_open", "s", "g"] == 1.0
