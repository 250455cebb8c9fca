"""Small configurations, built as values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from runner.config.schema import ModelConfig, ProviderKind, ScenarioConfig, SweepConfig
from runner.scenarios.book import Book
from runner.scenarios.build import build_book


def scenario(**keys: Any) -> ScenarioConfig:
    """Return the scenario of the README's example, with keys replaced."""
    values: dict[str, Any] = {
        "name": "tone",
        "axes": {"tone": ["polite", "blunt"], "topic": ["budget", "schedule"]},
        "system": "You are {{ assistant }}.",
        "user": "Write one {{ tone }} line about the {{ topic }}. ({{ seed }})",
        "variables": {"assistant": "Alex"},
    }
    return ScenarioConfig(**(values | keys))


def model(name: str = "m1", **keys: Any) -> ModelConfig:
    """Return a model at a stand-in's address."""
    values: dict[str, Any] = {
        "provider": ProviderKind.openai,
        "model": f"id-of-{name}",
        "base_url": "http://127.0.0.1:8077/v1",
        "max_tokens": 400,
    }
    return ModelConfig(name=name, **(values | keys))


def sweep(**keys: Any) -> SweepConfig:
    """Return one scenario × two models × 100 seeds, with keys replaced."""
    values: dict[str, Any] = {
        "name": "hello",
        "scenarios": [scenario()],
        "models": [model("m1"), model("m2")],
        "seeds": 100,
    }
    return SweepConfig(**(values | keys))


def book_of(*, actors: Sequence[ModelConfig] = (), **scenario_keys: Any) -> Book:
    """Return the book of one scenario and one model."""
    one = scenario(**scenario_keys)
    return build_book(sweep(scenarios=[one], models=[model()], actors=list(actors)))
