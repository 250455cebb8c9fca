"""Prompt caching: how much of the input still counts, for 234 conditions of 100 seeds each."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import urllib.request
from pathlib import Path

import duckdb
import pytest
import yaml

CONDITIONS, SEEDS = 234, 100
SHARED, OWN = 20_000, 1_000  # characters: 95 % are the same for all seeds of a condition
FAST = (
    *("latency.first_token_s=0.05", "latency.tokens_per_s=0", "output.mean_tokens=20"),
    *("quota.rpm=null", "quota.itpm=null", "quota.otpm=null"),
)


def configuration(url: str) -> dict[str, object]:
    shared = "A line of the briefing that everybody gets to read.\n" * (SHARED // 52)
    own = "And a line of this case alone, which no other one has. " * (OWN // 55)
    scenario = {
        "name": "briefing",
        "axes": {"case": list(range(CONDITIONS))},
        "user": "Case file {{ case }}.\n" + shared + "Number {{ seed }}: " + own,
    }
    model = {
        "name": "m",
        "model": "claude-sonnet-5",
        "base_url": url,
        "max_tokens": 200,
        "max_in_flight": 128,
    }
    return {"name": "cache", "scenarios": [scenario], "models": [model], "seeds": SEEDS}


@pytest.mark.bench
@pytest.mark.parametrize("placement", [(), ("--workers", "2")], ids=["in process", "on Ray"])
def test_caching_when_seeds_share_95_percent_cuts_counted_input_by_5(
    tmp_path: Path, placement: tuple[str, ...]
):
    runner = [sys.executable, "-m", "runner"]
    server = subprocess.Popen(
        [*runner, "simulate", "--port", "0", *FAST], stdout=subprocess.PIPE, text=True
    )
    try:
        assert server.stdout is not None
        url = ""
        while not url:
            found = re.search(r"http://127\.0\.0\.1:\d+", server.stdout.readline())
            url = found[0] if found else ""
        (tmp_path / "c.yaml").write_text(yaml.safe_dump(configuration(url)))
        done = subprocess.run(
            [*runner, "sweep", "c.yaml", *placement], cwd=tmp_path, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr[-2000:]
        with urllib.request.urlopen(f"{url}/simulate/stats") as response:
            tokens = json.load(response)["tokens"]
    finally:
        server.kill()
        server.wait()
        assert server.stdout is not None
        server.stdout.close()
    counted, read = tokens["input"], tokens["cache_read"]
    print(f"\n{CONDITIONS} conditions x {SEEDS} seeds: {counted:,} input tokens counted")
    print(f"without a cache {counted + read:,}: {(counted + read) / counted:.1f} times as many")
    print(next(line for line in done.stdout.splitlines() if "prompt cache" in line))
    [(writes, cells)] = duckdb.sql(
        f"""
        select count(*), count(distinct cell) from '{tmp_path}/outputs/cache/attempts/*.parquet'
        where cache_write_tokens > 0
        """
    ).fetchall()
    print(f"calls that wrote a prefix: {writes} of {cells} prefixes")
    assert counted + read >= 5 * counted
    assert writes <= 1.02 * cells
