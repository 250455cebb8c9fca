"""`docs/schema.md`, generated from the schema: `python -m runner.record.schema_doc > docs/schema.md`."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator

from runner.record.labels import DRAW_COLUMNS, LABEL_COLUMNS, LABEL_SCHEMA_VERSION
from runner.record.schema import COLUMNS, SCHEMA_VERSION, Column, Kind
from runner.record.verdicts import VERDICT_COLUMNS, VERDICT_SCHEMA_VERSION

_INTRODUCTION = """\
# Schema of the tables

Version {version}. Generated from `runner/record/schema.py` by
`python -m runner.record.schema_doc`; a test keeps the two equal. Each Parquet file carries the
meaning and unit of its columns in its field metadata too.

* The three folders are plain Parquet: `read_parquet('outputs/x/transcripts/*.parquet')` works in
  DuckDB, Polars, pandas and Spark at any moment, also while the sweep runs.
* `transcripts/` is an Inspect Scout transcript database as it is; the columns up to `messages` are
  Scout's, the others become its metadata.
* Join `attempts.job_key` and `failures.job_key` with `transcripts.transcript_id`.
* Free facts (axes, labels, parameters) are JSON text and never columns of their own, so that a
  sweep that grows keeps one schema. In DuckDB: `axes->>'tone'`.
* The text of the last answer, in DuckDB:
  `array_to_string(json_extract_string(messages, '$[#-1].content[*].text'), '')`.
* Times are ISO 8601 text in UTC with microseconds and sort as text; `started_at::timestamptz`
  gives DuckDB's own type.
"""

_PURPOSE = {
    Kind.TRANSCRIPTS: "One row per answered job (answered, refused, empty or truncated), each job "
    "at most once at every moment. Sorted by transcript_id inside a file.",
    Kind.ATTEMPTS: "One row per HTTP request that was sent, of answered and of failed jobs.",
    Kind.FAILURES: "Dead letters: jobs whose own budget ran out. A job that is owed again "
    "(`--retry-failed`) and is answered then has its row in transcripts as well; the row here "
    "stays as history.",
}

_VERDICTS = """\
## verdicts

Version {version}. `verdicts/<grader>@<digest>/<shard>.parquet`, written by `runner grade` (and by
`runner report` for rules and light functions): one row per row of that shard of transcripts/ whose
scenario uses the grader; the rows of transcripts/ never change. Key: (`job_key`, `grader_digest`);
join `job_key` with `transcripts.transcript_id`. After these columns comes a boolean `gate_<name>`
for each gate of the grader, null where the gate was not reached. `grader.json` beside them has the
grader's whole digest and that of the facts it was given. A changed grader has a new folder, the old
one stays. `runner grade` names the folder of each grader's present digest.

```sql
select t.model, v.state, v.outcome, count(*)
from 'outputs/x/transcripts/*.parquet' t
left join 'outputs/x/verdicts/NAME@DIGEST/*.parquet' v on v.job_key = t.transcript_id
group by all
```

A row of transcripts/ without a verdict is not graded yet. A model judge's calls are a sweep of their
own under `judging/<grader>@<digest>/`, with the same tables: attempts, failures, journal.
"""

_REVIEW = """\
## review

Version {version}. Written by `runner review`, read by `runner calibrate` and `runner report`.
`review/draws/<number>.parquet`: one row per record of a sample that people label; it never changes. Its
file metadata (`runner.draw`, JSON) has the grader, the seed, the choices and the shards that are the
population.
"""

_LABELS = """\
`review/labels/<session>.parquet`: one row per label, of one session of one person. Of the rows with one
(`job_key`, `labeller`, `look`) the one with the highest `labelled_at` counts; the others were corrected.

```sql
select labeller, outcome, count(*) from (
  select * from 'outputs/x/review/labels/*.parquet'
  qualify row_number() over (partition by job_key, labeller, look order by labelled_at desc) = 1)
group by all
```
"""


def render() -> str:
    """Return the whole document."""
    return "\n".join(_lines())


def _lines() -> Iterator[str]:
    yield _INTRODUCTION.format(version=SCHEMA_VERSION)
    for kind, columns in COLUMNS.items():
        yield f"## {kind.value}\n"
        yield f"{_PURPOSE[kind]}\n"
        yield from _table(columns)
    yield _VERDICTS.format(version=VERDICT_SCHEMA_VERSION)
    yield from _table(VERDICT_COLUMNS)
    yield _REVIEW.format(version=LABEL_SCHEMA_VERSION)
    yield from _table(DRAW_COLUMNS)
    yield _LABELS
    yield from _table(LABEL_COLUMNS)


def _table(columns: Iterable[Column]) -> Iterator[str]:
    yield "| column | type | null | unit | meaning |"
    yield "|---|---|---|---|---|"
    for column in columns:
        yield _row(column)
    yield ""


def _row(column: Column) -> str:
    null = "yes" if column.nullable else "no"
    meaning = column.meaning.replace("|", "\\|")
    return f"| `{column.name}` | {column.type} | {null} | {column.unit} | {meaning} |"


if __name__ == "__main__":
    sys.stdout.write(render())
