"""The one table: what each kind of failed attempt means, and which kind an API error is. Pure.

`FAILURES` is used by retry (`execute`), by records and by statistics alike; `docs/retries.md` is
generated from it (`runner.providers.retries_page`). `classify` looks at the API's error code
first, then at its error type, then at the status family; what it does not know is neither
retried nor allowed to stop anything but its own job.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from runner.core.values import Budget, EndState, FailureKind, Stop


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What follows from one kind of failure."""

    cause: str
    """In few words, for tables and progress."""
    retry: bool
    """Whether the same request is sent again."""
    budget: Budget
    stop: Stop
    end_state: EndState | None
    """How the job ends when it is not retried, or its own budget is used up; None: it never ends
    by this, it stays owed."""
    meaning: str
    """One or two sentences for `docs/retries.md`."""


def _again(cause: str, meaning: str) -> Row:
    return Row(
        cause=cause,
        retry=True,
        budget=Budget.JOB,
        stop=Stop.NOTHING,
        end_state=EndState.FAILED,
        meaning=meaning,
    )


def _wait(cause: str, meaning: str, budget: Budget) -> Row:
    return Row(
        cause=cause,
        retry=True,
        budget=budget,
        stop=Stop.NOTHING,
        end_state=None,
        meaning=meaning,
    )


def _job_ends(
    cause: str,
    meaning: str,
    stop: Stop = Stop.JOB,
    end_state: EndState = EndState.FAILED,
) -> Row:
    return Row(
        cause=cause,
        retry=False,
        budget=Budget.NONE,
        stop=stop,
        end_state=end_state,
        meaning=meaning,
    )


def _model_stops(cause: str, meaning: str) -> Row:
    return Row(
        cause=cause,
        retry=False,
        budget=Budget.NONE,
        stop=Stop.MODEL,
        end_state=None,
        meaning=meaning,
    )


FAILURES: Mapping[FailureKind, Row] = MappingProxyType(
    {
        FailureKind.CONNECTION: _wait(
            "no connection",
            "Refused, name not resolved, TLS not agreed, connect timed out, reset, or closed "
            "before a status line came. `error_type` says which.",
            Budget.INFRASTRUCTURE,
        ),
        FailureKind.TIMEOUT: _again(
            "timeout",
            "No whole answer within `timeout_s`, HTTP 408 or 504, or `timeout_error`. The server "
            "may have worked, and billed, all the same.",
        ),
        FailureKind.RATE_LIMITED: _wait(
            "rate limited",
            "HTTP 429 or `rate_limit_error`: the quota group waits `retry-after` plus jitter.",
            Budget.RATE_LIMIT,
        ),
        FailureKind.RAMP_LIMITED: _wait(
            "ramp limited",
            "`ramp_limit_exceeded`: usage rose too fast although quota is free; the "
            "group's ramp slows down, its quota is not touched.",
            Budget.RATE_LIMIT,
        ),
        FailureKind.OVERLOADED: _wait(
            "overloaded",
            "HTTP 529 or 503, or `overloaded_error`, inside HTTP 200 too: the server is full for "
            "everybody; says nothing about the quota. Opens the breaker where it is frequent.",
            Budget.OVERLOAD,
        ),
        FailureKind.SERVER_ERROR: _again(
            "server error",
            "Any other HTTP 5xx, or `api_error`. Counts against the job only while others succeed.",
        ),
        FailureKind.CONFLICT: _again("conflict", "HTTP 409 or `conflict_error`."),
        FailureKind.TRUNCATED_RESPONSE: _again(
            "truncated response",
            "HTTP 200, but the body broke off, or it has no stop reason.",
        ),
        FailureKind.BAD_RESPONSE: _again(
            "bad response",
            "HTTP 200, but the body is no JSON (a proxy's page?) or no message.",
        ),
        FailureKind.RESPONSE_TOO_LARGE: _job_ends(
            "response too large",
            "The body is larger than `max_record_bytes`; reading was broken off.",
            end_state=EndState.TOO_LARGE,
        ),
        FailureKind.BAD_REQUEST: _job_ends(
            "bad request",
            "HTTP 400, 405, 406, 411, 412, 414, 415, 422 or 431, or `invalid_request_error`: the "
            "server will say the same to the same request.",
        ),
        FailureKind.REQUEST_TOO_LARGE: _job_ends(
            "request too large", "HTTP 413 or `request_too_large`."
        ),
        FailureKind.AUTHENTICATION: _model_stops(
            "key refused", "HTTP 401 or `authentication_error`: no request with this key can pass."
        ),
        FailureKind.PERMISSION: _job_ends(
            "not permitted",
            "HTTP 403 or `permission_error`. May concern one request only, so the model stops "
            "when it repeats across jobs without a success between.",
            stop=Stop.MODEL_IF_REPEATED,
        ),
        FailureKind.BILLING: _model_stops(
            "billing",
            "HTTP 402, `billing_error`, no credit left, or an organisation on hold.",
        ),
        FailureKind.SPEND_LIMIT: _model_stops(
            "spend limit",
            "A spend limit is reached: a 429 with `enforced_spend_limit_reached`, "
            "`contract_spend_limit_reached` or `insufficient_quota`, or a 400 that begins `You "
            "have reached your specified API usage limits`. Waiting does not help.",
        ),
        FailureKind.UNKNOWN_MODEL: _model_stops(
            "unknown model",
            "HTTP 404 or `model_not_found`: the endpoint does not know the model, or `base_url` "
            "is not an API.",
        ),
        FailureKind.UNKNOWN_STATUS: _job_ends(
            "unknown status",
            "A status that no row above names (a redirect, 410, 418, 451, 499 …).",
        ),
        FailureKind.INTERNAL: _again(
            "internal error",
            "An exception inside the runner's own request path: a bug to report, never hidden.",
        ),
    }
)
"""Every FailureKind has exactly one row."""

