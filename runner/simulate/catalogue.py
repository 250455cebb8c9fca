"""What the simulated API tells about itself: its models and its rate limits. Pure.

`GET /v1/models` and `GET /v1/organizations/rate_limits` in the shapes of API version 2026-10-21.
The limits are the configured ones: those in force after a step in mid-run stand in the headers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from runner.simulate.config import GroupConfig, SimulateConfig


def model_facts(model: str) -> dict[str, object]:
    """Return one entry of the Models API."""
    return {
        "id": model,
        "type": "model",
        "display_name": model,
        "created_at": "2026-01-01T00:00:00Z",
        "max_input_tokens": 1_000_000,
        "max_tokens": 128_000,
    }


def models_page(config: SimulateConfig) -> dict[str, object]:
    """Return the list of the Models API: what the settings list under `models`."""
    listed = [model_facts(name) for name in config.models]
    first, last = (listed[0]["id"], listed[-1]["id"]) if listed else (None, None)
    return {"data": listed, "has_more": False, "first_id": first, "last_id": last}


def rate_limits_page(config: SimulateConfig, query: Mapping[str, str]) -> dict[str, object] | None:
    """Return a page of the Rate Limits API; None: the model asked for is not served.

    Args:
        config: the settings.
        query: `model`, `group_type`, `limit` and `page` as in the URL.

    Raises:
        ValueError: `limit` or `page` is no number that the API takes.
    """
    entries = list(_entries(config))
    model = query.get("model")
    if model is not None:
        entries = [e for e in entries if model in (e["models"] or ())]
        if not entries and not (config.only_listed and model not in config.models):
            entries = [_group(model, config.quota, [model])]
        if not entries:
            return None
    kind = query.get("group_type")
    if kind is not None:
        entries = [e for e in entries if e["group"]["type"] == kind]
    start = int(query.get("page", "0"))
    size = int(query.get("limit", str(len(entries) or 1)))
    if not 1 <= size <= 1000 and "limit" in query:
        msg = "limit: Input should be from 1 to 1000"
        raise ValueError(msg)
    following = start + size
    return {
        "data": entries[start:following],
        "next_page": str(following) if following < len(entries) else None,
    }


def _entries(config: SimulateConfig) -> Iterator[dict[str, Any]]:
    for name, group in config.groups.items():
        yield _group(name, group, [m for m, own in config.models.items() if own.group == name])
    for name, own in config.models.items():
        if own.group is None:
            yield _group(name, config.quota, [name])
    yield {
        "id": "rl_simulated_token_count",
        "type": "rate_limit",
        "group": {"id": "rlg_simulated_token_count", "type": "token_count"},
        "models": None,
        "limits": [{"type": "requests_per_minute", "value": round(config.count_tokens_rpm)}],
    }


def _group(name: str, group: GroupConfig, models: list[str]) -> dict[str, Any]:
    limits = {
        "requests_per_minute": group.rpm,
        "input_tokens_per_minute_cache_aware": group.itpm,
        "output_tokens_per_minute": group.otpm,
    }
    return {
        "id": f"rl_simulated_{name}",
        "type": "rate_limit",
        "group": {"id": f"rlg_simulated_{name}", "type": "model_group", "display_name": name},
        "models": models,
        "limits": [{"type": k, "value": round(v)} for k, v in limits.items() if v is not None],
    }
