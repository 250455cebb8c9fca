"""`runner submit` against the job API of a real Ray dashboard."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from runner.core.errors import EXIT_ABORTED
from tests.support.cli_sweep import KEY, configuration
from tests.support.ray_head import RayHead
from tests.support.standin import StandIn

pytestmark = pytest.mark.ray
RUNNER = Path(sys.executable).parent / "runner"


@pytest.fixture(scope="module")
def cluster() -> Iterator[RayHead]:
    """A Ray with its dashboard; only its own environment has the key."""
    environ = {
        "RUNNER_TEST_KEY": KEY,
        "RUNNER_LOG": "info",
        "RAY_enable_metrics_collection": "1",
        "RAY_metrics_report_interval_ms": "1000",
    }
    with RayHead(dashboard=True, **environ) as head:
        yield head


def _submit(folder: Path, cluster: RayHead, output: str, *extra: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "runner", "submit", str(folder / "c.yaml")]
    command += [f"output={output}", "--address", cluster.dashboard, "--workers", "1"]
    environ = {k: v for k, v in os.environ.items() if k != "RUNNER_TEST_KEY"}
    return subprocess.Popen(
        [*command, "--command", str(RUNNER), *extra],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environ,
    )


def _rows(output: Path) -> int:
    glob = f"{output}/transcripts/*.parquet"
    found = duckdb.sql(f"select count(distinct (condition, seed)) from read_parquet('{glob}')")
    return found.fetchall()[0][0]


def _runner(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "runner", *arguments], capture_output=True, text=True, timeout=60
    )


def test_submitted_sweep_is_followed_stopped_by_its_directory_and_continued(
    tmp_path: Path, cluster: RayHead
) -> None:
    output = tmp_path / "out"
    with StandIn(latency_s=0.2, answer_bytes=200) as server:
        (tmp_path / "c.yaml").write_text(json.dumps(configuration(server.url, jobs=400)))
        first = _submit(tmp_path, cluster, str(output))
        deadline = time.monotonic() + 90
        while server.stats()["total"] < 50:
            assert first.poll() is None, first.communicate()[0]
            assert time.monotonic() < deadline
            time.sleep(0.1)
        server.configure(
            latency_s=4.0, answer_bytes=200
        )  # so that it still runs when it is stopped
        second = _submit(tmp_path, cluster, str(output), "--detach")
        told = second.communicate(timeout=60)[0]
        assert second.returncode == 0, told
        assert "runs already" in told
        assert _runner("stop", str(output)).returncode == 0
        screen = first.communicate(timeout=90)[0]
        assert first.returncode == 130, screen
        assert f"runner resume {output}" in screen
        assert KEY not in screen
        server.configure(latency_s=0.01, answer_bytes=200)
        third = _submit(tmp_path, cluster, str(output))
        screen = third.communicate(timeout=90)[0]
        assert third.returncode == 0, screen
        assert "-2 to http" in screen
        assert _rows(output) == 400
        assert server.stats()["total"] == 400


def test_output_on_the_submitters_own_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(json.dumps(configuration("http://127.0.0.1:1", jobs=4)))
    done = _runner("submit", str(tmp_path / "c.yaml"), "--address", "http://127.0.0.1:1")
    assert done.returncode == 2
    assert "output" in done.stderr


def test_address_without_a_job_api_is_named(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(json.dumps(configuration("http://127.0.0.1:1", jobs=4)))
    done = _runner(
        "submit",
        str(tmp_path / "c.yaml"),
        f"output={tmp_path}/o",
        "--address",
        "http://127.0.0.1:1",
    )
    assert done.returncode == 4
    assert "http://127.0.0.1:1" in done.stderr
    assert "Traceback" not in done.stderr


def _series(cluster: RayHead) -> dict[str, float]:
    with urllib.request.urlopen(cluster.metrics, timeout=10) as response:
        text = response.read().decode()
    lines = [line for line in text.splitlines() if line.startswith("ray_runner_")]
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


def _of(series: dict[str, float], name: str, *labels: str) -> float | None:
    found = [v for k, v in series.items() if k.startswith(name) and all(x in k for x in labels)]
    return found[0] if found else None


def test_live_sweep_is_seen_by_rays_exporter_and_its_workers_log_without_prompts(
    tmp_path: Path, cluster: RayHead
) -> None:
    faults = [{"kind": "overloaded", "at": [3]}]
    with StandIn(latency_s=0.5, answer_bytes=200, faults=faults) as server:
        config = configuration(server.url, jobs=1600, in_flight=4)
        (tmp_path / "c.yaml").write_text(json.dumps(config))
        output = tmp_path / "out"
        job = _submit(tmp_path, cluster, str(output))
        deadline = time.monotonic() + 150
        series: dict[str, float] = {}
        # Driver and worker report to the exporter each at its own pace: wait for the last of them.
        wanted = {
            "jobs owed": ("ray_runner_jobs", 'state="owed"', 'sweep="chaos"', 'model="m1"'),
            "answered": ("ray_runner_attempts", 'status="answered"'),
            "tokens": ("ray_runner_tokens", 'kind="output"'),
            "workers": ("ray_runner_workers",),
            "memory": ("ray_runner_memory_bytes",),
        }
        while not all(_of(series, *labels) for labels in wanted.values()):
            assert job.poll() is None, job.communicate()[0]
            assert time.monotonic() < deadline, series
            time.sleep(0.3)
            series = _series(cluster)
        seen = {name: _of(series, *labels) or 0 for name, labels in wanted.items()}
        assert seen["jobs owed"] <= 1600
        assert seen["workers"] == 1
        assert seen["memory"] > 10_000_000
        server.configure(latency_s=0.01, answer_bytes=200)
        screen = job.communicate(timeout=90)[0]
        assert job.returncode == 0, screen
    logs = [p.read_text(errors="replace") for p in cluster.folder.rglob("worker-*.err")]
    lines = [json.loads(x) for text in logs for x in text.splitlines() if x.startswith("{")]
    retried = [x for x in lines if x["event"] == "attempt failed, it is tried again"]
    assert {(x["kind"], x["model"]) for x in retried} == {("overloaded", "m1")}
    glob = f"{output}/transcripts/*.parquet"
    keys = duckdb.sql(f"select transcript_id from read_parquet('{glob}')").fetchall()
    assert {(x["job"],) for x in retried} <= set(keys)
    assert all({"sweep", "worker", "incarnation", "claim"} <= x.keys() for x in retried)
    assert not any("line, please" in text or KEY in text for text in logs)


def test_head_that_is_lost_is_told_to_who_follows(tmp_path: Path, cluster: RayHead) -> None:
    """The last test of this cluster."""
    with StandIn(latency_s=0.5, answer_bytes=200) as server:
        (tmp_path / "c.yaml").write_text(json.dumps(configuration(server.url, jobs=2000)))
        job = _submit(tmp_path, cluster, str(tmp_path / "out"))
        deadline = time.monotonic() + 90
        while server.stats()["total"] < 20:
            assert job.poll() is None, job.communicate()[0]
            assert time.monotonic() < deadline
            time.sleep(0.1)
        cluster.kill()
        screen = job.communicate(timeout=60)[0]
    assert job.returncode == EXIT_ABORTED, screen
    assert "the job API does not answer any more" in screen
    assert "run the same command again" in screen
