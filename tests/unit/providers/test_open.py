from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from yarl import URL

from runner.config.schema import LocalServerConfig, ModelConfig, ProviderKind
from runner.core.errors import ConfigError
from runner.providers.open import open_provider, problems_of, proxy_for

URL_ = "http://127.0.0.1:1"


def model(**given: Any) -> ModelConfig:
    settings: dict[str, Any] = {"name": "m1", "model": "m", "base_url": URL_}
    return ModelConfig(**settings | given)


def problem(environ: dict[str, str] | None = None, **given: Any) -> str:
    (line,) = problems_of(model(**given), environ or {})
    return line


@pytest.mark.parametrize("provider", [ProviderKind.anthropic, ProviderKind.openai])
@pytest.mark.parametrize("environ", [{}, {"SOME_KEY": ""}, {"SOME_KEY": "  "}])
def test_open_without_the_key_names_the_variable(provider, environ):
    with pytest.raises(ConfigError, match=r"models\.m1\.api_key_env: .*SOME_KEY is not set"):
        open_provider(
            model(provider=provider, api_key_env="SOME_KEY"), environ=environ, max_body_bytes=1
        )


def test_problems_of_a_key_with_a_line_break_does_not_show_it():
    line = problem({"K": "abc\ndef"}, api_key_env="K")
    assert "bare key" in line
    assert "abc" not in line


@pytest.mark.parametrize(
    ("provider", "name"),
    [
        (ProviderKind.anthropic, "max_tokens"),
        (ProviderKind.anthropic, "messages"),
        (ProviderKind.anthropic, "system"),
        (ProviderKind.anthropic, "stream"),
        (ProviderKind.openai, "model"),
        (ProviderKind.openai, "n"),
    ],
)
def test_problems_of_params_that_the_runner_sets_itself(provider, name):
    assert f"models.m1.params.{name}:" in problem(provider=provider, params={name: 1})


def test_problems_of_a_seed_in_params_only_where_the_runner_sends_one():
    assert not problems_of(model(params={"seed": 1}), {})
    assert "params.seed" in problem(params={"seed": 1}, send_seed=True)


def test_problems_of_max_completion_tokens_there_are_none():
    params = {"max_completion_tokens": 5}
    assert not problems_of(model(provider=ProviderKind.openai, params=params), {})


@pytest.mark.parametrize("name", ["Authorization", "x-api-key"])
def test_problems_of_a_header_for_secrets(name):
    line = problem(headers={name: "hush-hush"})
    assert "api_key_env" in line
    assert "hush" not in line


@pytest.mark.parametrize("url", ["ftp://host", "no url", "http://", "//host/path"])
def test_problems_of_a_base_url_that_is_none(url):
    assert "base_url" in problem(base_url=url)


@pytest.mark.parametrize("url", ["http://me:secret@host", "http://host/v1?api-key=secret"])
def test_problems_of_a_base_url_with_a_secret_does_not_show_it(url):
    line = problem(base_url=url)
    assert "base_url" in line
    assert "secret" not in line


def test_problems_of_custom_headers_from_the_environment():
    assert "ANTHROPIC_CUSTOM_HEADERS" in problem({"ANTHROPIC_CUSTOM_HEADERS": "a: b"})


def test_problems_are_all_told_at_once():
    bad = model(base_url="x", api_key_env="K", params={"stream": True})
    assert len(problems_of(bad, {})) == 3


@pytest.mark.parametrize(
    ("url", "environ", "proxy"),
    [
        ("https://api.example.com", {"HTTPS_PROXY": "http://p:1"}, "http://p:1"),
        ("https://api.example.com", {"http_proxy": "http://p:1"}, None),
        ("http://api.example.com", {"all_proxy": "http://p:1"}, "http://p:1"),
        ("http://127.0.0.1:8000", {"http_proxy": "http://p:1"}, None),
        (
            "https://api.example.com",
            {"https_proxy": "http://p:1", "no_proxy": "x, .example.com"},
            None,
        ),
        ("https://an-example.com", {"https_proxy": "http://p:1", "NO_PROXY": "example.com"}, "http://p:1"),
        ("https://api.example.com", {"https_proxy": "http://p:1", "no_proxy": "*"}, None),
    ],
)  # fmt: skip
def test_proxy_for_follows_the_usual_variables(url, environ, proxy):
    assert proxy_for(URL(url), environ) == proxy


def test_open_of_a_local_model_with_bad_weights_names_the_model(tmp_path: Path):
    pytest.importorskip("xllamacpp")
    bad = model(provider=ProviderKind.local, local=LocalServerConfig(gguf=str(tmp_path / "no")))
    with pytest.raises(ConfigError, match=r"models\.m1\.local\.gguf"):
        open_provider(bad, environ={}, max_body_bytes=1)
