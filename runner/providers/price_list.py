"""Prices and contexts of models: from the kept package `genai-prices`, or as the configuration says.

The only home of `genai_prices`. Its rows (each cites the vendor's page) are turned into
`core.money` values once per session: a price is then a few microseconds of plain arithmetic, the
same wherever it is worked out. A model at an endpoint that the package does not know has no price:
a gateway may charge what it likes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, time
from importlib.metadata import version
from typing import TYPE_CHECKING

from runner.config.money_schema import PriceConfig
from runner.config.schema import ModelConfig, ProviderKind, SweepConfig, called
from runner.core.errors import ConfigError
from runner.core.money import Rates, Row, Tariff
from runner.providers.open import base_url_of

if TYPE_CHECKING:
    from genai_prices.types import ModelInfo, ModelPrice, Provider, StartDateConstraint

FACTORS = {"inference_geo=us": 1.1}
"""Vendor's pricing page, August 2026; the package has no such rows."""
_FREE = Rates(input=0.0, output=0.0, cache_read=0.0, cache_write=0.0, cache_write_1h=0.0)
_PREFERRED = ("anthropic", "openai")


def tariffs_of(config: SweepConfig) -> dict[str, Tariff]:
    """Return the prices of the models that have known ones, by model name.

    Raises:
        ConfigError: `prices` names a model that is not there, or a reference that has no price.
    """
    if problems := list(_problems(config)):
        raise ConfigError(*problems)
    found: dict[str, Tariff] = {}
    for model in all_models(config):
        tariff = _tariff(model, config.prices)
        if tariff is not None:
            found[model.name] = tariff
    return found


def all_models(config: SweepConfig) -> list[ModelConfig]:
    """Return every model that the sweep may pay for: under test, actors and judges."""
    return [*called(config), *config.judges]


def contexts_of(config: SweepConfig) -> dict[str, int]:
    """Return the context in tokens of the models under test of which the package knows it, by model name.

    What the Messages API serves is the maker's model wherever it is called; other endpoints may serve
    anything under a name, so theirs are looked up by address.
    """
    found: dict[str, int] = {}
    for model in config.models:
        if model.provider is ProviderKind.local:
            continue
        url = None if model.provider is ProviderKind.anthropic else base_url_of(model)
        entry = _found(model.model, url)
        if entry is not None and entry[1].context_window:
            found[model.name] = entry[1].context_window
    return found


def price_source() -> str:
    """Return name and version of the package that prices come from."""
    return f"genai-prices {version('genai-prices')}"


def _problems(config: SweepConfig) -> Iterator[str]:
    known = {name for m in all_models(config) for name in (m.name, m.model)}
    for name, given in config.prices.items():
        if name not in known:
            names = ", ".join(m.name for m in all_models(config))
            yield f"prices.{name}: no model has this name or id. There are: {names}."
        elif given.like is not None and _listed(given.like, None) is None:
            yield (
                f"prices.{name}.like: {given.like!r} has no price in {price_source()}. Give "
                "`input:` and `output:` in USD per million tokens."
            )


def _tariff(model: ModelConfig, prices: Mapping[str, PriceConfig]) -> Tariff | None:
    given = prices.get(model.name) or prices.get(model.model)
    if given is not None:
        if given.like is not None:
            return _listed(given.like, None)
        return Tariff(
            source="prices of the configuration",
            rows=(Row(bands=((0, _given(given)),)),),
            factors=FACTORS,
        )
    if model.provider is ProviderKind.local:
        return Tariff(source="this machine", rows=(Row(bands=((0, _FREE),)),))
    return _listed(model.model, base_url_of(model))


def _given(price: PriceConfig) -> Rates:
    ordinary = price.input or 0.0
    return Rates(
        input=ordinary,
        output=price.output or 0.0,
        cache_read=ordinary if price.cache_read is None else price.cache_read,
        cache_write=ordinary if price.cache_write is None else price.cache_write,
        cache_write_1h=price.cache_write if price.cache_write_1h is None else price.cache_write_1h,
    )