_BY_CODE: Mapping[str, FailureKind] = MappingProxyType(
    {
        "enforced_spend_limit_reached": FailureKind.SPEND_LIMIT,
        "contract_spend_limit_reached": FailureKind.SPEND_LIMIT,
        "linked_organization_spend_limit_reached": FailureKind.SPEND_LIMIT,
        "insufficient_quota": FailureKind.SPEND_LIMIT,
        "billing_hard_limit_reached": FailureKind.SPEND_LIMIT,
        "linked_organization_billing_unavailable": FailureKind.BILLING,
        "organization_on_hold": FailureKind.BILLING,
        "billing_not_active": FailureKind.BILLING,
        "ramp_limit_exceeded": FailureKind.RAMP_LIMITED,
        "rate_limit_exceeded": FailureKind.RATE_LIMITED,
        "model_not_found": FailureKind.UNKNOWN_MODEL,
        "invalid_api_key": FailureKind.AUTHENTICATION,
        "account_deactivated": FailureKind.AUTHENTICATION,
        "context_length_exceeded": FailureKind.BAD_REQUEST,
        "content_policy_violation": FailureKind.BAD_REQUEST,
        "request_body_timeout": FailureKind.TIMEOUT,
        "request_body_too_large_after_decoding": FailureKind.REQUEST_TOO_LARGE,
    }
)
"""Codes that say more than type and status; any other code is read as if it were absent, but for
HTTP 404, where it names something else than the model."""

_BY_TYPE: Mapping[str, FailureKind] = MappingProxyType(
    {
        "authentication_error": FailureKind.AUTHENTICATION,
        "billing_error": FailureKind.BILLING,
        "permission_error": FailureKind.PERMISSION,
        "rate_limit_error": FailureKind.RATE_LIMITED,
        "timeout_error": FailureKind.TIMEOUT,
        "overloaded_error": FailureKind.OVERLOADED,
        "conflict_error": FailureKind.CONFLICT,
        "request_too_large": FailureKind.REQUEST_TOO_LARGE,
        "insufficient_quota": FailureKind.SPEND_LIMIT,
    }
)
"""Types that decide by themselves. `api_error`, `server_error`, `not_found_error` and
`invalid_request_error` are used for several statuses, so they decide only where there is no
status of their own."""

_BY_LOOSE_TYPE: Mapping[str, FailureKind] = MappingProxyType(
    {
        "api_error": FailureKind.SERVER_ERROR,
        "server_error": FailureKind.SERVER_ERROR,
        "invalid_request_error": FailureKind.BAD_REQUEST,
        "not_found_error": FailureKind.UNKNOWN_MODEL,
    }
)

_BY_STATUS: Mapping[int, FailureKind] = MappingProxyType(
    {
        400: FailureKind.BAD_REQUEST,
        401: FailureKind.AUTHENTICATION,
        402: FailureKind.BILLING,
        403: FailureKind.PERMISSION,
        404: FailureKind.UNKNOWN_MODEL,
        405: FailureKind.BAD_REQUEST,
        406: FailureKind.BAD_REQUEST,
        407: FailureKind.AUTHENTICATION,
        408: FailureKind.TIMEOUT,
        409: FailureKind.CONFLICT,
        411: FailureKind.BAD_REQUEST,
        412: FailureKind.BAD_REQUEST,
        413: FailureKind.REQUEST_TOO_LARGE,
        414: FailureKind.BAD_REQUEST,
        415: FailureKind.BAD_REQUEST,
        422: FailureKind.BAD_REQUEST,
        429: FailureKind.RATE_LIMITED,
        431: FailureKind.BAD_REQUEST,
        503: FailureKind.OVERLOADED,
        504: FailureKind.TIMEOUT,
        529: FailureKind.OVERLOADED,
    }
)

_SPEND_MESSAGE = re.compile(r"reached your specified (?:\w+ )?API usage limits", re.IGNORECASE)
_CREDIT_MESSAGE = re.compile(r"credit balance is too low", re.IGNORECASE)


def classify(
    status: int | None,
    error_type: str | None = None,
    error_code: str | None = None,
    message: str = "",
) -> FailureKind:
    """Return the kind of an API error.

    Args:
        status: of the response; 200 for an error object inside a successful response, None
            where there was none.
        error_type: `error.type` of the body.
        error_code: `error.details.error_code`, or `error.code` of a chat completions server.
        message: looked at only for the two errors that have neither a type nor a code of their
            own: a spend limit set by the user, and a used-up prepaid credit.
    """
    if error_code is not None and error_code in _BY_CODE:
        return _BY_CODE[error_code]
    if status in {400, 403, 429} and _SPEND_MESSAGE.search(message):
        return FailureKind.SPEND_LIMIT
    if status in {400, 403} and _CREDIT_MESSAGE.search(message):
        return FailureKind.BILLING
    if error_type is not None and error_type in _BY_TYPE:
        return _BY_TYPE[error_type]
    if status is None or status < 300:
        return _BY_LOOSE_TYPE.get(error_type or "", FailureKind.BAD_RESPONSE)
    if status == 404 and error_code is not None:
        return FailureKind.BAD_REQUEST
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    return FailureKind.SERVER_ERROR if 500 <= status < 600 else FailureKind.UNKNOWN_STATUS
