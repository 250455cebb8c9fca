"""Opens a sweep directory for reading: plan, manifest state, and what graders need per cell.

Reads only. Works on a live, a dead and a finished sweep, and needs neither keys nor weights:
grading facts are rendered from the resolved configuration, cells come from the plan table.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pyroaring import BitMap

from runner.config.resolved import load_resolved
from runner.config.schema import SweepConfig
from runner.core.errors import RecordError, SweepStateError
from runner.core.facts import Scalar
from runner.core.seams import KeyMissingError, Store
from runner.plan.cells import Plan
from runner.record.budget import budget_in_force
from runner.record.layout import CONFIGURATION
from runner.record.manifest import load_state
from runner.record.place import Place
from runner.record.plan_file import read_plan
from runner.record.state import SweepState
from runner.scenarios.axes import read_axes
from runner.scenarios.findings import Findings
from runner.scenarios.prompts import Prompts
from runner.scenarios.python import PythonPrompts, with_axes


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """A sweep directory, opened."""

    directory: Place
    config: SweepConfig
    """As resolved; its budget is the one that counts."""
    plan: Plan
    state: SweepState

    @property
    def name(self) -> str:
        """Name in the configuration."""
        return self.config.name

    @property
    def owed(self) -> int:
        """Planned jobs without an end state."""
        ended = self.ended()
        return sum(
            len(c.seeds) - sum(_overlap(ended.get(c.number), a, b) for a, b in c.seeds.ranges)
            for c in self.plan.cells
        )

    def ended(self) -> dict[int, BitMap]:
        """Return the seeds that are recorded or dead letters, by cell number."""
        return self.state.ended()


def _overlap(seeds: BitMap | None, start: int, stop: int) -> int:
    return 0 if seeds is None else seeds.range_cardinality(start, stop)


async def open_sweep(store: Store, directory: Place) -> Sweep:
    """Read configuration, manifest and plan.

    Raises:
        SweepStateError: the directory holds no sweep, or one that never got its plan.
        RecordError: something in it is damaged.
        StorageError: it cannot be read.
    """
    try:
        text = (await store.get(CONFIGURATION)).decode()
    except KeyMissingError as error:
        msg = f"{directory}: no sweep ({CONFIGURATION} is missing). Name the directory of a sweep."
        raise SweepStateError(msg) from error
    except UnicodeDecodeError as error:
        msg = f"{directory}/{CONFIGURATION}: not UTF-8 text. Restore it from a copy of the sweep."
        raise RecordError(msg) from error
    state = await load_state(store)
    if not state.plan_version:
        msg = f"{directory}: the sweep has no plan yet. Start it with: runner resume {directory}"
        raise SweepStateError(msg)
    stored = await read_plan(store, state.plan_version)
    config = load_resolved(text, f"{directory}/{CONFIGURATION}")
    config.budget = await budget_in_force(store, config.budget)
    return Sweep(directory=directory, config=config, plan=stored.plan, state=state)


class Renderings:
    """The scenarios of a resolved configuration, ready to be rendered again.

    Raises:
        RecordError: in the constructor, where the configuration cannot be rendered.
    """

    def __init__(self, config: SweepConfig) -> None:
        self._prompts: dict[str, Prompts | PythonPrompts] = {}
        findings = Findings()
        for given in config.scenarios:
            key = f"scenarios.{given.name}"
            scenario = with_axes(given, key, findings) if given.python else given
            axes = read_axes(scenario, key, findings)
            kind = PythonPrompts if scenario.python else Prompts
            self._prompts[scenario.name] = kind(scenario, axes, key, findings)
        if findings.errors:
            raise RecordError("\n".join(str(f) for f in findings.errors))

    def of(self, scenario: str) -> Prompts | PythonPrompts:
        """Return a scenario's texts by name."""
        return self._prompts[scenario]


class GradingFacts:
    """Renders `grading:` for a condition and a seed.

    Raises:
        RecordError: in the constructor, where the resolved configuration cannot be rendered.
    """

    def __init__(self, config: SweepConfig) -> None:
        self._renderings = Renderings(config)
        self.graders = {s.name: tuple(s.graders) for s in config.scenarios}
        """Names of the graders by scenario."""

    def render(self, scenario: str, axes: Mapping[str, Scalar], seed: int) -> dict[str, object]:
        """Return the facts of one job; the same for every model."""
        prompts = self._renderings.of(scenario)
        return prompts.grading(prompts.levels_of(axes), seed)
