"""A million rows: `runner report` and its page in bounded time and memory."""

import asyncio
import hashlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from runner.cli.main import main
from runner.core.identity import job_key
from runner.core.seeds import SeedSet
from runner.record.entries import Publish, Shard
from tests.support.finished_sweep import Ends, Writer, config

pytestmark = pytest.mark.bench
SEEDS = int(os.environ.get("RUNNER_REPORT_SEEDS", "1000"))
"""Per cell; there are 1,000 cells."""
CELLS_PER_SHARD = 10


def million(root: Path) -> Writer:
    """Write 1,000 cells × SEEDS rows of about 4 KB, with verdicts, through one real shard."""
    wanted = config(seeds=SEEDS, models=("m1", "m2", "m3", "m4"))
    scenario = wanted.scenarios[0]
    scenario.axes = {"tone": ["calm", "pressed"], **{a: list("abcde") for a in ("p", "q", "r")}}
    scenario.user = "New mail has come. {{ p }}{{ q }}{{ r }} " + "Sorted by hand. " * 150
    writer = Writer(root, wanted)
    writer.publish(
        {(c.number, 0): Ends(text=f"Sorted. {c.number}") for c in writer.book.plan.cells}
    )
    assert main(["grade", str(root)]) == 0
    (shard,) = (root / "transcripts").glob("*.parquet")
    (verdicts,) = (root / "verdicts").glob("*/*.parquet")
    rows, said = pq.read_table(shard), pq.read_table(verdicts)
    at = {cell: i for i, cell in enumerate(rows["cell"].to_pylist())}
    said_at = {cell: i for i, cell in enumerate(said["cell"].to_pylist())}
    cells = list(writer.book.plan.cells)
    rng = np.random.default_rng(1)
    for start in range(0, len(cells), CELLS_PER_SHARD):
        some = cells[start : start + CELLS_PER_SHARD]
        keys = [(job_key(c.digest, s), c.number, s) for c in some for s in range(1, SEEDS)]
        keys.sort()
        name = f"w1.{1000 + start:05d}"
        table = _spread(rows, keys, at, rng)
        path = root / "transcripts" / f"{name}.parquet"
        pq.write_table(table, path, compression="zstd", row_group_size=1000)
        pq.write_table(
            _spread(said, keys, said_at, rng), verdicts.with_name(f"{name}.parquet"),
            compression="zstd",
        )  # fmt: skip
        data = path.read_bytes()
        published = Shard(
            name=f"transcripts/{name}.parquet", rows=len(keys), bytes=len(data),
            sha256=hashlib.sha256(data).hexdigest(),
            jobs={c.number: SeedSet.of([(1, SEEDS)]) for c in some},
        )  # fmt: skip
        asyncio.run(writer.log.append(Publish(transcripts=(published,), seals=(name,))))
    return writer


def _spread(table, keys, at, rng):
    out = table.take([at[cell] for _, cell, _ in keys])
    text = pa.array([k for k, _, _ in keys], pa.large_string())
    seeds = pa.array([s for _, _, s in keys], pa.int64())
    columns = {"transcript_id": text, "job_key": text, "seed": seeds, "task_repeat": seeds}
    columns["answer_digest"] = pa.array([k[:32] for k, _, _ in keys], pa.large_string())
    if "messages" in out.column_names:
        before, after = out["messages"].to_pylist(), []
        for m, (k, _, _) in zip(before, keys, strict=True):
            after.append(m.replace("Sorted. ", f"Sorted {k * 12}. "))
        columns["messages"] = pa.array(after, pa.large_string())
    if "harmful" in out.column_names:
        columns["harmful"] = pa.array(rng.random(len(keys)) < 0.01)
    for name, values in columns.items():
        i = out.schema.get_field_index(name)
        if i >= 0:
            out = out.set_column(i, out.schema.field(i), values)
    return out


def test_report_of_a_million_rows_in_time_and_memory(tmp_path):
    began = time.process_time()
    writer = million(tmp_path / "sweep")
    size = sum(p.stat().st_size for p in (writer.root / "transcripts").iterdir())
    print(
        f"\nmade {SEEDS * 1000:,} rows, {size / 1e6:,.0f} MB, {time.process_time() - began:.0f} s"
    )
    for form in ((), ("--html",)):
        code = (
            "import json, resource, sys, time; from runner.cli.main import main; "
            "wall, cpu = time.perf_counter(), time.process_time(); "
            f"code = main(['report', {str(writer.root)!r}, *{form!r}]); "
            "print(json.dumps({'code': code, 'wall_s': time.perf_counter() - wall, "
            "'cpu_s': time.process_time() - cpu, "
            "'rss_mb': resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}), file=sys.stderr)"
        )
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        )
        found = json.loads(done.stderr.splitlines()[-1])
        print("report", *form, {k: round(v, 1) for k, v in found.items()})
        assert found["code"] == 0
        assert found["rss_mb"] < 1024
        assert found["cpu_s"] < 60
