"""The records that a sample is drawn from, counted and picked by DuckDB.

The population is every answered or truncated row of the shards at hand, whether or not the grader
could say anything of it. Refusals are no events by definition and need no label; empty answers are
outside every rate, and what a safeguard blocked is left to rules, which know what took effect. A record's place in its stratum is the MD5 of (seed, job key): the
same seed takes the same records, and a population that grew keeps those it had already, with the labels
on them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from runner.core.values import EndState
from runner.record.labels import Drawn
from runner.record.query import Tables
from runner.review.allocation import Stratum, twice

_READ = [str(EndState.ANSWERED), str(EndState.TRUNCATED)]
_NONE = "(select null::varchar job_key, null::varchar state, null::varchar outcome limit 0)"
_POPULATION = """
from read_parquet($shards) t left join {verdicts} v on v.job_key = t.transcript_id
where t.end_state in (select unnest($read)) and t.cell in (select unnest($cells))
"""
_SIZES = """
select t.model, t.scenario, coalesce(v.outcome, v.state, 'not_graded'), count(*)
{population} group by all
"""
_PICK = """
select t.model, t.scenario, coalesce(v.outcome, v.state, 'not_graded'),
  min_by({{key: t.transcript_id, cell: t.cell, seed: t.seed}}, md5($salt || t.transcript_id), {most})
{population} group by all
"""


def _sql(template: str, verdicts: Sequence[str], most: int = 1) -> str:
    source = "read_parquet($verdicts)" if verdicts else _NONE
    return template.format(population=_POPULATION.format(verdicts=source), most=most)


def _parameters(
    shards: Sequence[str], verdicts: Sequence[str], cells: Sequence[int]
) -> dict[str, object]:
    out: dict[str, object] = {"shards": list(shards), "read": _READ, "cells": list(cells)}
    return {**out, "verdicts": list(verdicts)} if verdicts else out


def stratum_sizes(
    tables: Tables, shards: Sequence[str], verdicts: Sequence[str], cells: Sequence[int]
) -> dict[Stratum, int]:
    """Return how many records each stratum has.

    Args:
        tables: the sweep.
        shards: paths of the shards that are the population.
        verdicts: paths of the reviewed grader's verdict files on them.
        cells: numbers of the cells that use the grader.

    Raises:
        RecordError: a shard cannot be read.
    """
    if not shards or not cells:
        return {}
    found = tables.run(_sql(_SIZES, verdicts), _parameters(shards, verdicts, cells))
    return {Stratum(model, scenario, said): n for model, scenario, said, n in found}


def pick(
    tables: Tables,
    shards: Sequence[str],
    verdicts: Sequence[str],
    cells: Sequence[int],
    *,
    sizes: Mapping[Stratum, int],
    take: Mapping[Stratum, int],
    seed: int,
    share_twice: float,
) -> tuple[Drawn, ...]:
    """Return the sample, stratum by stratum.

    Args:
        tables: the sweep.
        shards: as for `stratum_sizes`, whose answer is `sizes`.
        verdicts: as there.
        cells: as there.
        sizes: records of each stratum.
        take: how many of them.
        seed: the same seed takes the same records.
        share_twice: of the sample, to be labelled twice.

    Raises:
        ConfigError: a share below a fifth.
        RecordError: a shard cannot be read.
    """
    if not take:
        return ()
    parameters = {**_parameters(shards, verdicts, cells), "salt": f"{seed}:"}
    rows = tables.run(_sql(_PICK, verdicts, max(take.values())), parameters)
    chosen = sorted((Stratum(m, s, v), found[: take[Stratum(m, s, v)]]) for m, s, v, found in rows)
    again = twice([one["key"] for _, found in chosen for one in found], share_twice)
    out: list[Drawn] = []
    for stratum, found in chosen:
        for one in found:
            drawn = Drawn(
                job_key=one["key"],
                cell=one["cell"],
                seed=one["seed"],
                scenario=stratum.scenario,
                model=stratum.model,
                verdict=stratum.verdict,
                records=sizes[stratum],
                drawn=take[stratum],
                selection_probability=take[stratum] / sizes[stratum],
                twice=one["key"] in again,
                position=len(out),
            )
            out.append(drawn)
    return tuple(out)
