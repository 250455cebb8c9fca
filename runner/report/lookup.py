"""Finds single records of a sweep: by key, cells and seed, with verdicts and attempts.

Only the rows asked for leave DuckDB, a bounded number of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from runner.core.errors import ConfigError
from runner.plan.cells import Plan
from runner.report.query import Tables, file_list


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
        some = ", ".join(c.condition or c.scenario for c in plan.cells[:4])
        msg = (
            f"no cell fits --scenario {selector.scenario!r} --condition {selector.condition!r} "
            f"--model {selector.model!r}. Models: {', '.join(plan.models)}. Conditions: {some} …"
        )
        raise ConfigError(msg)
    return found


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
    where, parameters = _where("t.transcript_id", cells, selector)
    verdicts = verdict_files(tables)
    given = "select null::bigint cell, null::bigint seed, '' outcome, null::boolean harmful limit 0"
    if verdicts:
        given = (
            "select cell, seed, arg_min(outcome, grader) outcome, bool_or(harmful) harmful "
            f"from read_parquet({file_list(verdicts)}, union_by_name=true) group by all"
        ).replace("group by all", "group by cell, seed")
    if selector.outcome == "harmful":
        where += " and v.harmful"
    elif selector.outcome:
        where += " and v.outcome = $outcome"
        parameters["outcome"] = selector.outcome
    sql = (
        "select t.transcript_id, t.scenario, t.condition, t.model, t.seed, t.end_state, "
        "coalesce(v.outcome, ''), v.harmful "
        f"from read_parquet({file_list(shards)}) t left join ({given}) v "
        f"on v.cell = t.cell and v.seed = t.seed where {where} "
        f"order by coalesce(v.harmful, false) desc, t.cell, t.seed limit {limit:d}"
    )
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
    where, parameters = _where("t.job_key", cells, selector)
    sql = (
        "select job_key, any_value(scenario), any_value(condition), any_value(model), seed, "
        "arg_max(end_state, finished_at), arg_max(error, finished_at) "
        f"from read_parquet({file_list(shards)}) t where {where} "
        f"group by job_key, cell, seed order by cell, seed limit {limit:d}"
    )
    return [
        Found(
            key=key, scenario=scenario, condition=condition, model=model, seed=seed,
            end_state=state, outcome="", harmful=None, error=error,
        )
        for key, scenario, condition, model, seed, state, error in tables.run(sql, parameters)
    ]  # fmt: skip


def _where(
    key: str, cells: Sequence[int], selector: Selector
) -> tuple[str, dict[str, object]]:
    clauses, parameters = ["t.cell in (select unnest($cells))"], dict[str, object](cells=[*cells])
    if selector.seed is not None:
        clauses.append("t.seed = $seed")
        parameters["seed"] = selector.seed
    if selector.key:
        prefix = selector.key.lower()
        if not re.fullmatch(r"[0-9a-f]{1,40}", prefix):
            msg = f"{selector.key!r} is no key of a job: give its first digits (0-9, a-f)."
            raise ConfigError(msg)
        # A range, so that Parquet statistics skip row groups; `g` follows every digit.
        clauses.append(f"{key} >= $low and {key} < $high")
        parameters |= {"low": prefix, "high": prefix + "g"}
    return " and ".join(clauses), parameters


def record_row(tables: Tables, key: str) -> dict[str, object] | None:
    """Return one row of transcripts/ as name to value, None where there is none."""
    return _one(tables, tables.files("transcripts"), "transcript_id", key, "finished_at")


def failure_row(tables: Tables, key: str) -> dict[str, object] | None:
    """Return the newest row of failures/ of a job, None where there is none."""
    return _one(tables, tables.files("failures"), "job_key", key, "finished_at")


def attempt_rows(tables: Tables, key: str) -> list[dict[str, object]]:
    """Return the attempts of a job, oldest first."""
    shards = tables.files("attempts")
    columns = (
        "turn", "number", "started_at", "latency_s", "status", "answered", "failure_kind",
        "error_message", "request_id", "retry_after_s",
    )  # fmt: skip
    if not shards:
        return []
    sql = (
        f"select {', '.join(columns)} from read_parquet({file_list(shards)}) "
        "where job_key = $key order by started_at, turn, number limit 1000"
    )
    return [dict(zip(columns, r, strict=True)) for r in tables.run(sql, {"key": key})]


def verdict_rows(tables: Tables, key: str) -> list[dict[str, object]]:
    """Return the verdicts on a record, by grader; gates as `gate_<name>`."""
    out: list[dict[str, object]] = []
    by_folder: dict[Path, list[str]] = {}
    for file in verdict_files(tables):
        by_folder.setdefault(Path(file).parent, []).append(file)
    for _, files in sorted(by_folder.items()):
        found = _one(tables, files, "job_key", key, "job_key")
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
    return [str(f) for folder in folders for f in sorted(folder.glob("*.parquet")) if f.name in shards]


def _modified(path: Path) -> float:
    return path.stat().st_mtime


def _one(
    tables: Tables, shards: Sequence[str], column: str, key: str, newest_by: str
) -> dict[str, object] | None:
    if not shards:
        return None
    sql = (
        f"select t from read_parquet({file_list(shards)}) t "
        f"where {column} = $key order by {newest_by} desc limit 1"
    )
    rows: list[tuple[Mapping[str, object]]] = [(r[0],) for r in tables.run(sql, {"key": key})]
    return dict(rows[0][0]) if rows else None
