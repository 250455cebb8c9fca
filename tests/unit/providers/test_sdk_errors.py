"""Every error class of the installed SDK, really constructed, lands in one row of the failure table.

The classes are found by introspection, so a new SDK that brings one fails here until it is looked at.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

import anthropic
import httpx2
import pytest
from anthropic import _error_classes as error_classes
from anthropic.resources.messages.messages import DEPRECATED_MODELS

from runner.config.schema import ModelConfig
from runner.core.values import FailureKind
from runner.providers.anthropic_api import AnthropicProvider, retirements
from runner.providers.classify import FAILURES

K = FailureKind
KEY = "sk-test-5f0c9d"
REQUEST = httpx2.Request("POST", "http://127.0.0.1:9/v1/messages", headers={"authorization": KEY})

BY_STATUS = {
    400: ("invalid_request_error", K.BAD_REQUEST),
    401: ("authentication_error", K.AUTHENTICATION),
    402: ("billing_error", K.BILLING),
    403: ("permission_error", K.PERMISSION),
    404: ("not_found_error", K.UNKNOWN_MODEL),
    408: ("timeout_error", K.TIMEOUT),
    409: ("conflict_error", K.CONFLICT),
    412: ("invalid_request_error", K.BAD_REQUEST),
    413: ("request_too_large", K.REQUEST_TOO_LARGE),
    418: ("invalid_request_error", K.UNKNOWN_STATUS),  # plain APIStatusError
    422: ("invalid_request_error", K.BAD_REQUEST),
    429: ("rate_limit_error", K.RATE_LIMITED),
    431: ("invalid_request_error", K.BAD_REQUEST),
    499: ("invalid_request_error", K.UNKNOWN_STATUS),
    500: ("api_error", K.SERVER_ERROR),
    501: ("api_error", K.SERVER_ERROR),
    503: ("api_error", K.OVERLOADED),
    504: ("timeout_error", K.TIMEOUT),
    529: ("overloaded_error", K.OVERLOADED),
}
"""Status to (type that the API sends with it, expected kind)."""
BY_CODE = {
    "organization_on_hold": K.BILLING,
    "linked_organization_spend_limit_reached": K.SPEND_LIMIT,
    "enforced_spend_limit_reached": K.SPEND_LIMIT,
    "contract_spend_limit_reached": K.SPEND_LIMIT,
    "ramp_limit_exceeded": K.RAMP_LIMITED,
    "request_body_timeout": K.TIMEOUT,
}
"""Codes of which the status alone would say too little."""
WITHOUT_STATUS = {
    anthropic.AnthropicError: (lambda c: c("?"), K.INTERNAL),
    anthropic.APIError: (lambda c: c("?", REQUEST, body=None), K.INTERNAL),
    anthropic.APIConnectionError: (lambda c: c(request=REQUEST), K.CONNECTION),
    anthropic.APITimeoutError: (lambda c: c(REQUEST), K.TIMEOUT),
    anthropic.APIResponseValidationError: (
        lambda c: c(httpx2.Response(200, request=REQUEST), None),
        K.BAD_RESPONSE,
    ),
    anthropic.APIWebhookValidationError: (lambda c: c("?", REQUEST, body=None), K.INTERNAL),
    anthropic.RetryableError: (lambda c: c("?"), K.INTERNAL),  # raised by middleware; we have none
    anthropic.CredentialsError: (lambda c: c("?"), K.AUTHENTICATION),
    anthropic.IdentityTokenFileError: (lambda c: c("?"), K.AUTHENTICATION),
}


def subclasses(root: type[Exception]) -> Iterator[type[Exception]]:
    yield root
    for child in root.__subclasses__():
        yield from subclasses(child)


STATUS_CLASSES = dict.fromkeys(
    c for c in subclasses(anthropic.APIStatusError) if c.__module__.startswith("anthropic")
)
OTHER_CLASSES = [
    c
    for c in dict.fromkeys(subclasses(anthropic.AnthropicError))
    if c.__module__ in {"anthropic", "anthropic._exceptions"} and c not in STATUS_CLASSES
]
"""Those of `anthropic.lib` (toolsets, cloud log-ins, its own stream readers) no plain call raises."""
KEYS = [*error_classes.ERROR_CLASSES, (418, None), (500, None)]


@pytest.fixture(scope="module")
def provider() -> AnthropicProvider:
    model = ModelConfig(name="m", model="x", base_url="http://127.0.0.1:9")
    return AnthropicProvider(
        model, base_url="http://127.0.0.1:9", key=KEY, proxy=None, max_body_bytes=1000
    )


def raised(status: int, code: str | None) -> anthropic.APIStatusError:
    """Let the SDK itself construct what it raises for a response."""
    error: dict[str, object] = {"type": BY_STATUS[status][0], "message": f"no, {KEY}"}
    if code is not None:
        error["details"] = {"error_code": code}
    response = httpx2.Response(
        status,
        json={"type": "error", "error": error},
        request=REQUEST,
        headers={"retry-after": "7", "request-id": "req_1"},
    )
    client = anthropic.AsyncAnthropic(api_key=KEY)
    return client._make_status_error_from_response(response)


def test_every_status_class_of_the_sdk_is_one_that_it_raises():
    assert {type(raised(status, code)) for status, code in KEYS} == set(STATUS_CLASSES)


@pytest.mark.parametrize(("status", "code"), KEYS, ids=str)
def test_status_error_of_the_sdk_lands_in_its_row(
    provider: AnthropicProvider, status: int, code: str | None
):
    failure = provider.failure(raised(status, code))
    expected = BY_CODE.get(code or "", BY_STATUS[status][1])
    if status == 404 and code is not None:
        expected = K.BAD_REQUEST  # something else than the model was not found
    assert failure.kind is expected
    assert [kind for kind in FAILURES if kind is failure.kind] == [expected]
    assert (failure.status, failure.error_code, failure.retry_after_s) == (status, code, 7.0)
    assert KEY not in repr(failure)


@pytest.mark.parametrize("sdk_class", OTHER_CLASSES, ids=lambda c: c.__name__)
def test_error_of_the_sdk_without_a_status_lands_in_its_row(
    provider: AnthropicProvider, sdk_class: type[Exception]
):
    make, kind = WITHOUT_STATUS[sdk_class]
    failure = provider.failure(make(sdk_class))
    assert failure.kind is kind
    assert failure.kind in FAILURES
    assert KEY not in repr(failure)


def test_every_model_that_the_sdk_calls_deprecated_has_a_day_on_which_it_ends() -> None:
    found = retirements()
    assert set(found) == set(DEPRECATED_MODELS)
    assert found["claude-mythos-preview"] == date(2026, 6, 30)
    assert found["claude-3-sonnet-20240229"] == date(2025, 7, 21)
    assert found["claude-sonnet-4-5"] == date(2026, 11, 30)
