"""What recorded attempts say of the lengths and times of answers."""

from __future__ import annotations

from math import exp, log
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from runner.record.observed import paces
from runner.record.schema import SCHEMAS, Kind


def attempts(folder: Path, rows: list[dict[str, Any]]) -> list[str]:
    """Write a shard with what is looked at; everything else is left out of it."""
    schema = SCHEMAS[Kind.ATTEMPTS]
    plain = {"model": "m", "role_model": None, "turn": 0, "answered": True, "input_tokens": 10}
    plain |= {"cache_read_tokens": 0, "cache_write_tokens": 0}
    names = [*plain, "latency_s", "output_tokens"]
    table = pa.Table.from_pylist(
        [plain | row for row in rows], schema=pa.schema([schema.field(n) for n in names])
    )
    path = folder / "shard.parquet"
    pq.write_table(table, path)
    return [str(path)]


def test_speed_is_told_from_lengths_and_times(tmp_path: Path):
    rows = [{"output_tokens": n, "latency_s": 0.7 + n / 50} for n in (50, 100, 200, 400)]
    pace = paces(attempts(tmp_path, rows))["m"]
    assert pace.speed == (pytest.approx(0.7), pytest.approx(50))
    assert pace.tokens / pace.calls == 187.5


@pytest.mark.parametrize(
    ("rows", "speed"),
    [
        ([(100, 2.0), (100, 4.0)], (3.0, 0.0)),
        ([(100, 4.0), (200, 2.0)], (3.0, 0.0)),
        ([(100, 1.0), (200, 4.0)], (0.0, 60.0)),
    ],
    ids=["all as long", "longer ones are faster", "shorter than no time to begin with"],
)
def test_speed_that_cannot_be_told_is_put_where_it_does_no_harm(tmp_path: Path, rows, speed):
    given = [{"output_tokens": tokens, "latency_s": seconds} for tokens, seconds in rows]
    assert paces(attempts(tmp_path, given))["m"].speed == pytest.approx(speed)


def test_spread_is_that_of_the_logarithm(tmp_path: Path):
    rows = [{"output_tokens": round(exp(x)), "latency_s": 1.0} for x in (5.0, 7.0)]
    spread = (log(round(exp(7.0))) - log(round(exp(5.0)))) / 2
    assert paces(attempts(tmp_path, rows))["m"].sigma == pytest.approx(spread)


def test_roles_and_failures_are_told_apart(tmp_path: Path):
    rows: list[dict[str, Any]] = [
        {"output_tokens": 100, "latency_s": 1.0, "cache_read_tokens": 90},
        {"output_tokens": 100, "latency_s": 1.0, "turn": 1},
        {"output_tokens": 7, "latency_s": 1.0, "role_model": "filter", "turn": 1},
        {"output_tokens": None, "latency_s": 1.0, "answered": False, "input_tokens": None},
    ]
    found = paces([*attempts(tmp_path, rows), str(tmp_path / "gone.parquet")])
    assert (found["m"].calls, found["m"].jobs, found["m"].input_tokens) == (2, 1, 110)
    assert (found["filter"].calls, found["filter"].roles) == (1, {"m": 1})
