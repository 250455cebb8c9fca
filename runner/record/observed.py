"""How long recorded answers are, and how long they took: for estimates of what is still owed.

Looks at a bounded number of shards spread over the sweep, and at a few small columns of each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import log, sqrt

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


@dataclass(slots=True)
class Pace:
    """Sums over answered attempts of one model, whoever it answered for."""

    calls: int = 0
    jobs: int = 0
    """First calls of jobs under test."""
    input_tokens: int = 0
    """Cached ones too."""
    tokens: int = 0
    """Of output."""
    seconds: float = 0.0
    squares: int = 0
    """Of tokens."""
    products: float = 0.0
    """Tokens times seconds."""
    logs: float = 0.0
    """Natural logarithms of tokens."""
    log_squares: float = 0.0
    roles: dict[str, int] = field(default_factory=dict[str, int])
    """Calls in a role, by the model under test that they belong to."""

    @property
    def sigma(self) -> float:
        """Return the standard deviation of the logarithm of an answer's length."""
        mean = self.logs / self.calls
        return sqrt(max(0.0, self.log_squares / self.calls - mean * mean))

    @property
    def speed(self) -> tuple[float, float]:
        """Return (seconds to begin with, tokens a second after that), by least squares.

        Where longer answers did not take longer, all of the time is put to the beginning: (mean, 0.0).
        """
        n, mean_y = self.calls, self.tokens / self.calls
        spread = self.squares / n - mean_y * mean_y
        along = self.products / n - mean_y * self.seconds / n
        if spread <= 1e-6 * max(1.0, mean_y * mean_y) or along <= 0:
            return self.seconds / n, 0.0
        slope = along / spread
        first = self.seconds / n - slope * mean_y
        return (first, 1 / slope) if first >= 0 else (0.0, self.tokens / self.seconds)


_PACE = [
    *("model", "role_model", "turn", "answered", "latency_s"),
    *("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens"),
]


def paces(paths: Sequence[str]) -> dict[str, Pace]:
    """Return sums by the name of the model that answered; a shard that has moved away is left out.

    Args:
        paths: of `read(directory, "attempts").paths()`.
    """
    step = max(1, len(paths) // MOST_SHARDS)
    found: dict[str, Pace] = {}
    for path in paths[::step][:MOST_SHARDS]:
        try:
            table = pq.read_table(path, columns=_PACE)
        except (OSError, pa.ArrowInvalid):
            continue
        for model, actor, turn, answered, seconds, plain, tokens, read, written in zip(
            *(table.column(name).to_pylist() for name in _PACE), strict=True
        ):
            if answered and tokens:
                pace = found.setdefault(actor or model, Pace())
                _add(pace, seconds, tokens, plain + (read or 0) + (written or 0))
                pace.jobs += turn == 0 and not actor
                if actor:
                    pace.roles[model] = pace.roles.get(model, 0) + 1
    return found


def _add(pace: Pace, seconds: float, tokens: int, inputs: int) -> None:
    pace.calls += 1
    pace.input_tokens += inputs
    pace.tokens += tokens
    pace.seconds += seconds
    pace.squares += tokens * tokens
    pace.products += tokens * seconds
    pace.logs += log(tokens)
    pace.log_squares += log(tokens) ** 2
