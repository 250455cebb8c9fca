"""Scenes of made-up sweeps, for tests of the rehearsal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from runner.config.quota_schema import ModelQuotaConfig
from runner.config.schema import ModelConfig, SweepConfig
from runner.rehearse.scene import Scene, Serving, Shape
from runner.simulate.config import GroupConfig, LatencyConfig, OutputConfig
from tests.support.cells import cell, plan

SIZES = (200, 400, 800, 1600)


def model(name: str = "m", **keys: Any) -> ModelConfig:
    """Return a model with a quota by rate, if one is given."""
    quota = ModelQuotaConfig(**{k: keys.pop(k) for k in ("rpm", "itpm", "otpm") if k in keys})
    keys = {"max_in_flight": 4096, "max_tokens": 4000, "model": "claude-sonnet-5", **keys}
    return ModelConfig(name=name, quota=quota, **keys)


def scene(
    *models: ModelConfig,
    seeds: int = 100,
    cells: int = 4,
    block: int = 25,
    shape: Shape | None = None,
    actors: tuple[ModelConfig, ...] = (),
    servers: Mapping[str, GroupConfig] | None = None,
    own: Mapping[str, GroupConfig] | None = None,
    output: OutputConfig | None = None,
    latency: LatencyConfig | None = None,
    **more: Any,
) -> Scene:
    """Return the same cells for each model; a server holds each to its own quota."""
    config = SweepConfig(name="s", models=list(models), actors=list(actors), seed_block=block)
    sizes = {i * cells + j: SIZES[j % 4] for i in range(len(models)) for j in range(cells)}
    table = [cell(n, seeds, model=models[n // cells].name) for n in sizes]
    every = (*models, *actors)
    serving = Serving(
        output=output or OutputConfig(mean_tokens=100, sigma=0.5),
        latency=latency or LatencyConfig(first_token_s=0.5, tokens_per_s=100, spread=0.2),
    )
    held = {m.name: _held(m) for m in every} | dict(servers or {})
    return Scene(
        config=config,
        plan=plan(table, block),
        shape=lambda n: shape or Shape(calls=1, input_tokens=sizes[n]),
        groups=held,
        own=own or {},
        serving={m.name: serving for m in every},
        **more,
    )


def _held(one: ModelConfig) -> GroupConfig:
    quota = one.quota or ModelQuotaConfig()
    return GroupConfig(rpm=quota.rpm, itpm=quota.itpm, otpm=quota.otpm, burst_s=60)
