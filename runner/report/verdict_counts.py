"""What the verdict tables of a sweep add up to, by grader: every state counted, none left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from runner.record.query import Tables

STATES = (
    *("graded", "undecided", "judge_error", "judge_refused", "unparsable", "skipped"),
    "not_graded",
)
"""What a row of a cell that uses a grader can be, in the order of tables; they sum to all rows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VerdictCounts:
    """The verdicts of one grader."""

    rows: int
    """Rows of transcripts/ in the cells that use it."""
    states: Mapping[str, int]
    """By `STATES`; they sum to `rows`."""
    harmful: int
    outcomes: Mapping[str, int]
    reasons: Mapping[str, int]
    """Of rows without a verdict, by `state: reason`, the most frequent 20."""


_ROWS = "select count(*) from read_parquet($shards) where cell in (select unnest($cells))"
_VERDICTS = """
select state, outcome, reason, count(*), count_if(coalesce(harmful, false))
from read_parquet($verdicts) v semi join read_parquet($shards) t on v.job_key = t.transcript_id
group by all
"""


def verdict_counts(tables: Tables, verdicts: Sequence[str], cells: Sequence[int]) -> VerdictCounts:
    """Count one grader's verdicts.

    Args:
        tables: the sweep.
        verdicts: paths of its verdict files that are there.
        cells: cells that use it.

    Raises:
        RecordError: a file cannot be read.
    """
    shards = tables.files("transcripts")
    rows = 0
    if shards and cells:
        rows = int(tables.run(_ROWS, {"shards": shards, "cells": list(cells)})[0][0])
    states = dict.fromkeys(STATES, 0)
    outcomes: dict[str, int] = {}
    reasons: dict[str, int] = {}
    harmful = 0
    if shards and verdicts:
        found = tables.run(_VERDICTS, {"shards": shards, "verdicts": list(verdicts)})
        for state, outcome, reason, count, bad in found:
            states[state] = states.get(state, 0) + count
            harmful += bad
            if outcome is not None:
                outcomes[outcome] = outcomes.get(outcome, 0) + count
            else:
                key = f"{state}: {reason}"
                reasons[key] = reasons.get(key, 0) + count
    states["not_graded"] = rows - sum(states.values())
    often = sorted(reasons.items(), key=lambda kv: -kv[1])[:20]
    return VerdictCounts(
        rows=rows,
        states=states,
        harmful=harmful,
        outcomes=dict(sorted(outcomes.items())),
        reasons=dict(often),
    )
