"""`runner sweep` in processes of its own: start, watch, kill any part, continue, count."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import duckdb

from runner.core.errors import StorageError
from runner.record.frames import Header, scan
from runner.record.holder import decode_holder
from runner.record.layout import EVENTS
from runner.record.place import open_store
from tests.support.machines import Machine, pid_here
from tests.support.standin import StandIn

KEY = "sk-test-5f0c9d"
ENGINE = {
    "heartbeat_s": 0.3,
    "lease_ttl_s": 3.0,
    "seal_rows": 200,
    "seal_age_s": 1.0,
    "publish_s": 0.3,
    "grace_s": 20.0,
}


def configuration(server: str, *, jobs: int, in_flight: int = 16, **keys: Any) -> dict[str, Any]:
    """Return a sweep whose prompts carry `job=<condition>-<seed>`; 2 conditions, one model."""
    scenario = {
        "name": "tone",
        "axes": {"tone": ["polite", "blunt"]},
        "user": "One {{ tone }} line, please. job={{ tone }}-{{ seed }}",
        "turns": keys.pop("turns", []),
    }
    model = {
        "name": "m1",
        "provider": "openai",
        "model": "any",
        "base_url": f"{server}/v1",
        "api_key_env": "RUNNER_TEST_KEY",
        "max_in_flight": in_flight,
    }
    return {
        "name": "chaos",
        "scenarios": [scenario],
        "models": [model],
        "seeds": jobs // 2,
        "engine": ENGINE | keys.pop("engine", {}),
        **keys,
    }


class CliSweep:
    """One sweep directory and the command line that writes it; a context manager that reaps."""

    def __init__(
        self,
        folder: Path,
        server: StandIn,
        placement: list[str],
        *,
        machine: Machine | None = None,
        environ: Mapping[str, str] | None = None,
        journals: Callable[[], Iterable[Path]] | None = None,
        **configured: Any,
    ) -> None:
        """Write the configuration.

        Args:
            folder: of the sweep's directory, configuration and screen.
            server: the model API.
            placement: e.g. `["--workers", "2"]`.
            machine: where the driver runs; the workers may be elsewhere. None: on this one.
            environ: of the driver, beyond this process's.
            journals: returns the folders where journals lie, if not in the directory.
            configured: see `configuration`.
        """
        self.directory = folder / "out"
        self.server = server
        self._machine = machine
        self._environ = {**os.environ, "RUNNER_TEST_KEY": KEY, **(environ or {})}
        self._journals = journals or (lambda: [self.directory / "journal"])
        self.config = configuration(server.url, **configured)
        self.planned = 2 * self.config["seeds"]
        self.in_flight = self.config["models"][0]["max_in_flight"]
        self._file = folder / "sweep.json.yaml"
        self._file.write_text(json.dumps(self.config))
        self._log = folder / "screen.log"
        self._log.touch()
        self._placement = placement
        self._running: list[subprocess.Popen[bytes]] = []
        self._workers: set[int] = set()

    def __enter__(self) -> CliSweep:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._running:
            self._kill(process)
        for pid in self._workers | set(self.workers()):
            _kill(pid)

    def move(self, placement: list[str], machine: Machine | None = None) -> None:
        """Run somewhere else from the next start on."""
        self._placement, self._machine = placement, machine

    @property
    def screen(self) -> str:
        """All that was printed."""
        return self._log.read_text()

    def start(self, *extra: str) -> subprocess.Popen[bytes]:
        """Start `runner sweep` in a process group of its own."""
        command = [sys.executable, "-m", "runner", "sweep", str(self._file)]
        command += [f"output={self.directory}", *self._placement, *extra]
        if self._machine is not None:
            command = self._machine.enter(*command)
        with self._log.open("ab") as log:
            process = subprocess.Popen(
                command,
                stdout=log,
                stderr=log,
                env=self._environ,
                start_new_session=True,
            )
        self._running.append(process)
        return process

    def finish(self, within_s: float = 120.0, *extra: str) -> None:
        """Run to the end, which must be in order."""
        code = self.start(*extra).wait(within_s)
        assert code == 0, self.screen

    # Where it stands

    def until(self, condition: Callable[[], object], within_s: float = 90.0) -> None:
        """Wait for a condition; fails when the driver ends before, or it takes too long."""
        deadline = time.monotonic() + within_s
        while not condition():
            assert self._running[-1].poll() is None, f"ended early:\n{self.screen}"
            assert time.monotonic() < deadline, f"took too long:\n{self.screen}"
            time.sleep(0.03)

    def until_calls(self, count: int) -> None:
        """Wait until the server has read so many calls."""
        self.until(lambda: self.server.stats()["total"] >= count)

    def hurry(self) -> None:
        """Let the server answer fast: what was to happen during the sweep has happened."""
        self.server.configure(latency_s=0.01, answer_bytes=500)

    def coordinator(self) -> int:
        """Return the pid of the process that holds the sweep."""
        store = open_store(self.directory)
        last = max(k for k in asyncio.run(store.list(EVENTS)) if "/holder-" in k)
        holder = decode_holder(asyncio.run(store.get(last)), last).process
        return pid_here(holder) or holder.pid

    def workers(self) -> list[int]:
        """Return the pids of worker processes that run and have a journal."""
        found: set[int] = set()
        for path in [p for folder in self._journals() for p in folder.glob("*.wal")]:
            with contextlib.suppress(FileNotFoundError):
                for frame in scan(path.read_bytes()[:4096]).frames[:1]:
                    if isinstance(frame, Header) and (pid := pid_here(frame.process)):
                        found.add(pid)
        self._workers |= found
        return sorted(found)

    def kill_all(self) -> None:
        """Kill driver, coordinator and workers with one blow, as far as they are there yet."""
        pids = {*self.workers()}
        with contextlib.suppress(ValueError, StorageError):  # not begun; the store is away
            pids.add(self.coordinator())
        for pid in pids:
            _kill(pid)
        self.kill_driver()

    def kill_driver(self) -> None:
        """Kill the command alone."""
        self._kill(self._running[-1])

    def _kill(self, process: subprocess.Popen[bytes]) -> None:
        if process.poll() is None and self._machine is not None:
            os.killpg(process.pid, signal.SIGKILL)  # with `nsenter`, which is no more than the door
        elif process.poll() is None:
            process.kill()
        process.wait()

    # What must hold in the end

    def check_rows(self) -> None:
        """Every job of the plan exactly once, by a plain glob; its answer's tokens stand with its attempts.

        A call that was made twice has twice as many; what may be is for `check_calls`.
        """
        glob = str(self.directory / "transcripts" / "*.parquet")
        rows, jobs = duckdb.sql(
            f"select count(*), count(distinct (condition, seed)) from read_parquet('{glob}')"
        ).fetchall()[0]
        assert (rows, jobs) == (self.planned, self.planned), self.screen
        tried = str(self.directory / "attempts" / "*.parquet")
        bare = duckdb.sql(
            f"select count(*) from read_parquet('{glob}') t join (select job_key, sum(output_tokens) as said "
            f"from read_parquet('{tried}') group by job_key) a on a.job_key = t.transcript_id "
            "where coalesce(a.said, 0) < t.output_tokens"
        ).fetchall()[0][0]
        assert bare == 0, f"{bare} rows whose answers' tokens are not in the attempts table"

    def check_calls(self, *, repeated_at_most: int, turns: int = 1) -> int:
        """Each job was called, and at most so many calls were made twice; returns how many."""
        stats = self.server.stats()
        markers = stats["markers"]
        assert len(markers) == self.planned
        repeated = sum(
            count - 1 for by_turn in stats["conversations"].values() for count in by_turn.values()
        )
        assert stats["total"] == self.planned * turns + repeated
        assert all(len(by_turn) == turns for by_turn in stats["conversations"].values())
        assert repeated <= repeated_at_most, self.screen
        return repeated


def wait_for(condition: Callable[[], object], within_s: float) -> None:
    """Wait for a condition; fails when it takes too long."""
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "took too long"
        time.sleep(0.03)


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
