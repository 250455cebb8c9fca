"""`runner rehearse` beside rows that are recorded already."""

from __future__ import annotations

import json

import pytest

from tests.support.commands import Bench


def test_recorded_rows_go_before_guesses_and_only_what_is_owed_is_rehearsed(bench: Bench):
    bench.write(seeds=20)
    bench.ok("sweep", "c.yaml")
    told = json.loads(bench.ok("rehearse", "c.yaml", "seeds=50", "--json", "--no-what-if").out)
    assert told["jobs"] == 60
    assert any("from 40 recorded calls" in line for line in told["assumed"])
    rows = bench.rows()
    mean = sum(r["output_tokens"] for r in rows) / len(rows)
    assert told["models"][0]["output_tokens"] == pytest.approx(60 * mean, rel=0.05)
    nothing = bench.ok("rehearse", "c.yaml")
    assert nothing.out == "s: nothing is owed.\nnext: runner report outputs/s\n"
