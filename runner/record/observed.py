"""How long recorded answers are: means per model, for estimates of what is still owed.

Looks at a bounded number of shards spread over the sweep, and at a few small columns of each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

MOST_SHARDS = 40
_COLUMNS = [
    *("model", "turns", "input_tokens", "output_tokens"),
    *("cache_read_tokens", "cache_write_tokens"),
]


@dataclass(slots=True)
class Taken:
    """Sums over recorded jobs of one model."""

    jobs: int = 0
    calls: int = 0
    input_tokens: int = 0
    """Cached ones too."""
    output_tokens: int = 0


def taken_by_model(paths: Sequence[str]) -> dict[str, Taken]:
    """Return the sums by model name; a shard that has just moved away is left out.

    Args:
        paths: of `read(directory).paths()`.
    """
    step = max(1, len(paths) // MOST_SHARDS)
    found: dict[str, Taken] = {}
    for path in paths[::step][:MOST_SHARDS]:
        try:
            table = pq.read_table(path, columns=_COLUMNS)
        except (OSError, pa.ArrowInvalid):
            continue
        sums = table.group_by("model").aggregate(
            [("turns", "count"), *((name, "sum") for name in _COLUMNS[1:])]
        )
        for row in sums.to_pylist():
            taken = found.setdefault(row["model"], Taken())
            taken.jobs += row["turns_count"]
            taken.calls += row["turns_sum"]
            taken.output_tokens += row["output_tokens_sum"]
            taken.input_tokens += sum(
                row[f"{name}_tokens_sum"] for name in ("input", "cache_read", "cache_write")
            )
    return found
