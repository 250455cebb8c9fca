"""Finds single records of a sweep: by key, cells and seed, with verdicts and attempts.

Only the rows asked for leave DuckDB, a bounded number of them.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from runner.config.source import nearest
from runner.core.errors import ConfigError
from runner.plan.cells import Plan
from runner.record.query import Tables

Row = dict[str, object]
"""A row by column."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Selector:
    """Which records a user asks for; all that is given must hold."""

    key: str = ""
    """First digits of the job key."""
    condition: str = ""
    """Axis levels, `tone=blunt,topic=budget`; those given must be among the condition's."""
    scenario: str = ""
    model: str = ""
    seed: int | None = None
    outcome: str = ""
    """Of any grader's verdict; `harmful` for all harmful ones."""

    @property
    def empty(self) -> bool:
        """Nothing is asked for."""
        return self == Selector()


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A record in a list of records."""

    key: str
    scenario: str
    condition: str
    model: str
    seed: int
    end_state: str
    outcome: str
    """Of the first grader by name, empty without verdict."""
    harmful: bool | None
    error: str = ""


def cells_of(plan: Plan, selector: Selector) -> list[int]:
    """Return the numbers of the cells that a selector means.

    Raises:
        ConfigError: none of the plan's cells fits; the message says what there is.
    """
    wanted = {p.strip() for p in selector.condition.split(",") if p.strip()}
    found = [
        c.number
        for c in plan.cells
        if wanted <= set(c.condition.split(","))
        and selector.model in {"", c.model}
        and selector.scenario in {"", c.scenario}
    ]
    if not found:
        raise ConfigError(_unfit(plan, selector, sorted(wanted)))
    return found


def _unfit(plan: Plan, selector: Selector, wanted: Sequence[str]) -> str:
    """Say which of the names that were given there is not, and which there are."""
    scenarios = [*dict.fromkeys(c.scenario for c in plan.cells)]
    levels: dict[str, dict[str, None]] = {}
    for cell in plan.cells:
        for part in filter(None, cell.condition.split(",")):
            levels.setdefault(part.partition("=")[0], {})[part] = None
    if selector.scenario and selector.scenario not in scenarios:
        hint = nearest(selector.scenario, scenarios)
        return f"--scenario {shlex.quote(selector.scenario)}: there is none. {hint}"
    if selector.model and selector.model not in plan.models:
        return f"--model {shlex.quote(selector.model)}: there is none. Models: {', '.join(plan.models)}."
    for part in wanted:
        axis, equals, _ = part.partition("=")
        if axis not in levels:
            hint = f"Axes: {', '.join(levels)}" if levels else "Conditions have no axes here"
            return f"{part}: no condition has an axis {axis!r}. {hint}."
        if not equals or part not in levels[axis]:
            return f"{part}: there is no such level. There are: {', '.join(levels[axis])}."
    given = " ".join(
        f"--{name} {shlex.quote(value)}"
        for name in ("scenario", "condition", "model")
        if (value := getattr(selector, name))
    )
    return f"no cell fits {given}: each of these occurs, but not together. Leave one of them out."


_PICK = """
where t.cell in (select unnest($cells)) and ($seed is null or t.seed = $seed)
"""
# A range of keys, so that Parquet statistics skip row groups; `g` follows every digit.
_RECORDS = f"""
select t.transcript_id, t.scenario, t.condition, t.model, t.seed, t.end_state,
  coalesce(v.outcome, v.state, ''), v.harmful
from read_parquet($shards) t left join verdicts v on v.cell = t.cell and v.seed = t.seed
{_PICK} and t.transcript_id >= $low and t.transcript_id < $high
  and ($outcome = '' or v.outcome = $outcome or ($outcome = 'harmful' and v.harmful))
order by coalesce(v.harmful, false) desc, t.cell, t.seed limit $limit
"""  # noqa: S608  # constants of this module
_VERDICTS = """
with verdicts as (
  select cell, seed, arg_min(outcome, grader) outcome, arg_min(state, grader) state,
    bool_or(harmful) harmful
  from read_parquet($verdicts, union_by_name=true) group by cell, seed)
"""
_NO_VERDICTS = """
with verdicts as (
  select null::bigint cell, null::bigint seed, '' outcome, '' state, null::boolean harmful limit 0)
"""
_FAILURES = f"""
select job_key, any_value(scenario), any_value(condition), any_value(model), seed,
  arg_max(end_state, finished_at), arg_max(error, finished_at)
