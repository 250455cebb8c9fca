"""What is rehearsed: a configuration, its plan, and what is assumed of server and workers. Pure data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from pyroaring import BitMap

from runner.config.schema import SweepConfig
from runner.plan.cells import Plan
from runner.plan.estimate import PromptSize
from runner.simulate.config import SimulateConfig

CHARACTERS_PER_TOKEN = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """One rehearsal."""

    config: SweepConfig
    plan: Plan
    ended: Mapping[int, BitMap]
    """Seeds that are recorded or dead letters, by cell number."""
    size: Callable[[int], PromptSize]
    """Cell number to the size of one of its jobs."""
    settings: SimulateConfig
    """The server: limits, lengths of answers, latency, faults; the settings of `runner simulate`."""
    workers: int = 1
    cpu_s: float = 0.0015
    """Processor time of a worker for one call: what bounds it where nothing else does."""
    seed: int = 0
    """Of the draws."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallSize:
    """The calls of one job of a cell."""

    calls: int
    input_tokens: int
    """Of each call, on average: the script, and the answers before it."""

    @property
    def characters(self) -> int:
        """Return the input in characters."""
        return self.input_tokens * CHARACTERS_PER_TOKEN


def call_size(size: PromptSize, answer_tokens: float) -> CallSize:
    """Return the calls of a job, each carrying the answers before it.

    Args:
        size: the scripted input.
        answer_tokens: mean length of an answer.
    """
    calls = max(1, size.calls)
    scripted = -(-size.characters // CHARACTERS_PER_TOKEN) / calls
    carried = answer_tokens * (calls - 1) / 2
    return CallSize(calls=calls, input_tokens=max(1, round(scripted + carried)))
