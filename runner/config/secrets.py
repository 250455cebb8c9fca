"""Refuses secrets in a configuration: it is copied into every sweep directory.

A value counts as a secret if it is, or contains, the value of an environment variable that holds
a key: one that some `api_key_env` names, or one whose name says so. No message prints a value.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from runner.config.yaml_tree import Node

_SAYS_SECRET = re.compile(r"(?:^|_)(?:API_?KEY|KEY|TOKEN|SECRET|PASSWORD|PASSWD)$", re.IGNORECASE)
_HEADERS = frozenset({"authorization", "proxy-authorization", "x-api-key", "api-key", "cookie"})
_LEAST_LENGTH = 8
"""Shorter values ("none", "test") occur in honest texts."""


def secret_values(tree: Node, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the secrets of this environment, value to the name of its variable."""
    named = {
        variable.value
        for model in _models(tree)
        if (variable := model.entries.get("api_key_env")) is not None
        and isinstance(variable.value, str)
    }
    return {
        value: name
        for name, value in environ.items()
        if len(value) >= _LEAST_LENGTH and (name in named or _SAYS_SECRET.search(name))
    }


def find_secrets(
    tree: Node, environ: Mapping[str, str], note: Callable[[Node, str, str], None]
) -> None:
    """Note every place of the tree that holds a secret or is made for one."""
    values = secret_values(tree, environ)
    _search(tree, "", values, note)
    for model in _models(tree):
        headers = model.entries.get("headers")
        for header, value in headers.entries.items() if headers is not None else ():
            if header.lower() in _HEADERS:
                text = "keys are sent by the provider. Name the variable in api_key_env instead."
                name = model.entries.get("name")
                at = f"models.{name.value}" if name is not None else "model_defaults"
                note(value, f"{at}.headers.{header}", text)


def _models(tree: Node) -> list[Node]:
    models, defaults = tree.entries.get("models"), tree.entries.get("model_defaults")
    found = list(models.items) if models is not None else []
    return [*found, defaults] if defaults is not None else found


def _search(
    node: Node, key: str, values: Mapping[str, str], note: Callable[[Node, str, str], None]
) -> None:
    if isinstance(node.value, str):
        for secret, variable in values.items():
            if secret in node.value:
                text = (
                    f"holds the value of the environment variable {variable}. Remove it; to use "
                    f"it as a key write api_key_env: {variable}."
                )
                note(node, key, text)
    for name, item in node.entries.items():
        _search(item, f"{key}.{name}" if key else name, values, note)
    for i, item in enumerate(node.items):
        name = item.entries.get("name")
        at = f".{name.value}" if name is not None else f"[{i}]"
        _search(item, f"{key}{at}", values, note)
