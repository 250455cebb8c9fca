"""How long it takes from the command to the first request: cold, on Ray, and with much recorded.

Each figure is the least of a few runs, beside an interpreter that only starts, of the same run.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.cli_sweep import KEY, configuration
from tests.support.standin import StandIn

pytestmark = pytest.mark.bench
ROUNDS = 3
RECORDED = 200_000


def _first_request_s(folder: Path, server: StandIn, *placement: str) -> float:
    """Start a sweep; return the seconds until the server has read a call, and stop it."""
    before = server.stats()["total"]
    command = [sys.executable, "-m", "runner", "sweep", str(folder / "c.yaml")]
    began = time.perf_counter()
    process = subprocess.Popen(
        [*command, f"output={folder}/out", *placement],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "RUNNER_TEST_KEY": KEY},
    )
    while server.stats()["total"] == before:
        assert process.poll() is None, "ended early"
        time.sleep(0.01)
    took = time.perf_counter() - began
    process.terminate()
    process.wait(60)
    return took


def _command_s(*arguments: str) -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def test_help() -> None:
    bare = min(_command_s("-c", "pass") for _ in range(5))
    took = min(_command_s("-m", "runner", "--help") for _ in range(5))
    print(f"\nrunner --help: {took:.2f} s (bound 0.3), bare interpreter {bare:.2f} s")


@pytest.mark.parametrize(("placement", "most"), [((), 2.5), (("--workers", "2"), 20.0)])
def test_first_request(tmp_path: Path, placement: tuple[str, ...], most: float) -> None:
    bare = min(_command_s("-c", "pass") for _ in range(3))
    times: list[float] = []
    with StandIn(latency_s=0.2, answer_bytes=500) as server:
        for number in range(ROUNDS):
            folder = tmp_path / str(number)
            folder.mkdir()
            (folder / "c.yaml").write_text(json.dumps(configuration(server.url, jobs=5000)))
            times.append(_first_request_s(folder, server, *placement))
    kind = " ".join(placement) or "in-process"
    print(
        f"\nfirst request, {kind}: {min(times):.2f} s (bound {most}), ratio to a bare interpreter "
        f"{min(times) / bare:.0f}; all {', '.join(f'{t:.2f}' for t in times)}"
    )


def test_first_new_request_with_much_recorded(tmp_path: Path) -> None:
    with StandIn(latency_s=0.0, answer_bytes=500) as server:
        config = configuration(server.url, jobs=RECORDED, in_flight=256, engine={"seal_rows": 5000})
        (tmp_path / "c.yaml").write_text(json.dumps(config))
        subprocess.run(
            [
                sys.executable,
                "-m",
                "runner",
                "sweep",
                str(tmp_path / "c.yaml"),
                f"output={tmp_path}/out",
            ],
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "RUNNER_TEST_KEY": KEY},
        )
        server.configure(latency_s=0.2, answer_bytes=500)
        times: list[float] = []
        for number in range(ROUNDS):
            config["seeds"] = RECORDED // 2 + 5000 * (number + 1)
            (tmp_path / "c.yaml").write_text(json.dumps(config))
            times.append(_first_request_s(tmp_path, server))
        empty = tmp_path / "empty"
        empty.mkdir()
        (empty / "c.yaml").write_text(json.dumps(configuration(server.url, jobs=10_000)))
        cold = min(_first_request_s(empty, server) for _ in range(1))
    print(
        f"\nfirst new request beside {RECORDED:,} recorded jobs: {min(times):.2f} s from the command "
        f"(bound 5 s from the backend), a new sweep {cold:.2f} s; ratio {min(times) / cold:.2f}"
    )
