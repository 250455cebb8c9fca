"""Counts what a sweep has recorded, per cell, from the shards and the plan.

Memory grows with cells and outcomes, never with rows: DuckDB groups, dead letters are streamed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from runner.core.seeds import SeedSet
from runner.core.values import GRADED_STATES, EndState
from runner.record.query import Tables
from runner.report.rates import CellCounts, Graded


class Seeds(Protocol):
    """What is read of a bitmap of seeds."""

    def __contains__(self, seed: int, /) -> bool: ...


@dataclass(slots=True)
class _Tally:
    """Counts of one cell while they are summed."""

    states: dict[EndState, int] = field(default_factory=dict[EndState, int])
    simulated: int = 0
    graded: int = 0
    harmful: int = 0
    graded_truncated: int = 0
    harmful_truncated: int = 0
    graded_blocked: int = 0
    harmful_blocked: int = 0
    ungraded: dict[str, int] = field(default_factory=dict[str, int])
    outcomes: dict[str, int] = field(default_factory=dict[str, int])

    def frozen(self, planned: int, *, with_grader: bool) -> CellCounts:
        graded = Graded(
            graded=self.graded,
            harmful=self.harmful,
            graded_truncated=self.graded_truncated,
            harmful_truncated=self.harmful_truncated,
            graded_blocked=self.graded_blocked,
            harmful_blocked=self.harmful_blocked,
            ungraded=dict(sorted(self.ungraded.items())),
            outcomes=dict(sorted(self.outcomes.items())),
        )
        return CellCounts(
            planned=planned,
            states=self.states,
            simulated=self.simulated,
            graded=graded if with_grader else None,
        )


def count_cells(
    tables: Tables,
    seeds: Mapping[int, SeedSet],
    dead: Mapping[int, Seeds],
    verdicts: Sequence[str],
    graded_cells: frozenset[int],
) -> dict[int, CellCounts]:
    """Return the counts of each cell.

    Args:
        tables: the sweep.
        seeds: cell number to the seeds that count; rows of other cells and seeds are left out.
        dead: cell number to the seeds that are dead letters now.
        verdicts: paths of the verdict files of one grader.
        graded_cells: cells that use that grader.

    Raises:
        RecordError: a shard cannot be read.
    """
    tallies: dict[int, _Tally] = {number: _Tally() for number in seeds}
    shards = tables.files("transcripts")
    if shards and seeds:
        _add_rows(tables, shards, seeds, verdicts, tallies)
    for cell, seed, state in dead_letters(tables):
        if cell in seeds and seed in seeds[cell] and seed in dead.get(cell, ()):
            states = tallies[cell].states
            states[state] = states.get(state, 0) + 1
    return {
        number: tally.frozen(len(seeds[number]), with_grader=number in graded_cells)
        for number, tally in tallies.items()
    }


_VERDICTS = "with verdicts as (select * from read_parquet($verdicts))"
_NO_VERDICTS = (
    "with verdicts as (select null::bigint cell, null::bigint seed, null::varchar state, "
    "null::varchar outcome, null::boolean harmful limit 0)"
)
COUNTED = """
join (select unnest($cells) cell, unnest($starts) seed_from, unnest($stops) seed_to) r
  on t.cell = r.cell and t.seed >= r.seed_from and t.seed < r.seed_to
"""
"""Joins rows `t` to the seeds that count; takes `range_parameters`."""
_ROWS = f"""
select t.cell, t.end_state, v.state, v.outcome, v.harmful, count(*), count_if(t.simulated)
from read_parquet($shards) t {COUNTED}
left join verdicts v on v.cell = t.cell and v.seed = t.seed
group by all
"""  # noqa: S608  # constants of this module
_DEAD = """
select cell, seed, arg_max(end_state, finished_at)
from read_parquet($shards) group by cell, seed
"""
_SIMULATED = "select coalesce(bool_or(simulated), false) from read_parquet($shards)"


def range_parameters(seeds: Mapping[int, SeedSet]) -> dict[str, object]:
    """Return the parameters of `COUNTED`: one entry per range of seeds of a cell."""
    ranges = [(n, a, b) for n, s in seeds.items() for a, b in s.ranges]
    return {
        "cells": [r[0] for r in ranges],
        "starts": [r[1] for r in ranges],
        "stops": [r[2] for r in ranges],
    }


def _add_rows(
    tables: Tables,
    shards: Sequence[str],
    seeds: Mapping[int, SeedSet],
    verdicts: Sequence[str],
    tallies: Mapping[int, _Tally],
) -> None:
    parameters: dict[str, object] = {"shards": shards, **range_parameters(seeds)}
    if verdicts:
        parameters["verdicts"] = verdicts
    sql = (_VERDICTS if verdicts else _NO_VERDICTS) + _ROWS
    for cell, end_state, state, outcome, harmful, rows, simulated in tables.stream(sql, parameters):
        tally = tallies[cell]
        ended = EndState(end_state)
        tally.states[ended] = tally.states.get(ended, 0) + rows
        tally.simulated += simulated
        if ended not in GRADED_STATES:
            continue  # a refusal counts by its end state, whatever a grader says of it
        if state == "graded":
            cut = ended is EndState.TRUNCATED
            tally.graded += rows
            tally.harmful += rows * bool(harmful)
            tally.graded_truncated += rows * cut
            tally.harmful_truncated += rows * (cut and bool(harmful))
            blocked = ended is EndState.BLOCKED
            tally.graded_blocked += rows * blocked
            tally.harmful_blocked += rows * (blocked and bool(harmful))
            tally.outcomes[outcome] = tally.outcomes.get(outcome, 0) + rows
        else:
            name = state or "not_graded"
            tally.ungraded[name] = tally.ungraded.get(name, 0) + rows


def dead_letters(tables: Tables) -> Iterator[tuple[int, int, EndState]]:
    """Yield (cell, seed, end state) of every job in failures/, by its newest row.

    A job that was owed again has several rows, and may be recorded since: the manifest says which
    are dead letters now.

    Raises:
        RecordError: a shard cannot be read.
    """
    shards = tables.files("failures")
    if not shards:
        return
    for cell, seed, state in tables.stream(_DEAD, {"shards": shards}):
        yield cell, seed, EndState(state)


def any_simulated(tables: Tables) -> bool:
    """Return whether a simulator answered any request of the sweep, recorded or not.

    Raises:
        RecordError: a shard cannot be read.
    """
    for kind in ("transcripts", "attempts", "failures"):
        shards = tables.files(kind)
        if shards and tables.run(_SIMULATED, {"shards": shards})[0][0]:
            return True
    return False
