"""A sweep as CSV or JSON lines: recorded rows with what every grader says of them.

DuckDB reads and writes; rows never become Python objects. JSON lines hold whole rows, every column
as in docs/schema.md (JSON columns are text there too: their shape is free, and readers that want one
type per column, Polars among them, would refuse them otherwise) and the verdicts as a list. CSV is for spreadsheets: what a row is,
how it ended, what the last answer says, and per grader its state, outcome and harmful; a text that a
spreadsheet would take for a formula gets a quote before it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from runner.record.query import Tables

_PLAIN = (
    *("transcript_id", "scenario", "condition", "axes", "model", "model_id", "returned_model_id"),
    *("seed", "end_state", "stop_reason", "turns", "attempts", "input_tokens", "output_tokens"),
    *("cache_read_tokens", "cache_write_tokens", "cost_usd", "started_at", "finished_at"),
    *("simulated", "prompt_digest", "answer_digest"),
)
_ANSWER = "array_to_string(json_extract_string(t.messages, '$[#-1].content[*].text'), '')"
_LINES = """
copy (
  with said as (
    select job_key, list(v order by grader) verdicts from ({verdicts}) v group by job_key)
  select t.*, coalesce(s.verdicts, []) verdicts
  from read_parquet($shards) t left join said s on s.job_key = t.transcript_id
) to $file (format json)
"""
_NO_VERDICTS = "select null::varchar job_key, null::varchar grader limit 0"
_COMMON = "job_key, grader, grader_digest, view, state, outcome, harmful, evidence"


def write_lines(tables: Tables, verdicts: Mapping[str, Sequence[str]], file: Path) -> int:
    """Write every recorded row as one JSON object a line; returns the number of rows.

    Args:
        tables: the sweep.
        verdicts: grader to its verdict files.
        file: written anew.

    Raises:
        RecordError: a shard cannot be read, or the file not be written.
    """
    shards = tables.files("transcripts")
    if not shards:
        file.write_bytes(b"")
        return 0
    files = [f for found in verdicts.values() for f in found]
    source = f"select {_COMMON} from read_parquet($verdicts, union_by_name=true)"  # noqa: S608  # constants
    parameters: dict[str, object] = {"shards": shards, "file": str(file)}
    if files:
        parameters["verdicts"] = files
    sql = _LINES.format(verdicts=source if files else _NO_VERDICTS)
    return int(tables.run(sql, parameters)[0][0])


def write_csv(tables: Tables, verdicts: Mapping[str, Sequence[str]], file: Path) -> int:
    """Write one line per recorded row, with three columns per grader; returns the number of rows.

    Raises:
        RecordError: a shard cannot be read, or the file not be written.
    """
    columns = [_guarded(f"t.{name}", name) for name in _PLAIN]
    columns.append(_guarded(_ANSWER, "answer"))
    joins: list[str] = []
    parameters: dict[str, object] = {"shards": tables.files("transcripts"), "file": str(file)}
    for i, (grader, files) in enumerate(verdicts.items()):
        if not files:
            continue
        word = re.sub(r"[^A-Za-z0-9_]", "_", grader)
        columns += [f'v{i}.{c} as "{word}_{c}"' for c in ("state", "outcome", "harmful")]
        joins.append(
            f"left join read_parquet($v{i}) v{i} on v{i}.job_key = t.transcript_id"  # DuckDB's own name
        )
        parameters[f"v{i}"] = files
    if not parameters["shards"]:
        file.write_text(",".join([*_PLAIN, "answer"]) + "\r\n")
        return 0
    sql = (
        f"copy (select {', '.join(columns)} from read_parquet($shards) t {' '.join(joins)}) "  # noqa: S608  # names of ours
        "to $file (format csv, header)"
    )
    return int(tables.run(sql, parameters)[0][0])


_TEXTS = frozenset({"scenario", "condition", "model", "model_id", "returned_model_id", "answer"})


def _guarded(expression: str, name: str) -> str:
    if name not in _TEXTS:
        return f'{expression} as "{name}"'
    risky = f"regexp_matches({expression}, '^[=+\\-@\\t\\r]')"
    return f"case when {risky} then '''' || {expression} else {expression} end as \"{name}\""
