"""What a model contributes to a cell's identity: its role's endpoint, revision and parameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import urlsplit

from runner.config.schema import ModelConfig, ProviderKind
from runner.core.identity import canonical_json, join_canonical
from runner.core.values import TARGET
from runner.scenarios.findings import Findings

PUBLIC_ENDPOINTS: Mapping[ProviderKind, str] = {
    ProviderKind.anthropic: "api.anthropic.com",
    ProviderKind.openai: "api.openai.com/v1",
}
"""What `endpoint_id` is for a model without `base_url`."""

LOCAL_ENDPOINT = "local"

REQUEST_KEYS = frozenset({"model", "messages", "system", "tools", "max_tokens", "seed", "stream"})
"""Keys of a request that have a place of their own and may not come in through `params`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A model as the identity sees it."""

    config: ModelConfig
    endpoint_id: str
    facts: Mapping[str, object]
    """What the identity says of the model, in whatever role."""
    canonical: bytes
    """`facts` as canonical JSON."""


def roles_of(
    target: Target, cast_: Sequence[tuple[str, str]], known: Mapping[str, Target]
) -> dict[str, object]:
    """Return the `roles` part of the identity.

    Args:
        target: the model under test.
        cast_: further roles, each with the name of its model.
        known: every model by name.
    """
    return {TARGET: target.facts, **{role: known[actor].facts for role, actor in cast_}}


def canonical_roles(
    target: Target, cast_: Sequence[tuple[str, str]], known: Mapping[str, Target]
) -> bytes:
    """Return `roles_of` as canonical JSON."""
    others = {role: known[actor].canonical for role, actor in cast_}
    return join_canonical({TARGET: target.canonical, **others})


def endpoint_id(model: ModelConfig) -> str:
    """Return what stands for the endpoint: as configured, else host and path of the base URL.

    The port is left out: a gateway that moves to another port serves the same models.

    Raises:
        ValueError: the base URL names no host.
    """
    if model.endpoint_id:
        return model.endpoint_id
    if model.provider is ProviderKind.local:
        return LOCAL_ENDPOINT
    if model.base_url is None:
        return PUBLIC_ENDPOINTS[model.provider]
    address = urlsplit(model.base_url)
    if address.scheme not in {"http", "https"} or not address.hostname:
        msg = f"{model.base_url!r} is no http address. Write for instance http://127.0.0.1:8000"
        raise ValueError(msg)
    return address.hostname + address.path.rstrip("/")


def read_target(
    model: ModelConfig, revision: str | None, key: str, findings: Findings
) -> Target | None:
    """Return the model's part of the identity, or None after noting what is wrong with it.

    Args:
        model: the model.
        revision: hash of the local weights; `model.revision`, if given, goes before it.
        key: the model's readable path, `models.m1`.
        findings: where faults go.
    """
    before = len(findings.errors)
    try:
        endpoint = endpoint_id(model)
    except ValueError as error:
        findings.error(f"{key}.base_url", str(error))
        endpoint = ""
    if not model.model and model.provider is not ProviderKind.local:
        findings.error(f"{key}.model", "the id that the API knows is missing", "Add `model:`")
    if model.max_tokens < 1:
        findings.error(f"{key}.max_tokens", f"{model.max_tokens} is no limit", "Use 1 or more")
    for name in sorted(REQUEST_KEYS & set(model.params)):
        place = "send_seed: true" if name == "seed" else f"its own key, not `params.{name}`"
        findings.error(f"{key}.params.{name}", f"{name} cannot be a parameter", f"Use {place}")
    facts: dict[str, object] = {
        "provider": model.provider.value,
        "endpoint_id": endpoint,
        "model": model.model,
        "revision": model.revision or revision,
        "request": {
            "max_tokens": model.max_tokens,
            "params": model.params,
            "send_seed": model.send_seed,
            "headers": {name.lower(): value for name, value in model.headers.items()},
        },
    }
    try:
        canonical = canonical_json(facts, key)
    except ValueError as error:
        path, _, what = str(error).replace(".request", "").partition(": ")
        findings.error(path, what)
        canonical = b""
    if len(findings.errors) > before:
        return None
    return Target(config=model, endpoint_id=endpoint, facts=facts, canonical=canonical)


def flatten(value: object, key: str = "") -> dict[str, object]:
    """Return the leaves of nested mappings by dotted path; an empty mapping is a leaf."""
    if not isinstance(value, Mapping) or not value:
        return {key: value}
    leaves: dict[str, object] = {}
    for name, item in cast("Mapping[str, Any]", value).items():
        leaves.update(flatten(item, f"{key}.{name}" if key else name))
    return leaves
