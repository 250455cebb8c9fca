"""Which transcripts a page carries, positives first, and their rows.

Every cell gets one before any gets a second, those with a harmful answer first; the rest is one
`runner show` away.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from runner.core.seeds import SeedSet
from runner.observe.amounts import count
from runner.record.query import Row as Tuple_
from runner.record.query import Tables
from runner.report.counts import COUNTED, range_parameters
from runner.report.lookup import Row, verdict_files

PER_CELL = 2
TEXT_LIMIT = 20_000
"""Characters of one text that a page shows."""
_COLUMNS = (
    *(
        "transcript_id",
        "cell",
        "scenario",
        "condition",
        "model",
        "seed",
        "end_state",
        "stop_reason",
    ),
    *("input_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens"),
    *("returned_model_id", "simulated", "messages"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """A transcript on a page."""

    key: str
    cell: int
    harmful_by: frozenset[str]
    """Names of the graders that call it harmful."""
    row: Row
    """As `runner show` gets it, long texts cut."""
    verdicts: tuple[Row, ...] = ()

    @property
    def harmful(self) -> bool:
        """Return whether any grader calls it harmful."""
        return bool(self.harmful_by)


_NO_VERDICTS = "(select null::bigint cell, null::bigint seed, null::boolean harmful limit 0)"
_PICKED = f"""
select t.cell, count_if(v.harmful) > 0,
  min_by(t.transcript_id, t.seed + case when v.harmful then 0 else 4294967296 end, {PER_CELL})
from read_parquet($shards) t {COUNTED}
left join {{verdicts}} v on v.cell = t.cell and v.seed = t.seed
group by t.cell order by 2 desc, 1
"""  # noqa: S608  # constants of this module
_ROWS = f"""
select {", ".join(_COLUMNS)} from read_parquet($shards)
where transcript_id in (select unnest($keys))
"""  # noqa: S608  # constants of this module
_VERDICTS = """
select v from read_parquet($verdicts) v where job_key in (select unnest($keys))
"""


def pick_samples(
    tables: Tables,
    seeds: Mapping[int, SeedSet],
    verdicts: Mapping[str, Sequence[str]],
    *,
    most: int,
) -> list[Sample]:
    """Return up to `most` transcripts, by cell, positives of any grader first.

    Args:
        tables: the sweep.
        seeds: cell number to the seeds that count.
        verdicts: grader to its verdict files; each has its positives among the samples.
        most: of all cells together.

    Raises:
        RecordError: a file cannot be read.
    """
    shards = tables.files("transcripts")
    if not shards or not seeds or most < 1:
        return []
    parameters: dict[str, object] = {"shards": shards, **range_parameters(seeds)}
    folders = {Path(files[0]).parent.name: name for name, files in verdicts.items() if files}
    picked: list[list[Tuple_]] = []
    for files in [f for f in verdicts.values() if f] or [()]:
        given = parameters | {"verdicts": files} if files else parameters
        source = "read_parquet($verdicts)" if files else _NO_VERDICTS
        picked.append(tables.run(_PICKED.format(verdicts=source), given))
    # First of each cell by each grader before any second one; where graders agree these are the same.
    every = [
        row[2][i] for i in range(PER_CELL) for rows in picked for row in rows if i < len(row[2])
    ]
    keys = list(dict.fromkeys(every))[:most]
    said = _verdicts(tables, keys)
    found: dict[str, Sample] = {}
    for values in tables.stream(_ROWS, {"shards": shards, "keys": keys}, batch=16):
        row: Row = dict(zip(_COLUMNS, values, strict=True))
        key = str(row["transcript_id"])
        row["messages"] = shortened(str(row["messages"]))
        found[key] = Sample(
            key=key,
            cell=cast("int", row["cell"]),
            harmful_by=frozenset(
                folders[f] for f, v in said.get(key, ()) if f in folders and v.get("harmful")
            ),
            row=row,
            verdicts=tuple(v for _, v in said.get(key, ())),
        )
    return sorted(
        (found[k] for k in keys if k in found), key=lambda s: (not s.harmful, s.cell, s.row["seed"])
    )


def _verdicts(tables: Tables, keys: Sequence[str]) -> dict[str, list[tuple[str, Row]]]:
    """Return (folder, verdict) of each key; graders have gates, and so columns, of their own."""
    by_folder: dict[str, list[str]] = {}
    for file in verdict_files(tables):
        by_folder.setdefault(Path(file).parent.name, []).append(file)
    out: dict[str, list[tuple[str, Row]]] = {}
    for folder, files in sorted(by_folder.items()):
        for (found,) in tables.stream(_VERDICTS, {"verdicts": files, "keys": keys}):
            row = dict(cast("Row", found))
            out.setdefault(str(row["job_key"]), []).append((folder, row))
    return out


def shortened(messages: str) -> str:
    """Return a conversation (JSON) whose texts have at most 20,000 characters each."""
    if len(messages) <= TEXT_LIMIT:
        return messages
    return json.dumps(_cut(json.loads(messages)))


def _cut(value: object) -> object:
    if isinstance(value, str) and len(value) > TEXT_LIMIT:
        left = count(len(value) - TEXT_LIMIT)
        return f"{value[:TEXT_LIMIT]}\n… {left} more characters (runner show has them)"
    if isinstance(value, list):
        return [_cut(v) for v in cast("list[object]", value)]
    if isinstance(value, dict):
        return {k: _cut(v) for k, v in cast("dict[str, object]", value).items()}
    return value
