from __future__ import annotations

import pytest

from runner.core.values import Budget, EndState, FailureKind, Stop
from runner.providers.classify import FAILURES, classify

K = FailureKind


def test_failures_has_exactly_one_row_for_every_kind():
    assert set(FAILURES) == set(FailureKind)
    assert len({row.cause for row in FAILURES.values()}) == len(FAILURES)


WAITS = {Budget.RATE_LIMIT, Budget.OVERLOAD, Budget.INFRASTRUCTURE}


def test_rows_are_consistent():
    for kind, row in FAILURES.items():
        assert row.retry == (row.budget is not Budget.NONE), kind
        if row.budget in WAITS or row.stop is Stop.MODEL:
            assert row.end_state is None, f"{kind}: the job did nothing wrong and stays owed"
        else:
            assert row.end_state in {EndState.FAILED, EndState.TOO_LARGE}, kind
        if row.retry:
            assert row.stop is Stop.NOTHING, kind


def test_kinds_that_no_request_can_pass_stop_the_model_at_once():
    at_once = {kind for kind, row in FAILURES.items() if row.stop is Stop.MODEL}
    assert at_once == {K.AUTHENTICATION, K.BILLING, K.SPEND_LIMIT, K.UNKNOWN_MODEL}
    repeated = {kind for kind, row in FAILURES.items() if row.stop is Stop.MODEL_IF_REPEATED}
    assert repeated == {K.PERMISSION}


@pytest.mark.parametrize(
    ("status", "error_type", "error_code", "message", "kind"),
    [
        (400, "invalid_request_error", None, "bad", K.BAD_REQUEST),
        (400, "invalid_request_error", "tool_name_conflict", "bad", K.BAD_REQUEST),
        (400, "invalid_request_error", "request_body_timeout", "slow", K.TIMEOUT),
        (400, "invalid_request_error", "organization_on_hold", "hold", K.BILLING),
        (400, "exceed_context_size_error", None, "exceeds the context", K.BAD_REQUEST),
        (400, None, None, "Your credit balance is too low to access the API", K.BILLING),
        (400, None, None, "You have reached your specified API usage limits.", K.SPEND_LIMIT),
        (
            400,
            "invalid_request_error",
            None,
            "You have reached your specified workspace API usage limits.",
            K.SPEND_LIMIT,
        ),
        (401, None, None, "", K.AUTHENTICATION),
        (401, "invalid_request_error", "invalid_api_key", "", K.AUTHENTICATION),
        (402, "billing_error", "linked_organization_spend_limit_reached", "", K.SPEND_LIMIT),
        (402, None, None, "", K.BILLING),
        (403, "permission_error", None, "", K.PERMISSION),
        (404, "not_found_error", None, "model: x", K.UNKNOWN_MODEL),
        (404, None, None, "<html>", K.UNKNOWN_MODEL),
        (404, "not_found_error", "file_expired", "", K.BAD_REQUEST),
        (404, "invalid_request_error", "model_not_found", "", K.UNKNOWN_MODEL),
        (408, None, None, "", K.TIMEOUT),
        (409, "conflict_error", None, "", K.CONFLICT),
        (413, None, None, "<html>", K.REQUEST_TOO_LARGE),
        (413, "request_too_large", None, "", K.REQUEST_TOO_LARGE),
        (413, None, "request_body_too_large_after_decoding", "", K.REQUEST_TOO_LARGE),
        (418, None, None, "", K.UNKNOWN_STATUS),
        (429, "rate_limit_error", None, "", K.RATE_LIMITED),
        (429, "rate_limit_error", "ramp_limit_exceeded", "", K.RAMP_LIMITED),
        (429, "rate_limit_error", "enforced_spend_limit_reached", "", K.SPEND_LIMIT),
        (429, "rate_limit_error", "contract_spend_limit_reached", "", K.SPEND_LIMIT),
        (429, "insufficient_quota", "insufficient_quota", "", K.SPEND_LIMIT),
        (429, "tokens", "rate_limit_exceeded", "", K.RATE_LIMITED),
        (429, "rate_limit_error", "code_of_tomorrow", "", K.RATE_LIMITED),
        (500, "api_error", None, "", K.SERVER_ERROR),
        (502, None, None, "", K.SERVER_ERROR),
        (503, "api_error", None, "", K.OVERLOADED),
        (504, "timeout_error", None, "", K.TIMEOUT),
        (520, None, None, "", K.SERVER_ERROR),
        (529, "overloaded_error", None, "", K.OVERLOADED),
        (529, None, None, "", K.OVERLOADED),
        (200, "overloaded_error", None, "mid-stream", K.OVERLOADED),
        (200, "api_error", None, "mid-stream", K.SERVER_ERROR),
        (200, "invalid_request_error", None, "", K.BAD_REQUEST),
        (200, None, None, "", K.BAD_RESPONSE),
        (302, None, None, "", K.UNKNOWN_STATUS),
        (None, None, None, "", K.BAD_RESPONSE),
    ],
)
def test_classify_reads_code_then_type_then_status(status, error_type, error_code, message, kind):
    assert classify(status, error_type, error_code, message) is kind


@pytest.mark.parametrize("status", range(100, 1000))
def test_classify_of_an_unexplained_status_never_stops_more_than_it_must(status):
    row = FAILURES[classify(status)]
    if status not in {401, 402, 404, 407}:
        assert row.stop is not Stop.MODEL


def test_classify_does_not_take_a_spend_message_in_a_success_for_a_limit():
    text = "You have reached your specified API usage limits"
    assert classify(200, None, None, text) is K.BAD_RESPONSE
