"""What a configuration asks of a sweep directory: planned, recorded, owed. Reads, never writes.

`runner plan`, `runner lint` and `runner sweep` all come through here, so that what is printed
before spending is what is done.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pyroaring import BitMap

from runner.config.load import Loaded
from runner.core.errors import CellsChangedError
from runner.core.seams import Store
from runner.plan.cells import Plan
from runner.plan.diff import Difference, compare, explain
from runner.plan.estimate import ModelEstimate, estimate
from runner.record.manifest import load_state
from runner.record.plan_file import read_plan
from runner.record.state import SweepState
from runner.scenarios.book import Book
from runner.scenarios.build import build_book


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """A configuration held against what its directory has recorded."""

    loaded: Loaded
    book: Book
    """Its plan keeps the numbers of recorded cells; its version is raised if anything differs."""
    state: SweepState
    """Of the directory; empty for a new sweep."""
    difference: Difference | None
    """Against the recorded plan; None for a new sweep."""
    estimates: tuple[ModelEstimate, ...]
    """Per model, for what is owed."""

    @property
    def ended(self) -> dict[int, BitMap]:
        """Seeds that are recorded or dead letters, by cell number."""
        return ended_seeds(self.state)

    @property
    def owed(self) -> int:
        """Planned jobs without an end state."""
        return sum(e.owed for e in self.estimates)

    @property
    def recorded(self) -> int:
        """Planned jobs that are recorded."""
        return _within(self.book, self.state.recorded)

    @property
    def dead(self) -> int:
        """Planned jobs that are dead letters."""
        return _within(self.book, self.state.dead)


async def plan_sweep(loaded: Loaded, store: Store, *, sweep_id: str = "") -> Planned:
    """Build the plan of a configuration and compare it with what is recorded.

    Args:
        loaded: the configuration.
        store: its sweep directory, which need not exist.
        sweep_id: for the rows of the sweep.

    Raises:
        ConfigError: the scenarios cannot be rendered or the models not used.
        RecordError: the directory is damaged or of a newer release.
        StorageError: it cannot be read.
    """
    state = await load_state(store)
    stored = await read_plan(store, state.plan_version) if state.plan_version else None
    book = build_book(
        loaded.config,
        numbers=stored.numbers if stored else None,
        next_number=stored.plan.next_number if stored else 0,
        version=stored.plan.version if stored else 1,
        sweep_id=sweep_id,
        source=loaded.source,
    )
    difference = None
    if stored is not None:
        difference = compare(stored.plan, stored.parts, book.plan, book.parts)
        if not _same_jobs(stored.plan, book.plan):
            book.plan = _raised(book.plan)
    estimates = estimate(
        book.plan,
        size=book.size,
        max_tokens={m.name: m.max_tokens for m in loaded.config.models},
        ended=ended_seeds(state),
    )
    return Planned(
        loaded=loaded,
        book=book,
        state=state,
        difference=difference,
        estimates=tuple(estimates),
    )


def refuse_changed(planned: Planned, directory: str) -> None:
    """Refuse to go on where recorded cells changed or vanished.

    Raises:
        CellsChangedError: names the cells, the keys that changed, and the two ways on.
    """
    difference = planned.difference
    if difference is None or difference.compatible:
        return
    lines = "\n".join(f"  {line}" for line in explain(difference))
    msg = (
        f"{directory} has recorded cells that this configuration changes:\n{lines}\n"
        "Undo the change, or give the sweep another directory: output=outputs/NEW-NAME."
    )
    raise CellsChangedError(msg)


def ended_seeds(state: SweepState) -> dict[int, BitMap]:
    """Return the seeds that are recorded or dead letters, by cell number."""
    recorded, dead = state.recorded, state.dead
    return {n: recorded.get(n, BitMap()) | dead.get(n, BitMap()) for n in {*recorded, *dead}}


def _same_jobs(stored: Plan, new: Plan) -> bool:
    """Tell whether the stored table says all that the new plan says."""
    return stored.cells == new.cells and stored.seed_block == new.seed_block


def _raised(plan: Plan) -> Plan:
    version, following = plan.version + 1, plan.next_number
    return Plan(plan.cells, seed_block=plan.seed_block, version=version, next_number=following)


def _within(book: Book, seeds: Mapping[int, BitMap]) -> int:
    return sum(
        seeds[cell.number].range_cardinality(start, stop)
        for cell in book.plan.cells
        if cell.number in seeds
        for start, stop in cell.seeds.ranges
    )
