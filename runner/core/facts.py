"""What every row says about its cell: built by the scenarios, written by the record.

It lives here because record and scenarios are siblings that never import each other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from runner.core.money import Tariff

Scalar = str | int | float | bool


@dataclass(frozen=True, slots=True, kw_only=True)
class CellFacts:
    """The facts of one cell that are the same for all its jobs."""

    sweep: str
    """Name of the sweep."""
    sweep_id: str
    """Unique id of the sweep directory; "" where none has been given yet."""
    number: int
    """Stable number of the cell in the plan."""
    digest: str
    """The cell's digest, 64 hex digits."""
    scenario: str
    scenario_version: int
    condition: str
    """Readable name, `tone=blunt,topic=budget`; "" for a scenario without axes."""
    axes: Mapping[str, Scalar]
    model: str
    """The model's name in the configuration."""
    provider: str
    model_id: str
    """The id sent to the API."""
    params: Mapping[str, Any]
    """Request parameters, max_tokens among them."""
    endpoint_id: str
    prompt_digest: str
    """Digest of the rendered messages and tools, the same for every model."""
    labels: Mapping[str, Any]
    """Free facts of the scenario (source, title)."""
    canary: str | None
    """The scenario's canary string, to be kept with every stored copy of its text."""
    tariffs: Mapping[str, Tariff] = field(default_factory=dict[str, Tariff])
    """Prices by model name, of actors too; absent: unknown, and so is every cost."""

    def tariff_of(self, actor: str | None) -> Tariff | None:
        """Return the prices of an actor, or of the model under test."""
        return self.tariffs.get(actor or self.model)
