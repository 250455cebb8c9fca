"""Rows of any Parquet file, as plain values: for sets of prompts that are not ours."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from runner.core.errors import RecordError

_BATCH = 1_000


def parquet_rows(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the rows of a file in order; memory is bounded by a batch of them.

    Raises:
        OSError: the file cannot be opened.
        RecordError: it is no Parquet file, or damaged.
    """
    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=_BATCH):
                yield from batch.to_pylist()
    except pa.ArrowException as error:
        msg = f"{path}: is no Parquet file that can be read ({str(error).splitlines()[0]})."
        raise RecordError(msg) from error
