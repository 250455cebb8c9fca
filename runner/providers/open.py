"""Opens the provider of a model: the only place that reads keys, and that knows all providers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from yarl import URL

from runner.config.schema import ModelConfig, ProviderKind
from runner.core.errors import ConfigError
from runner.providers import messages_api, openai_chat

if TYPE_CHECKING:
    from runner.providers.protocol import Provider

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_SECRET_HEADERS = frozenset({"authorization", "x-api-key", "api-key", "proxy-authorization"})


def open_provider(
    model: ModelConfig, *, environ: Mapping[str, str], max_body_bytes: int
) -> Provider:
    """Return the provider of a model, ready for `send`; connects to nothing yet.

    Args:
        model: from the resolved configuration.
        environ: where keys and proxies are looked up, usually `os.environ`.
        max_body_bytes: larger response bodies are not read to their end.

    Raises:
        ConfigError: every reason why the model cannot be called: a key variable that is not set
            (named, its value never shown), parameters that the runner sets itself, a URL with
            secrets in it, a local model that cannot be served here.
    """
    if problems := problems_of(model, environ):
        raise ConfigError(*problems)
    key = _key(model, environ)
    if model.provider is ProviderKind.local:
        from runner.providers.local import LocalProvider  # noqa: PLC0415  # only where it is used

        return LocalProvider(model, max_body_bytes=max_body_bytes)
    base_url = base_url_of(model)
    proxy = proxy_for(URL(base_url), environ)
    if model.provider is ProviderKind.openai:
        from runner.providers.openai_api import OpenAIProvider  # noqa: PLC0415  # aiohttp: 0.3 s

        return OpenAIProvider(
            model, base_url=base_url, key=key, proxy=proxy, max_body_bytes=max_body_bytes
        )
    from runner.providers.anthropic_api import AnthropicProvider  # noqa: PLC0415  # 1.5 s

    return AnthropicProvider(
        model, base_url=base_url, key=key, proxy=proxy, max_body_bytes=max_body_bytes
    )


def proxy_for(url: URL, environ: Mapping[str, str]) -> str | None:
    """Return the proxy that the usual environment variables name for a URL; loopback has none."""
    if url.host in _LOOPBACK:
        return None
    excluded = environ.get("no_proxy") or environ.get("NO_PROXY") or ""
    if url.host and excluded and _is_excluded(url.host, excluded):
        return None
    for name in (f"{url.scheme}_proxy", "all_proxy"):
        found = environ.get(name) or environ.get(name.upper())
        if found:
            return found
    return None


def _is_excluded(host: str, excluded: str) -> bool:
    """Read `no_proxy`: `*`, hosts, and domains with all that is below them."""
    names = [name.strip().lstrip(".").lower() for name in excluded.split(",")]
    lower = host.lower()
    return any(n in {"*", lower} or lower.endswith(f".{n}") for n in names if n)


def base_url_of(model: ModelConfig) -> str:
    """Return the configured base URL, or the provider's public endpoint; '' for `local`."""
    if model.provider is ProviderKind.local:
        return ""
    return (
        model.base_url
        or {
            ProviderKind.anthropic: "https://api.anthropic.com",
            ProviderKind.openai: "https://api.openai.com/v1",
        }[model.provider]
    )


def problems_of(model: ModelConfig, environ: Mapping[str, str]) -> list[str]:
    """Return what keeps a model from being called, one line each; no value of a key in it."""
    where = f"models.{model.name}"
    problems: list[str] = []
    if model.provider is not ProviderKind.local:
        problems += _url_problems(where, base_url_of(model))
        if model.api_key_env is not None and not _key(model, environ):
            problems.append(
                f"{where}.api_key_env: the environment variable {model.api_key_env} is not set. "
                f"Set it to the key of {URL(base_url_of(model)).host}."
            )
    key = _key(model, environ) or ""
    if not key.isascii() or any(ord(c) <= 32 for c in key):
        problems.append(
            f"{where}.api_key_env: the value of {model.api_key_env} holds spaces, line breaks or "
            "characters beyond ASCII. Set it to the bare key."
        )
    problems += [
        f"{where}.headers.{name}: a header for secrets; configurations are stored in clear. "
        "Name the variable of the key in api_key_env."
        for name in model.headers
        if name.lower() in _SECRET_HEADERS
    ]
    problems += _param_problems(where, model)
    if model.provider is ProviderKind.anthropic and environ.get("ANTHROPIC_CUSTOM_HEADERS"):
        problems.append(
            f"{where}: the environment variable ANTHROPIC_CUSTOM_HEADERS would change requests "
            "unseen. Unset it, and write the headers to models.<name>.headers."
        )
    return problems


def _key(model: ModelConfig, environ: Mapping[str, str]) -> str | None:
    if model.api_key_env is None or model.provider is ProviderKind.local:
        return None
    return environ.get(model.api_key_env, "").strip() or None


def _url_problems(where: str, base_url: str) -> list[str]:
    try:
        url = URL(base_url)
    except ValueError:
        url = URL()
    if url.scheme not in {"http", "https"} or not url.host:
        return [f"{where}.base_url: {base_url!r} is no http or https URL."]
    if url.user is not None or url.password is not None or url.query_string or url.fragment:
        msg = (
            f"{where}.base_url: user, password, query and fragment are not taken (they would be "
            "stored in clear). Give scheme, host, port and path only."
        )
        return [msg]
    return []


def _param_problems(where: str, model: ModelConfig) -> list[str]:
    reserved = set(
        openai_chat.RESERVED if model.provider is ProviderKind.openai else messages_api.RESERVED
    )
    if model.send_seed:
        reserved.add("seed")
    return [
        f"{where}.params.{name}: the runner sets this key of the request itself. "
        + ("Set models.<name>.max_tokens." if name == "max_tokens" else "Remove it from params.")
        for name in sorted(reserved & set(model.params))
    ]
