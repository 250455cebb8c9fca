"""`runner status` of a sweep that has ended: how it used its quotas, from its attempts table."""

from __future__ import annotations

import json

from tests.support.commands import Bench


def test_status_of_a_finished_sweep_tells_how_each_quota_was_used(bench: Bench) -> None:
    paced = {"rpm": 2400, "itpm": 6_000_000, "ramp": {"start": 1.0}}
    bench.write(
        models=[bench.model("a", quota=paced), bench.model("b", model="other", quota="none")],
        seeds=40,
        quotas=[],
    )
    bench.ok("sweep", "c.yaml")
    shown = bench.ok("status", "outputs/s")
    assert "quota a: requests" in shown.out
    assert "quota b: up to" in shown.out
    for told in ("429s 0 %", "breaker stayed closed", "waits 0.", "(over 80 attempts)"):
        assert shown.out.count(told) == 2
    found = json.loads(bench.ok("status", "outputs/s", "--json").out)["quotas"]
    by_group = {quota["group"]: quota for quota in found}
    assert by_group["a"]["attempts"] == 80
    assert by_group["a"]["use"]["requests"] > 0
    assert by_group["b"]["in_flight_limit"] > 0


def test_status_of_a_sweep_whose_attempts_are_damaged_still_says_where_it_stands(
    bench: Bench,
) -> None:
    bench.write(models=[bench.model("a", quota={"rpm": 60_000})])
    bench.ok("sweep", "c.yaml")
    for shard in (bench.sweep / "attempts").glob("*.parquet"):
        shard.write_bytes(b"junk")
    shown = bench.ok("status", "outputs/s")
    assert "finished: nothing is owed" in shown.out
    assert "quota a" not in shown.out
