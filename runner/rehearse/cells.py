"""What the calls of a cell are like, worked out once for all of its jobs. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

from runner.config.schema import ModelConfig
from runner.core.money import Rates
from runner.providers.caching import TTL_S, caches, ttl_of
from runner.rehearse.scene import Scene, Shape


@dataclass(slots=True)
class CellCalls:
    """The calls of one cell's jobs, in whole tokens."""

    model: str
    """Under test."""
    shape: Shape
    input_tokens: int
    shared: int
    """Tokens of the prefix that is marked for the cache; 0: none is."""
    ttl_s: float
    rates: Rates | None
    companions: dict[str, int] = field(default_factory=dict[str, int])
    """Model to the input tokens of each call."""


def cell_calls(scene: Scene, models: dict[str, ModelConfig]) -> dict[int, CellCalls]:
    """Return what calls are like, by cell number.

    Args:
        scene: what is rehearsed.
        models: those under test, by name.
    """
    return {c.number: _calls(scene, c.number, models[c.model]) for c in scene.plan.cells}


def _calls(scene: Scene, number: int, model: ModelConfig) -> CellCalls:
    shape, tariff = scene.shape(number), scene.tariffs.get(model.name)
    shared = shape.shared_tokens if caches(model, shape.shared_characters) else 0
    input_tokens = max(1, round(shape.input_tokens))
    return CellCalls(
        model=model.name,
        shape=shape,
        input_tokens=input_tokens,
        shared=min(shared, input_tokens - 1),
        ttl_s=TTL_S.get(ttl_of(model.cache) or "", 0.0),
        rates=None if tariff is None else tariff.rates(scene.at, input_tokens),
        companions={c.model: max(1, round(c.input_tokens)) for c in shape.companions},
    )
