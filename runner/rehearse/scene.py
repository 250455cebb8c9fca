"""What is rehearsed: a configuration, its plan, and what is assumed of servers and workers. Pure data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from runner.config.schema import SweepConfig
from runner.core.money import Tariff
from runner.core.seeds import SeedSet
from runner.plan.cells import Plan
from runner.simulate.config import GroupConfig, LatencyConfig, OutputConfig, StormConfig

CHARACTERS_PER_TOKEN = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """How the server of one model answers."""

    output: OutputConfig
    latency: LatencyConfig
    overloads: float = 0.0
    """Share of calls that end as a 529 or a 5xx."""
    storms: tuple[StormConfig, ...] = ()
    cache_min_tokens: int = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Companion:
    """Calls to another model beside those of the model under test: a role, or a safeguard's judge."""

    model: str
    calls: float
    """Of a job, on average."""
    input_tokens: float
    """Of each call."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """The calls of one job of a cell."""

    calls: float
    """To the model under test, on average."""
    input_tokens: float
    """Of each of them on average, the answers before it and what a cache holds included."""
    shared_tokens: int = 0
    """Of these: the beginning that all seeds of the condition share."""
    shared_characters: int = 0
    companions: tuple[Companion, ...] = ()

    @property
    def all_calls(self) -> float:
        """Return the calls to all models."""
        return self.calls + sum(c.calls for c in self.companions)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """One rehearsal."""

    config: SweepConfig
    plan: Plan
    """Of what is owed: jobs that have ended are not in it."""
    shape: Callable[[int], Shape]
    """Cell number to the calls of one of its jobs."""
    groups: Mapping[str, GroupConfig]
    """Quota group to the limits that its server holds us to."""
    own: Mapping[str, GroupConfig]
    """Model to limits of its own beside those of its group."""
    serving: Mapping[str, Serving]
    """By model."""
    tariffs: Mapping[str, Tariff] = field(default_factory=dict[str, Tariff])
    at: float = 0.0
    """Unix seconds: prices have dates."""
    workers: int = 1
    cpu_s: Mapping[str, float] = field(default_factory=dict[str, float])
    """Processor time of a worker for one call, by model: what bounds it where nothing else does."""
    draw: int = 0
    """Seed of the random numbers."""


def owed_plan(plan: Plan, owed: Callable[[int], SeedSet]) -> Plan:
    """Return the plan of what is owed.

    Args:
        plan: of the sweep.
        owed: cell number to the seeds that have not ended.
    """
    return with_seeds(plan, {cell.number: owed(cell.number) for cell in plan.cells})


def with_seeds(plan: Plan, seeds: Mapping[int, SeedSet]) -> Plan:
    """Return a plan with other seeds; cells that are not named, or left without any, are dropped."""
    cells = [replace(c, seeds=seeds[c.number]) for c in plan.cells if seeds.get(c.number)]
    return Plan(cells, seed_block=plan.seed_block, version=plan.version)
