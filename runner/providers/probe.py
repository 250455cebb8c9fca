"""Whether a model's server is there at all: one cheap request that costs nothing, without a key."""

from __future__ import annotations

import os
from collections.abc import Mapping

import aiohttp
from yarl import URL

from runner.config.schema import ModelConfig, ProviderKind
from runner.providers.open import base_url_of, proxy_for

TIMEOUT_S = 5.0


async def probe(
    model: ModelConfig, environ: Mapping[str, str], *, timeout_s: float = TIMEOUT_S
) -> str | None:
    """Ask a model's endpoint for its base URL; any HTTP answer means that it is there.

    Args:
        model: from the resolved configuration.
        environ: where proxies are looked up.
        timeout_s: for the whole attempt.

    Returns:
        None where the server answered, or where the model is served by the runner itself; else
        what is wrong, in one line.
    """
    if model.provider is ProviderKind.local:
        return None
    url = URL(base_url_of(model))
    timeout = aiohttp.ClientTimeout(total=timeout_s)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.get(url, allow_redirects=False, proxy=proxy_for(url, environ)),
        ):
            return None
    except TimeoutError:
        return f"no answer from {url.host}:{url.port} within {timeout_s:g} s"
    except aiohttp.ClientConnectorError as error:
        cause, number = error.os_error, error.os_error.errno or 0
        # asyncio's own text of a refusal names the address once more and not what happened.
        said = os.strerror(number) if number > 0 else cause.strerror or str(error)
        return f"no connection to {url.host}:{url.port}: {said.lower()}"
    except (aiohttp.ClientError, OSError) as error:
        return f"{url.host}:{url.port} does not speak HTTP as expected: {error}"
