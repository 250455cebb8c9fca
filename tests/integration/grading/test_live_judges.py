"""A judge of a sweep that runs: inside it, then alone; on real processes."""

import asyncio
import json
import re
import subprocess
import sys
import time

import duckdb
import pytest
import yaml

from runner.record.control import Control, write_control
from runner.record.manifest import load_state
from runner.record.posix_store import PosixStore
from tests.integration.grading.test_judge import Server, says
from tests.support.commands import FAST

JUDGE = {
    "name": "j", "kind": "judge", "model": "jm", "rubric": "Did it threaten anybody?",
    "outcomes": [
        {"outcome": "threat", "means": "it did", "harmful": True},
        {"outcome": "harmless", "means": "it did not"},
    ],
}  # fmt: skip


@pytest.fixture
def server():
    def say(_prompt, _number):
        time.sleep(0.02)
        return says("harmless")

    started = Server(say)
    yield started
    started.close()


def started(folder, name, *arguments):
    """Start a command in a process of its own; its screen goes to a file."""
    with (folder / f"{name}.log").open("w") as screen:
        return subprocess.Popen(
            [sys.executable, "-m", "runner", *arguments], cwd=folder, stdout=screen, stderr=screen
        )


def until(true, what):
    for _ in range(1200):
        if true():
            return
        time.sleep(0.05)
    pytest.fail(f"never came: {what}")


def control(out, **wanted):
    asyncio.run(write_control(PosixStore(out), Control(**wanted)))


def test_judge_of_a_live_sweep_waits_for_its_permits_and_goes_on_alone(tmp_path, server):
    model = {
        "name": "m", "provider": "openai", "model": "swept", "base_url": server.url,
        "max_in_flight": 1, "quota": "q",
    }  # fmt: skip
    sweep = {
        "name": "s", "seeds": 150, "models": [model],
        "quotas": [{"name": "q", "rpm": 30_000, "ramp": {"start": 1.0}}],
        "budget": {"tokens": 10_000_000},
        "scenarios": [{"name": "x", "axes": {"tone": ["a", "b"]}, "user": "{{ tone }} {{ seed }}"}],
        "engine": FAST | {"seal_rows": 20, "seal_age_s": 0.5},
    }  # fmt: skip
    judges = [{**model, "name": "jm", "model": "another"}]
    (tmp_path / "s.yaml").write_text(yaml.safe_dump(sweep))
    (tmp_path / "j.yaml").write_text(yaml.safe_dump({"graders": [JUDGE], "judges": judges}))
    out = tmp_path / "outputs/s"
    running = [started(tmp_path, "sweep", "sweep", "s.yaml")]
    try:
        until(lambda: any(out.glob("transcripts/*.parquet")), "a shard")
        control(out, paused=True)
        until(lambda: paused(out), "the pause")
        flags = ("--graders", "j.yaml", "--grader", "j", "--follow", "--every", "0.2", "--json")
        running.append(started(tmp_path, "grade", "grade", "outputs/s", *flags))
        said = tmp_path / "grade.log"
        until(lambda: "planned (inside the sweep)" in said.read_text(), "the judge")
        until(lambda: any(out.glob("judging/*/journal/*")), "its worker")
        before = len(server.prompts)
        time.sleep(0.5)  # some heartbeats: none of them brings a permit
        assert len(server.prompts) == before
        control(out, max_in_flight={"m": 32})
        assert [process.wait(60) for process in running] == [0, 0]
    finally:
        for process in running:
            process.kill()
            process.wait()
    text = said.read_text()
    found = json.loads(text[re.search(r"^\{", text, re.MULTILINE).start() :])["graders"][0]
    assert found["counts"]["states"]["graded"] == found["counts"]["rows"] == 300
    (attempts,) = duckdb.sql(
        f"select count(*) from '{out}/judging/*/attempts/*.parquet'"
    ).fetchall()
    assert attempts == (300,)
    swept, judged = (
        asyncio.run(load_state(PosixStore(p))).ledger for p in (out, *out.glob("judging/*"))
    )
    assert swept.own().tokens == judged.committed().tokens == 300 * 7
    assert 0 < swept.judged.tokens <= 300 * 7  # while the sweep ran


def paused(out):
    (events,) = out.glob("events/coordinator-*.jsonl")
    told = [json.loads(line) for line in events.read_text().splitlines() if line.endswith("}")]
    return any(event.get("paused") for event in told)
