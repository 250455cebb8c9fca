"""Errors of a simulated server: the table of statuses, and their bodies on both wires. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import orjson


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiError:
    """An error status and what its body says."""

    status: int
    type: str | None
    """`error.type`; None: the body is no JSON but a proxy's page."""
    message: str
    code: str | None = None
    """`error.details.error_code`."""
    retry_after_s: int | None = None


ERRORS: Mapping[str, ApiError] = MappingProxyType(
    {
        "bad_request": ApiError(
            status=400, type="invalid_request_error", message="messages: roles must alternate"
        ),
        "spend_limit_400": ApiError(
            status=400,
            type="invalid_request_error",
            message=(
                "You have reached your specified workspace API usage limits until "
                "2026-12-01 00:00 UTC."
            ),
        ),
        "authentication": ApiError(
            status=401, type="authentication_error", message="invalid x-api-key"
        ),
        "billing": ApiError(
            status=402, type="billing_error", message="your organisation has no payment method"
        ),
        "permission": ApiError(
            status=403, type="permission_error", message="your key may not use this model"
        ),
        "unknown_model": ApiError(
            status=404, type="not_found_error", message="model: no-such-model"
        ),
        "request_timeout": ApiError(
            status=408, type="timeout_error", message="the request was not read in time"
        ),
        "conflict": ApiError(status=409, type="conflict_error", message="the resource was busy"),
        "too_large": ApiError(
            status=413, type=None, message="<html><h1>413 Request Entity Too Large</h1></html>"
        ),
        "unprocessable": ApiError(
            status=422, type="invalid_request_error", message="max_tokens: must be an integer"
        ),
        "rate_limited": ApiError(
            status=429,
            type="rate_limit_error",
            message="this would exceed your requests per minute",
            retry_after_s=1,
        ),
        "ramp_limited": ApiError(
            status=429,
            type="rate_limit_error",
            code="ramp_limit_exceeded",
            message="usage rose too fast",
            retry_after_s=2,
        ),
        "spend_limit": ApiError(
            status=429,
            type="rate_limit_error",
            code="enforced_spend_limit_reached",
            message="the monthly spend limit is reached",
        ),
        "contract_spend_limit": ApiError(
            status=429,
            type="rate_limit_error",
            code="contract_spend_limit_reached",
            message="the spend limit of the contract is reached",
        ),
        "server_error": ApiError(status=500, type="api_error", message="internal server error"),
        "bad_gateway": ApiError(
            status=502, type=None, message="<html><h1>502 Bad Gateway</h1></html>"
        ),
        "unavailable": ApiError(status=503, type="api_error", message="service unavailable"),
        "gateway_timeout": ApiError(
            status=504, type="timeout_error", message="the upstream took too long"
        ),
        "overloaded": ApiError(status=529, type="overloaded_error", message="overloaded"),
        "teapot": ApiError(status=418, type=None, message="short and stout"),
    }
)
"""Errors that can be asked for by name."""

_CHAT_TYPES = {"rate_limit_error": "requests", "overloaded_error": "server_error"}
_CHAT_CODES = {"rate_limit_error": "rate_limit_exceeded", "not_found_error": "model_not_found"}
_CHAT_RENAMED = {
    "enforced_spend_limit_reached": "insufficient_quota",
    "contract_spend_limit_reached": "insufficient_quota",
}


def error_body(error: ApiError, request_id: str, *, chat: bool = False) -> bytes:
    """Return the body of an error, or of an `error` event of a stream."""
    if error.type is None:
        return error.message.encode()
    if chat:
        code = error.code or _CHAT_CODES.get(error.type)
        fields = {
            "message": error.message,
            "type": _CHAT_TYPES.get(error.type, error.type),
            "param": None,
            "code": _CHAT_RENAMED.get(code or "", code),
        }
        return orjson.dumps({"error": fields})
    told: dict[str, object] = {"type": error.type, "message": error.message}
    if error.code:
        told["details"] = {"error_code": error.code}
    return orjson.dumps({"type": "error", "error": told, "request_id": request_id})
