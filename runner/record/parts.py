"""Parquet parts: what a worker seals, encoded once, and the rewrite of one that overlaps.

A part becomes a shard by being moved; nothing here touches a file system. Layout of a part: zstd,
row groups of at most 1,000 rows and about 8 MB so that a single transcript is read quickly, rows
sorted by id, dictionary encoding on columns with few distinct values only. All functions are pure
and may run in a thread.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any, cast

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from runner.core.errors import RecordError
from runner.core.facts import CellFacts
from runner.core.seeds import SeedSet
from runner.core.values import NOTHING, Amount, Finished
from runner.record.columns import Keyed, keyed, kind_of_end, table
from runner.record.schema import COUNTED, IDS, REPEATED, Kind, kind_of

GROUP_ROWS = 1000
GROUP_BYTES = 8_000_000
"""Of Arrow data, before compression; a single larger row is a group of its own."""
_LONG = frozenset({"messages", "raw_content", "attempt_errors"})
"""Columns whose least and greatest value help no reader."""
_ROW_BYTES = 2_000
"""Columns of a row beside the conversation, and its rows in attempts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodedPart:
    """One Parquet file, in memory."""

    kind: Kind
    data: bytes
    rows: int
    jobs: dict[int, SeedSet]
    """Jobs that have a row in it: seeds by cell number."""
    counted: Amount = NOTHING
    """What attempts in it count against a budget."""


def encode_parts(
    finished: Sequence[Finished],
    facts: Callable[[int], CellFacts],
    *,
    attempts: Sequence[Finished] | None = None,
) -> list[EncodedPart]:
    """Encode finished jobs: final rows, and one row for each of their attempts.

    Args:
        finished: each job at most once.
        facts: the facts of a cell by its number; called once or twice per cell.
        attempts: jobs, finished or not, with the attempts that get rows of their own; None: all
            attempts of `finished`.

    Returns:
        One part for each of transcripts, failures and attempts that has rows, in this order.
    """
    jobs = keyed(finished, facts)
    tried = jobs if attempts is None or attempts == finished else keyed(attempts, facts)
    groups: dict[Kind, list[Keyed]] = {
        Kind.TRANSCRIPTS: [],
        Kind.FAILURES: [],
        Kind.ATTEMPTS: [job for job in tried if job.finished.attempts],
    }
    for job in jobs:
        groups[kind_of_end(job.finished.end_state)].append(job)
    parts: list[EncodedPart] = []
    for kind, group in groups.items():
        if group:
            rows = table(kind, group, facts)
            jobs_of = _jobs(j.finished.job for j in group)
            parts.append(_encoded(kind, rows, jobs_of))
    return parts


def _encoded(kind: Kind, rows: pa.Table, jobs: dict[int, SeedSet]) -> EncodedPart:
    counted = NOTHING
    if kind is Kind.ATTEMPTS:
        usd, tokens = (pc.sum(rows[name]).as_py() or 0 for name in COUNTED)
        counted = Amount(float(usd), float(tokens))
    return EncodedPart(
        kind=kind, data=to_parquet(rows), rows=rows.num_rows, jobs=jobs, counted=counted
    )


def _jobs(pairs: Iterator[tuple[int, int]]) -> dict[int, SeedSet]:
    seeds: dict[int, list[int]] = {}
    for cell, seed in pairs:
        seeds.setdefault(cell, []).append(seed)
    return {cell: SeedSet.of_seeds(found) for cell, found in sorted(seeds.items())}


def writer(schema: pa.Schema, sink: str | pa.NativeFile) -> pq.ParquetWriter:
    """Return a Parquet writer with the settings that all our files share.

    Args:
        schema: of one of our tables, possibly of an older version.
        sink: a path or an Arrow output stream.

    Raises:
        RecordError: the schema is none of ours.
    """
    return pq.ParquetWriter(
        sink,
        schema,
        compression="zstd",
        compression_level=1,
        use_dictionary=REPEATED[kind_of(schema, "table")],  # pyright: ignore[reportArgumentType]  # the stubs know no list
        write_statistics=[name for name in schema.names if name not in _LONG],
    )


def write_groups(out: pq.ParquetWriter, rows: pa.Table) -> None:
    """Append rows as row groups within the bounds on rows and bytes."""
    for start, count in _slices(rows):
        out.write_table(rows.slice(start, count), row_group_size=count)