from read_parquet($shards) t
{_PICK} and t.job_key >= $low and t.job_key < $high
group by job_key, cell, seed order by cell, seed limit $limit
"""  # noqa: S608  # constants of this module


def find_records(
    tables: Tables, cells: Sequence[int], selector: Selector, *, limit: int
) -> list[Found]:
    """Return records, harmful ones first, then in plan order by seed.

    Raises:
        ConfigError: a key prefix that is no hexadecimal number.
        RecordError: a shard cannot be read.
    """
    shards = tables.files("transcripts")
    if not shards:
        return []
    parameters = _parameters(shards, cells, selector, limit) | {"outcome": selector.outcome}
    verdicts = verdict_files(tables)
    if verdicts:
        parameters["verdicts"] = verdicts
    sql = (_VERDICTS if verdicts else _NO_VERDICTS) + _RECORDS
    return [
        Found(
            key=key, scenario=scenario, condition=condition, model=model, seed=seed,
            end_state=state, outcome=outcome, harmful=harmful,
        )
        for key, scenario, condition, model, seed, state, outcome, harmful in tables.run(
            sql, parameters
        )
    ]  # fmt: skip


def find_failures(
    tables: Tables, cells: Sequence[int], selector: Selector, *, limit: int
) -> list[Found]:
    """Return rows of failures/, by the newest row of each job, in plan order.

    Raises:
        ConfigError: a key prefix that is no hexadecimal number.
        RecordError: a shard cannot be read.
    """
    shards = tables.files("failures")
    if not shards:
        return []
    rows = tables.run(_FAILURES, _parameters(shards, cells, selector, limit))
    return [
        Found(
            key=key, scenario=scenario, condition=condition, model=model, seed=seed,
            end_state=state, outcome="", harmful=None, error=error,
        )
        for key, scenario, condition, model, seed, state, error in rows
    ]  # fmt: skip


def _parameters(
    shards: Sequence[str], cells: Sequence[int], selector: Selector, limit: int
) -> dict[str, object]:
    prefix = selector.key.lower()
    if not re.fullmatch(r"[0-9a-f]{0,40}", prefix):
        msg = f"{selector.key!r} is no key of a job: give its first digits (0-9, a-f)."
        raise ConfigError(msg)
    return {
        "shards": shards,
        "cells": cells,
        "seed": selector.seed,
        "low": prefix,
        "high": prefix + "g",
        "limit": limit,
    }


_RECORD = "select t from read_parquet($shards) t where transcript_id = $key limit 1"
_FAILURE = """
select t from read_parquet($shards) t where job_key = $key order by finished_at desc limit 1
"""
_VERDICT = "select t from read_parquet($shards) t where job_key = $key limit 1"
_ATTEMPTS = """
select t from (
  select turn, number, started_at, latency_s, status, answered, failure_kind, error_message,
    request_id, retry_after_s
  from read_parquet($shards) where job_key = $key order by started_at, turn, number limit 1000) t
"""


def record_row(tables: Tables, key: str) -> Row | None:
    """Return one row of transcripts/ as name to value, None where there is none."""
    return _first(tables, _RECORD, tables.files("transcripts"), key)


def failure_row(tables: Tables, key: str) -> Row | None:
    """Return the newest row of failures/ of a job, None where there is none."""
    return _first(tables, _FAILURE, tables.files("failures"), key)


def attempt_rows(tables: Tables, key: str) -> list[Row]:
    """Return the attempts of a job, oldest first, at most 1,000."""
    return _rows(tables, _ATTEMPTS, tables.files("attempts"), key)


def verdict_rows(tables: Tables, key: str) -> list[Row]:
    """Return the verdicts on a record, by grader; gates as `gate_<name>`."""
    out: list[Row] = []
    by_folder: dict[Path, list[str]] = {}
    for file in verdict_files(tables):
        by_folder.setdefault(Path(file).parent, []).append(file)
    for _, files in sorted(by_folder.items()):
        found = _first(tables, _VERDICT, files, key)
        if found:
            out.append(found)
    return out


def verdict_files(tables: Tables) -> list[str]:
    """Return the verdict files on shards that are published, of each grader's newest digest."""
    shards = {Path(f).name for f in tables.files("transcripts")}
    newest: dict[str, Path] = {}
    for card in sorted(tables.directory.glob("verdicts/*@*/grader.json"), key=_modified):
        newest[card.parent.name.partition("@")[0]] = card.parent
    folders: Iterable[Path] = newest.values()
    return [
        str(f) for folder in folders for f in sorted(folder.glob("*.parquet")) if f.name in shards
    ]


def _modified(path: Path) -> float:
    return path.stat().st_mtime


def _first(tables: Tables, sql: str, shards: Sequence[str], key: str) -> Row | None:
    return next(iter(_rows(tables, sql, shards, key)), None)


def _rows(tables: Tables, sql: str, shards: Sequence[str], key: str) -> list[Row]:
    if not shards:
        return []
    return [dict(row[0]) for row in tables.run(sql, {"shards": shards, "key": key})]
