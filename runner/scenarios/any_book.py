"""What the engine needs of a book: the plan, and everything to run any job of it.

A sweep's `Book` is one, a judge's (`pipeline/judge_book.py`) another. One that is to travel to other
processes must be picklable.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from runner.config.schema import ModelConfig, SweepConfig
from runner.core.facts import CellFacts
from runner.core.money import Tariff
from runner.core.values import Job
from runner.plan.cells import Plan
from runner.scenarios.rollout import Rollout


class AnyBook(Protocol):
    """Answers everything about a cell or a job."""

    @property
    def config(self) -> SweepConfig:
        """Engine, retries, models and their quotas."""
        ...

    @property
    def plan(self) -> Plan:
        """The jobs."""
        ...

    @property
    def endpoints(self) -> Mapping[str, ModelConfig]:
        """Every model that may be called, by name."""
        ...

    @property
    def sweep_id(self) -> str:
        """Of the sweep's first plan; it is in every row."""
        ...

    @property
    def tariffs(self) -> Mapping[str, Tariff]:
        """Prices by model, looked up once."""
        ...

    def rollout(self, job: Job) -> Rollout:
        """Return a new rollout of a job; the same requests each time.

        Raises:
            KeyError: the plan has no such cell.
        """
        ...

    def facts(self, cell_number: int) -> CellFacts:
        """Return what every row of a cell says of it."""
        ...
