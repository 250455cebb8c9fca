"""Counts, by DuckDB, of what each judge says over the records of a draw."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from runner.core.values import NO_EVENT_STATES, EndState
from runner.record.labels import Draw
from runner.record.query import Tables
from runner.review.calibration import Cell, Group, JudgeView, Population

_READ = [str(EndState.ANSWERED), str(EndState.TRUNCATED)]
_NO_EVENTS = sorted(NO_EVENT_STATES)
_CALLED = "case when {v}.state = 'graded' then {v}.harmful end"
_GROUPS = f"""
select t.scenario, t.model, coalesce(d.outcome, d.state, 'not_graded'), {_CALLED.format(v="g")}, count(*)
from read_parquet($shards) t left join {{reviewed}} d on d.job_key = t.transcript_id
left join {{judge}} g on g.job_key = t.transcript_id
where t.end_state in (select unnest($read)) and t.cell in (select unnest($cells))
group by all order by all
"""  # noqa: S608  # constants of this module
_ITEMS = f"""
select g.job_key, {_CALLED.format(v="g")} from {{judge}} g where g.job_key in (select unnest($keys))
"""  # noqa: S608  # constants of this module
_REFUSED = """
select scenario, model, count(*) from read_parquet($shards)
where end_state in (select unnest($ended)) and cell in (select unnest($cells)) group by all
"""
_TOGETHER = """
select a.harmful, b.harmful, count(*) from read_parquet($first) a
join read_parquet($second) b on b.job_key = a.job_key
where a.state = 'graded' and b.state = 'graded' and a.harmful is not null and b.harmful is not null
group by all
"""
_NEWER = """
select count(*) from read_parquet($shards)
where end_state in (select unnest($read)) and cell in (select unnest($cells))
"""
_NONE = (
    "(select null::varchar job_key, null::varchar state, null::varchar outcome, null::boolean harmful "
    "limit 0)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeFiles:
    """A judge and its verdict files on the draw's shards."""

    grader: str
    kind: str
    files: tuple[str, ...]


def count_population(
    tables: Tables,
    draw: Draw,
    judges: Sequence[JudgeFiles],
    *,
    shards: Sequence[str],
    newer: Sequence[str],
    cells: Sequence[int],
) -> Population:
    """Return what is counted for a calibration.

    Args:
        tables: the sweep.
        draw: the sample.
        judges: the reviewed grader first.
        shards: paths of the draw's shards.
        newer: paths of shards published since.
        cells: numbers of the cells that use the reviewed grader.

    Raises:
        RecordError: a file cannot be read.
    """
    base: dict[str, object] = {"shards": list(shards), "cells": list(cells)}
    refused: dict[Cell, int] = {}
    for scenario, model, n in tables.run(_REFUSED, {**base, "ended": _NO_EVENTS}):
        refused[scenario, model] = n
    views = tuple(_view(tables, draw, judge, judges[0], base) for judge in judges)
    recorded = 0
    if newer:
        parameters = {"shards": list(newer), "cells": list(cells), "read": _READ}
        recorded = int(tables.run(_NEWER, parameters)[0][0])
    return Population(
        judges=views, refused=refused, together=_together(tables, judges), newer=recorded
    )


def _source(judge: JudgeFiles, name: str) -> str:
    return f"read_parquet(${name})" if judge.files else _NONE


def _view(
    tables: Tables,
    draw: Draw,
    judge: JudgeFiles,
    reviewed: JudgeFiles,
    base: Mapping[str, object],
) -> JudgeView:
    files = {
        name: list(one.files)
        for name, one in (("reviewed", reviewed), ("judge", judge))
        if one.files
    }
    sql = _GROUPS.format(reviewed=_source(reviewed, "reviewed"), judge=_source(judge, "judge"))
    groups = tuple(
        Group(scenario=scenario, model=model, verdict=verdict, called=called, records=n)
        for scenario, model, verdict, called, n in tables.run(sql, {**base, **files, "read": _READ})
    )
    called: dict[str, bool | None] = {}
    if judge.files:
        keys = [item.job_key for item in draw.items]
        found = tables.run(
            _ITEMS.format(judge="read_parquet($judge)"),
            {"judge": list(judge.files), "keys": keys},
        )
        called = dict(found)
    return JudgeView(grader=judge.grader, kind=judge.kind, groups=groups, called=called)


def _together(
    tables: Tables, judges: Sequence[JudgeFiles]
) -> dict[tuple[str, str], dict[tuple[bool, bool], int]]:
    out: dict[tuple[str, str], dict[tuple[bool, bool], int]] = {}
    for first, second in combinations([j for j in judges if j.files], 2):
        parameters = {"first": list(first.files), "second": list(second.files)}
        found = tables.run(_TOGETHER, parameters)
        out[first.grader, second.grader] = {(a, b): n for a, b, n in found}
    return out
