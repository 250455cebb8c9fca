from __future__ import annotations

import pytest
from multidict import CIMultiDict

from runner.providers.headers import (
    MAX_MESSAGE,
    Redactor,
    error_facts,
    rate_limit_headers,
    request_id,
    retry_after_s,
)

NONE = Redactor(None)
NOON = 1_795_435_200.0  # Mon, 23 Nov 2026 12:00:00 GMT


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"Retry-After": "0.25"}, 0.25),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-3"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "Mon, 23 Nov 2026 12:00:30 GMT"}, 30.0),
        ({"retry-after": "Mon, 23 Nov 2026 11:00:00 GMT"}, 0.0),
    ],
)
def test_retry_after_reads_seconds_milliseconds_and_dates(headers, seconds):
    assert retry_after_s(CIMultiDict(headers), NOON) == seconds


def test_retry_after_date_is_measured_on_the_servers_own_clock():
    headers = CIMultiDict(
        {"retry-after": "Mon, 23 Nov 2026 12:00:30 GMT", "date": "Mon, 23 Nov 2026 12:00:20 GMT"}
    )
    assert retry_after_s(headers, now=NOON - 86_400) == 10.0


def test_rate_limit_headers_keeps_quota_headers_only_in_lower_case():
    headers = CIMultiDict(
        {
            "Anthropic-RateLimit-Requests-Remaining": "12",
            "x-ratelimit-reset-tokens": "6m0s",
            "anthropic-priority-input-tokens-limit": "5",
            "set-cookie": "session=1",
            "content-type": "application/json",
            "anthropic-organization-id": "org",
        }
    )
    assert rate_limit_headers(headers, NONE) == {
        "anthropic-ratelimit-requests-remaining": "12",
        "x-ratelimit-reset-tokens": "6m0s",
        "anthropic-priority-input-tokens-limit": "5",
    }


def test_request_id_takes_either_name():
    assert request_id(CIMultiDict({"Request-Id": "req_1"}), NONE) == "req_1"
    assert request_id(CIMultiDict({"X-Request-Id": "req_2"}), NONE) == "req_2"
    assert request_id(CIMultiDict({}), NONE) is None


@pytest.mark.parametrize(
    "text",
    [
        "invalid key my-planted-key",
        "Authorization: Bearer abcdefgh12345",
        "got 'authorization': 'Bearer abcdefgh12345'",
        "x-api-key: abcdefgh12345",
        "Incorrect API key provided: sk-proj-abcdefgh12345*****xyz",
        'headers {"api_key": "abcdefgh12345"}',
    ],
)
def test_redactor_removes_the_key_and_what_looks_like_one(text):
    cleaned = Redactor("my-planted-key").text(text)
    assert "planted" not in cleaned
    assert "abcdefgh12345" not in cleaned
    assert "[removed]" in cleaned


def test_redactor_removes_a_key_that_the_cut_would_halve():
    text = "a" * (MAX_MESSAGE - 8) + "my-planted-key"
    cleaned = Redactor("my-planted-key").text(text)
    assert len(cleaned) <= MAX_MESSAGE
    assert "my-" not in cleaned


def test_redactor_makes_text_harmless_to_terminals():
    assert NONE.text("a\x1b[31mred\x00\u202eb\nc") == "a [31mred b c"


def test_redactor_repr_does_not_show_the_key():
    assert "planted" not in repr(Redactor("my-planted-key"))


@pytest.mark.parametrize(
    ("body", "facts"),
    [
        (
            b'{"error":{"type":"rate_limit_error","message":"m","details":{"error_code":"c"}}}',
            ("rate_limit_error", "c", "m"),
        ),
        (b'{"error":{"type":"t","message":"m","code":"x"}}', ("t", "x", "m")),
        (b'{"error":{"type":"t","message":"m","code":404}}', ("t", None, "m")),
        (b'{"error":{"type":"t","message":"m","code":"404"}}', ("t", None, "m")),
        (b'{"error":"model not found"}', (None, None, "model not found")),
        (b'{"object":"error","type":"NotFound","message":"m"}', ("NotFound", None, "m")),
        (b"<html>bad gateway</html>", (None, None, "<html>bad gateway</html>")),
        (b"[1]", (None, None, "[1]")),
        (b"", (None, None, "")),
        (b'{"error":{"type":1,"details":[]}}', (None, None, '{"error":{"type":1,"details":[]}}')),
    ],
)
def test_error_facts_reads_every_known_form(body, facts):
    assert error_facts(body) == facts
