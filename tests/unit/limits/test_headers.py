from __future__ import annotations

import pytest

from runner.limits.headers import parse_readings, seconds
from runner.limits.quota import Meter, Reading

NOON = 1_795_003_200.0  # 2026-11-18T12:00:00Z


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("12ms", 0.012),
        ("1s", 1.0),
        ("6m0s", 360.0),
        ("2m59.56s", 179.56),
        ("1h2m3s", 3723.0),
        ("2.5", 2.5),
        ("2026-11-18T12:00:30Z", 30.0),
        ("2026-11-18T13:00:30+01:00", 30.0),
        ("2026-11-18T11:00:00Z", 0.0),
        (str(int(NOON) + 5), 5.0),
        (str((int(NOON) + 5) * 1000), 5.0),
        ("-1", None),
        ("soon", None),
        ("", None),
        ("nan", None),
        (None, None),
    ],
)
def test_seconds_of_every_known_form(text, expected):
    found = seconds(text, NOON)
    assert found == pytest.approx(expected) if expected is not None else found is None


def test_an_absolute_reset_without_the_servers_date_is_unknown():
    assert seconds("2026-11-18T12:00:30Z", None) is None


def test_messages_headers_give_three_meters():
    headers = {
        f"anthropic-ratelimit-{name}-{what}": value
        for name in ("requests", "input-tokens", "output-tokens")
        for what, value in (
            ("limit", "4000"),
            ("remaining", "3990"),
            ("reset", "2026-11-18T12:00:01Z"),
        )
    }
    reading = Reading(limit=4000.0, remaining=3990.0, resets_in_s=1.0)
    assert parse_readings(headers, NOON) == dict.fromkeys(Meter, reading)


def test_chat_headers_give_requests_and_leave_the_total_of_tokens_out():
    headers = {
        "x-ratelimit-limit-requests": "60",
        "x-ratelimit-remaining-requests": "59",
        "x-ratelimit-reset-requests": "1s",
        "x-ratelimit-limit-tokens": "1000",
    }
    assert parse_readings(headers, None) == {
        Meter.REQUESTS: Reading(limit=60.0, remaining=59.0, resets_in_s=1.0)
    }


def test_requests_counted_by_the_day_are_not_taken_for_a_minutes():
    headers = {"x-ratelimit-limit-requests": "14400", "x-ratelimit-reset-requests": "2h59m56s"}
    assert parse_readings(headers, None) == {}


@pytest.mark.parametrize("limit", ["-1", "0", "many", "inf"])
def test_a_limit_that_says_nothing_gives_no_reading(limit):
    assert parse_readings({"anthropic-ratelimit-requests-limit": limit}, None) == {}