def _slices(rows: pa.Table) -> Iterator[tuple[int, int]]:
    """Yield (start, count) of row groups."""
    if rows.num_rows <= GROUP_ROWS and rows.nbytes <= GROUP_BYTES:
        yield 0, rows.num_rows
        return
    sizes = [_ROW_BYTES] * rows.num_rows
    if "messages" in rows.column_names:
        lengths = pc.binary_length(rows["messages"]).to_pylist()
        sizes = [_ROW_BYTES + (n or 0) for n in lengths]
    start, total = 0, 0
    for i, size in enumerate(sizes):
        if i > start and (i - start == GROUP_ROWS or total + size > GROUP_BYTES):
            yield start, i - start
            start, total = i, 0
        total += size
    yield start, rows.num_rows - start


def to_parquet(rows: pa.Table) -> bytes:
    """Encode a table."""
    sink = pa.BufferOutputStream()
    with writer(rows.schema, sink) as out:
        write_groups(out, rows)
    return sink.getvalue().to_pybytes()


def estimate_bytes(finished: Finished) -> int:
    """Return about how many bytes the job's rows take before compression, cheaply.

    An upper estimate for ordinary text: non-ASCII text counts three bytes a character, answers as
    long as their bodies. Control characters may escape to more than that.
    """
    total = _ROW_BYTES + len(finished.attempts) * 500 + _size(finished.conversation.system)
    total += sum(_size(m.get("content")) + 100 for m in finished.conversation.messages)
    return total + sum(len(a.answer.body) for a in finished.attempts if a.answer is not None)


def _size(value: object, levels: int = 60) -> int:
    if isinstance(value, str):
        return len(value) if value.isascii() else 3 * len(value)
    if levels == 0:  # hostile nesting; it is counted with the body of the answer it came in
        return 0
    if isinstance(value, Mapping):
        found = cast("Mapping[str, object]", value)
        return sum(len(key) + 6 + _size(item, levels - 1) for key, item in found.items())
    if isinstance(value, Sequence):
        return sum(_size(item, levels - 1) + 1 for item in cast("Sequence[object]", value))
    return 20


def table_of_bytes(data: bytes) -> pa.Table:
    """Decode a Parquet file held in memory, in the calling thread alone.

    Arrow's threads would hold references to `data` for a moment after the table is there. Where the
    interpreter ends in that moment, a thread that lets go of one wants the lock of an interpreter
    that is gone, and the process dies (`terminate called without an active exception`, exit code
    -6) though its work was done. Files read by path hold no Python object and may use threads.

    Raises:
        pa.ArrowException, OSError: not a whole Parquet file.
    """
    return pq.ParquetFile(BytesIO(data), pre_buffer=False).read(use_threads=False)


def read_parquet(data: bytes, where: str = "part") -> tuple[Kind, pa.Table]:
    """Decode a part.

    Raises:
        RecordError: not a whole Parquet file, or none of our tables.
    """
    try:
        found = table_of_bytes(data)
    except (pa.ArrowException, OSError) as error:
        msg = f"{where}: torn or no Parquet file ({error})"
        raise RecordError(msg) from error
    return kind_of(found.schema, where), found


def without_jobs(data: bytes, drop: Mapping[int, SeedSet]) -> EncodedPart | None:
    """Rewrite a part without the rows of some jobs.

    Returns:
        The rewritten part, None where no row is left.

    Raises:
        RecordError: the data is no part of ours.
    """
    kind, rows = read_parquet(data)
    keep = [seed not in drop[cell] if cell in drop else True for cell, seed in _pairs(rows)]
    return _rewrite(kind, rows, keep)


def without_attempts(data: bytes, drop_ids: Collection[str]) -> EncodedPart | None:
    """Rewrite an attempts part without some attempts; as `without_jobs`."""
    kind, rows = read_parquet(data)
    dropped = frozenset(drop_ids)
    keep = [found not in dropped for found in rows[IDS[Kind.ATTEMPTS]].to_pylist()]
    return _rewrite(kind, rows, keep)


def attempt_ids(data: bytes) -> set[str]:
    """Return the ids of all attempts of an attempts part.

    Raises:
        RecordError: the data is no part of ours.
    """
    found: list[Any] = read_parquet(data)[1][IDS[Kind.ATTEMPTS]].to_pylist()
    return set(found)


def _pairs(rows: pa.Table) -> Iterator[tuple[int, int]]:
    cells: list[Any] = rows["cell"].to_pylist()
    seeds: list[Any] = rows["seed"].to_pylist()
    return zip(cells, seeds, strict=True)


def _rewrite(kind: Kind, rows: pa.Table, keep: list[bool]) -> EncodedPart | None:
    left = rows.filter(pa.array(keep, pa.bool_()))
    if left.num_rows == 0:
        return None
    return _encoded(kind, left, _jobs(_pairs(left)))
