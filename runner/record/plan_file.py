"""The versioned cell tables of a sweep at rest: `plan/00001.parquet`, one per plan version.

The columns are `plan/table.py`; here they become Parquet and back. A version is written once,
before the manifest entry that makes it hold, and never changed.
"""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO

import pyarrow as pa
import pyarrow.parquet as pq

from runner.core.errors import RecordError
from runner.core.seams import KeyMissingError, Store
from runner.plan.cells import Plan
from runner.plan.table import COLUMNS, StoredPlan, from_rows, plan_rows
from runner.record.layout import PLAN
from runner.record.parts import table_of_bytes

_TYPES = {int: pa.int64(), str: pa.large_string()}
_SCHEMA = pa.schema([pa.field(n, _TYPES[t], nullable=False) for n, t in COLUMNS.items()])


def plan_key(version: int) -> str:
    """Return the key of the cell table of a plan version."""
    return f"{PLAN}{version:05d}.parquet"


def encode_plan(plan: Plan, parts_json: Callable[[int], tuple[str, str]]) -> bytes:
    """Return a plan as Parquet; `parts_json` as for `plan_rows`."""
    sink = BytesIO()
    table = pa.table(plan_rows(plan, parts_json), schema=_SCHEMA)
    pq.write_table(table, sink, compression="zstd")
    return sink.getvalue()


def decode_plan(data: bytes, where: str) -> StoredPlan:
    """Read what `encode_plan` wrote.

    Raises:
        RecordError: it is no plan table.
    """
    try:
        table = table_of_bytes(data)
        columns = {name: table[name].to_pylist() for name in table.column_names}
    except (pa.ArrowException, OSError) as error:
        msg = f"{where}: not a readable plan table ({error}). Restore it from a copy of the sweep."
        raise RecordError(msg) from error
    return from_rows(columns)


async def read_plan(store: Store, version: int) -> StoredPlan:
    """Read the table of a plan version.

    Raises:
        RecordError: it is missing or damaged.
        StorageError: the store cannot be read.
    """
    key = plan_key(version)
    try:
        return decode_plan(await store.get(key), key)
    except KeyMissingError as error:
        msg = f"{key}: missing, but the manifest names it. Restore it from a copy of the sweep."
        raise RecordError(msg) from error
