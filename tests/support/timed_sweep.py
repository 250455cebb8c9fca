"""A sweep on Ray against `runner simulate` in a process of its own, in real time, counted at the server.

Shared by the real-time figures of quotas (tests/bench/realtime.py) and their short version
(tests/ray/test_quota_in_real_time.py). What the sweep says of itself plays no part: use and
refusals are read from the simulated server several times a second.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

KEY = "sk-test-5f0c9d"
POLL_S = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """The server's counts at one moment."""

    at: float
    """Seconds on the server's clock."""
    used: float
    """Of the bucket that is looked at, since the server's start."""
    level: float
    refused: int
    answered: int
    """Calls that were let in and have been decided on, whatever became of them."""


@dataclass(slots=True)
class Samples:
    """What a poller collected, in order of time."""

    list: list[Sample]

    def at(self, moment: float) -> Sample:
        """Return the latest sample not after a moment."""
        before = [s for s in self.list if s.at <= moment]
        return before[-1] if before else self.list[0]

    def used_between(self, begin: float, end: float) -> float:
        """Return the use per second between the samples next to two moments."""
        a, b = self.at(begin), self.at(end)
        return (b.used - a.used) / (b.at - a.at)

    def refused_share(self, begin: float, end: float) -> float:
        """Return the 429s per call of a span of time."""
        a, b = self.at(begin), self.at(end)
        refused = b.refused - a.refused
        return refused / max(1, refused + b.answered - a.answered)

    def most(self, window_s: float) -> float:
        """Return the most that was used in any window of that length: an upper bound.

        A window between two samples counts from the sample before it to the sample after it.
        """
        most, right = 0.0, 0
        for left, sample in enumerate(self.list):
            while right < len(self.list) - 1 and self.list[right].at < sample.at + window_s:
                right += 1
            before = self.list[max(0, left - 1)]
            if self.list[right].at >= sample.at + window_s:
                most = max(most, self.list[right].used - before.used)
        return most


class Simulator:
    """`runner simulate` as a process; a context manager."""

    def __init__(self, settings: Sequence[str]) -> None:
        """Start it on any free port, with these settings."""
        self._settings = settings
        self.url = ""
        self.pid = 0

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", "runner", "simulate", "--port", "0", *self._settings]
        self._process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        assert self._process.stdout is not None
        self.url, self.pid = self._process.stdout.readline().strip(), self._process.pid
        self._client = http.client.HTTPConnection(self.url.removeprefix("http://"), timeout=10)
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()
        self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def stats(self) -> dict[str, Any]:
        """Return the server's counts."""
        self._client.request("GET", "/simulate/stats")
        return json.loads(self._client.getresponse().read())

    def sample(self, bucket: str) -> Sample | None:
        """Return where a bucket stands; None before the first call."""
        stats = self.stats()
        if not stats["quotas"]:
            return None
        found = stats["quotas"][0][bucket]
        responses = stats["responses"]
        return Sample(
            at=stats["seconds"],
            used=found["used"],
            level=found["level"],
            refused=sum(stats["refused"].values()),
            answered=sum(n for name, n in responses.items() if not name.startswith("429")),
        )


class TimedSweep:
    """`runner sweep` in a process group of its own, with more work than there is time for."""

    def __init__(
        self, folder: Path, url: str, placement: Sequence[str], model: dict[str, Any]
    ) -> None:
        """Write the configuration; `model` holds keys of its one model, `quota` for one."""
        self.directory = folder / "out"
        self._screen = folder / "screen.log"
        file = folder / "sweep.yaml"
        scenario = {
            "name": "tone",
            "axes": {"tone": ["polite", "blunt"], "topic": ["budget", "schedule"]},
            "user": "Write one {{ tone }} line about the {{ topic }}. ({{ seed }})",
        }
        models = [
            {
                "name": "m",
                "model": "simulated",
                "base_url": url,
                "api_key_env": "RUNNER_TEST_KEY",
                "max_tokens": 20_000,
                "max_in_flight": 4000,
                **model,
            }
        ]
        config = {
            "name": "timed",
            "scenarios": [scenario],
            "models": models,
            "seeds": 100_000,
            "output": str(self.directory),
        }
        file.write_text(json.dumps(config))
        self._command = [sys.executable, "-m", "runner", "sweep", str(file), "--yes", *placement]

    def __enter__(self) -> Self:
        with self._screen.open("wb") as log:
            self._process = subprocess.Popen(
                self._command,
                stdout=log,
                stderr=log,
                env={**os.environ, "RUNNER_TEST_KEY": KEY},
                start_new_session=True,
            )
        return self

    def __exit__(self, *_: object) -> None:
        for _ in range(2):  # at once: what is in flight is of no interest any more
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGINT)
            time.sleep(0.5)
        try:
            self._process.wait(60)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    @property
    def screen(self) -> str:
        """All that was printed."""
        return self._screen.read_text()

    def coordinator(self) -> int | None:
        """Return the pid of the process that holds the sweep, None while nobody does."""
        found = sorted((self.directory / "events").glob("holder-*.json"))
        return json.loads(found[-1].read_bytes())["process"]["pid"] if found else None

    def check_runs(self) -> None:
        """Fail if it has ended."""
        assert self._process.poll() is None, f"ended early:\n{self.screen}"

    @contextlib.contextmanager
    def coordinator_killed(self, every_s: float) -> Iterator[list[int]]:
        """Kill the coordinator again and again; yields the list of pids that were killed."""
        over = threading.Event()
        killed: list[int] = []

        def kill() -> None:
            while not over.wait(every_s):
                pid = self.coordinator()
                if pid is not None and pid not in killed:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                        killed.append(pid)

        killer = threading.Thread(target=kill)
        killer.start()
        try:
            yield killed
        finally:
            over.set()
            killer.join()


def watch(
    simulator: Simulator, sweep: TimedSweep, bucket: str, *, for_s: float, start_within_s: float
) -> tuple[float, Samples]:
    """Poll the server from the first call on for so long; returns (time of that call, samples)."""
    patience = time.monotonic() + start_within_s
    samples: list[Sample] = []
    while True:
        found = simulator.sample(bucket)
        if found is not None:
            samples.append(found)
            if found.at >= samples[0].at + for_s:
                return samples[0].at, Samples(samples)
        else:
            assert time.monotonic() < patience, f"no call came:\n{sweep.screen}"
        sweep.check_runs()
        time.sleep(POLL_S)