def _listed(model_id: str, url: str | None) -> Tariff | None:
    """Return the package's prices of a model at an endpoint, at its maker's without one."""
    found = _found(model_id, url)
    if found is None:
        return None
    provider, model = found
    rows = tuple(_rows(model, {}))
    if not rows:
        return None
    terms: dict[str, tuple[Row, ...]] = {}
    if any(model is own for own in provider.models):
        for variant in model.price_variants or ():
            if len(variant.when) == 1:
                ((key, value),) = variant.when.items()
                terms[f"{key}={value}"] = tuple(_rows(model, variant.when))
    return Tariff(
        source=f"{price_source()}: {provider.id}/{model.id}",
        rows=rows,
        terms=terms,
        factors=FACTORS if provider.id == "anthropic" else {},
    )


def _found(model_id: str, url: str | None) -> tuple[Provider, ModelInfo] | None:
    """Return the package's entry of a model at an endpoint, at its maker's without one."""
    from genai_prices.data_snapshot import get_snapshot  # noqa: PLC0415  # 0.1 s, 25 MB

    try:
        if url is None:
            return _by_maker(model_id)
        return get_snapshot().find_provider_model(model_id, None, None, url)
    except LookupError:
        return None


def _by_maker(model_id: str) -> tuple[Provider, ModelInfo]:
    from genai_prices.data_snapshot import get_snapshot  # noqa: PLC0415  # as above

    snapshot = get_snapshot()
    for provider_id in _PREFERRED:
        try:
            return snapshot.find_provider_model(model_id, None, provider_id, None)
        except LookupError:
            continue
    return snapshot.find_provider_model(model_id, None, None, None)


def _rows(model: ModelInfo, context: Mapping[str, str]) -> Iterator[Row]:
    from genai_prices.types import (  # noqa: PLC0415  # as above
        ModelPrice,
        StartDateConstraint,
        TimeOfDateConstraint,
    )

    plain = model.prices
    dated = (
        [(None, plain)]
        if isinstance(plain, ModelPrice)
        else [(c.constraint, c.prices) for c in plain]
    )
    starts = {0.0}
    for variant in model.price_variants or ():
        if dict(variant.when) == dict(context) and isinstance(
            variant.constraint, StartDateConstraint
        ):
            starts.add(_midnight(variant.constraint))
    for constraint, prices in dated:
        since, hours = 0.0, None
        if isinstance(constraint, StartDateConstraint):
            since = _midnight(constraint)
        elif isinstance(constraint, TimeOfDateConstraint):
            hours = (_second(constraint.start_time), _second(constraint.end_time))
        for start in sorted(starts):
            at = datetime.fromtimestamp(max(since, start), UTC)
            resolved = prices if not context else model.get_prices(at, dict(context))
            bands = tuple(_bands(resolved))
            if bands:
                yield Row(bands=bands, since=max(since, start), hours=hours)


def _midnight(constraint: StartDateConstraint) -> float:
    return datetime.combine(constraint.start_date, time(), UTC).timestamp()


def _second(at: time) -> int:
    if at.tzinfo is not None:
        at = datetime.combine(datetime(1970, 1, 2, tzinfo=UTC), at).astimezone(UTC).timetz()
    return at.hour * 3600 + at.minute * 60 + at.second


def _bands(prices: ModelPrice) -> Iterator[tuple[int, Rates]]:
    from genai_prices.types import TieredPrices  # noqa: PLC0415  # as above

    values = {name: value for name, value in vars(prices).items() if value is not None}
    if "input_mtok" not in values or "output_mtok" not in values:
        return
    starts = {t.start for v in values.values() if isinstance(v, TieredPrices) for t in v.tiers}

    def at(name: str, above: int) -> float | None:
        value = values.get(name)
        if isinstance(value, TieredPrices):
            fitting = [t.price for t in value.tiers if t.start <= above]
            value = fitting[-1] if fitting else value.base
        return None if value is None else float(value)

    for above in (0, *sorted(starts)):
        ordinary = at("input_mtok", above) or 0.0
        read, write = at("cache_read_mtok", above), at("cache_write_mtok", above)
        yield (
            above,
            Rates(
                input=ordinary,
                output=at("output_mtok", above) or 0.0,
                cache_read=ordinary if read is None else read,
                cache_write=ordinary if write is None else write,
                cache_write_1h=at("cache_write_1h_mtok", above),
                request=(at("requests_kcount", above) or 0.0) / 1000,
            ),
        )
