"""Prices: the package's own numbers through our arithmetic, the user's, and what has none."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from genai_prices import Usage as ListedUsage
from genai_prices import calc_price

from runner.config.money_schema import PriceConfig
from runner.config.schema import ModelConfig, ProviderKind, SweepConfig
from runner.core.errors import ConfigError
from runner.core.money import Tariff, failure_cost_usd, reply_cost_usd, total_usd
from runner.core.values import EndState, Failure, FailureKind, Reply, Usage
from runner.providers.price_list import contexts_of, tariffs_of

NOW = datetime(2026, 11, 20, tzinfo=UTC).timestamp()


def tariff(model_id: str, prices: dict[str, PriceConfig] | None = None, **model: Any):
    config = SweepConfig(
        models=[ModelConfig(name="m", model=model_id, **model)], prices=prices or {}
    )
    return tariffs_of(config).get("m")


def known(model_id: str, **model: Any) -> Tariff:
    found = tariff(model_id, **model)
    assert found is not None
    return found


@pytest.mark.parametrize(
    "model_id",
    ["claude-opus-5-5", "claude-haiku-5-5", "claude-sonnet-5-5", "claude-opus-4-5-20251101"],
)
@pytest.mark.parametrize("tokens", [1_000, 100_000, 100_001, 400_000])
@pytest.mark.parametrize("month", [3, 10, 11])
def test_cost_is_that_of_the_package(model_id, tokens, month):
    at = datetime(2026, month, 25, 13, 30, tzinfo=UTC)
    ours = known(model_id).cost_usd(
        Usage(
            input_tokens=tokens - 700,
            cache_read_tokens=500,
            cache_write_tokens=200,
            cache_write_1h_tokens=50,
            output_tokens=900,
        ),
        at.timestamp(),
    )
    theirs = calc_price(
        ListedUsage(
            input_tokens=tokens,
            cache_read_tokens=500,
            cache_write_tokens=200,
            cache_write_1h_tokens=50,
            output_tokens=900,
        ),
        model_id,
        provider_id="anthropic",
        genai_request_timestamp=at,
    )
    assert ours == pytest.approx(float(theirs.total_price), rel=1e-9)


def test_cost_of_hours_and_of_other_wires_is_that_of_the_package():
    for hour in (3, 13, 20):
        at = datetime(2025, 3, 2, hour, tzinfo=UTC)
        ours = known(
            "deepseek-chat", provider=ProviderKind.openai, base_url="https://api.deepseek.com/v1"
        )
        theirs = calc_price(
            ListedUsage(input_tokens=1000, output_tokens=100),
            "deepseek-chat",
            provider_id="deepseek",
            genai_request_timestamp=at,
        )
        found = ours.cost_usd(Usage(input_tokens=1000, output_tokens=100), at.timestamp())
        assert found == pytest.approx(float(theirs.total_price), rel=1e-9)
    assert known("gpt-5", provider=ProviderKind.openai).rates(NOW, 10).input == 1.25


def test_long_prompt_reprices_the_whole_response():
    haiku = known("claude-haiku-5-5")
    short = haiku.cost_usd(Usage(input_tokens=100_000, output_tokens=1000), NOW)
    long = haiku.cost_usd(
        Usage(input_tokens=99_000, cache_read_tokens=1001, output_tokens=1000), NOW
    )
    assert short == pytest.approx(0.0105)
    assert long == pytest.approx((99_000 * 0.5 + 1001 * 0.05 + 1000 * 2.5) / 1e6)


def test_terms_of_a_response_change_its_price_and_unknown_ones_leave_it_unknown():
    usage, opus = Usage(input_tokens=1_000_000, output_tokens=0), known("claude-opus-5-5")
    assert opus.cost_usd(usage, NOW) == 4
    assert opus.cost_usd(usage, NOW, ("speed=fast",)) == 8
    assert opus.cost_usd(usage, NOW, ("inference_geo=us",)) == pytest.approx(4.4)
    assert opus.cost_usd(usage, NOW, ("service_tier=gold",)) is None


@pytest.mark.parametrize(
    "model",
    [
        {"model_id": "claude-madeup-9"},
        {"model_id": "claude-opus-5-5", "base_url": "http://127.0.0.1:8077"},
        {"model_id": "x", "provider": ProviderKind.openai, "base_url": "https://llm.example/v1"},
    ],
)
def test_what_nobody_lists_has_no_price(model):
    assert tariff(**model) is None


def test_prices_of_the_configuration_go_before_the_list():
    given = PriceConfig(input=2, output=8, cache_read=0.5)
    usage = Usage(input_tokens=10, cache_read_tokens=20, cache_write_tokens=30, output_tokens=40)
    for key in ("m", "claude-opus-5-5"):
        found = tariff("claude-opus-5-5", {key: given})
        assert found is not None
        assert found.cost_usd(usage, NOW) == pytest.approx((20 + 10 + 60 + 320) / 1e6)
    like = tariff("mine", {"m": PriceConfig(like="claude-opus-5-5")}, base_url="http://x:1")
    assert like is not None
    assert like.rates(NOW, 1).output == 20


def test_local_model_is_free():
    assert known("small", provider=ProviderKind.local).cost_usd(Usage(input_tokens=9), NOW) == 0


def test_price_of_an_unknown_model_or_reference_is_refused_with_what_to_do():
    with pytest.raises(ConfigError, match=r"prices\.other: no model has this name"):
        tariff("a", {"other": PriceConfig(input=1, output=1)})
    with pytest.raises(ConfigError, match=r"prices\.m\.like: 'nobody' has no price"):
        tariff("a", {"m": PriceConfig(like="nobody")})


def reply(stop: str, content: Any = ({"type": "text", "text": "x"},), usage: Usage | None = None):
    return Reply(
        content=content,
        stop_reason=stop,
        end_state=EndState.ANSWERED,
        usage=usage or Usage(input_tokens=1_000_000),
        model="m",
    )


def test_refusal_before_output_costs_nothing_and_one_after_it_does():
    opus = known("claude-opus-5-5")
    assert reply_cost_usd(opus, reply("refusal", ()), NOW) == 0
    assert reply_cost_usd(opus, reply("refusal"), NOW) == 4
    assert reply_cost_usd(None, reply("refusal", ()), NOW) is None


def test_what_is_not_known_is_never_nothing():
    opus = known("claude-opus-5-5")
    assert reply_cost_usd(opus, reply("end_turn", usage=Usage(output_tokens=5)), NOW) is None
    limited = Failure(kind=FailureKind.RATE_LIMITED, message="", status=429)
    assert (failure_cost_usd(opus, limited), failure_cost_usd(None, limited)) == (0, None)
    for status in (200, 408, 504):
        broken = Failure(kind=FailureKind.SERVER_ERROR, message="", status=status)
        assert failure_cost_usd(opus, broken) is None
    # A connection that never came about carried no request; one that broke may have been answered.
    never = Failure(kind=FailureKind.CONNECTION, message="", error_type="refused")
    broke = Failure(kind=FailureKind.CONNECTION, message="", error_type="reset")
    assert (failure_cost_usd(opus, never), failure_cost_usd(opus, broke)) == (0, None)
    assert failure_cost_usd(None, never) is None
    assert (total_usd([1.0, 0.5]), total_usd([1.0, None]), total_usd([])) == (1.5, None, 0.0)


@pytest.mark.parametrize(
    ("model", "tokens"),
    [
        ({"model": "claude-haiku-4-5-20251001"}, 200_000),
        ({"model": "claude-opus-5-5"}, 1_000_000),
        ({"model": "claude-opus-5-5", "base_url": "http://gateway.example"}, 1_000_000),
        ({"model": "gpt-5.4", "provider": ProviderKind.openai}, 1_050_000),
        ({"model": "gpt-5.4", "provider": ProviderKind.openai, "base_url": "http://h/v1"}, None),
        ({"model": "claude-of-nobody"}, None),
        ({"model": "", "provider": ProviderKind.local}, None),
    ],
)
def test_context_of_a_model_is_that_of_the_package_where_it_knows_the_endpoint(
    model: dict[str, Any], tokens: int | None
) -> None:
    config = SweepConfig(models=[ModelConfig(name="m", **model)])
    assert contexts_of(config).get("m") == tokens
