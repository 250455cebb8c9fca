"""A Ray of one node for tests: started by its own command line, on loopback only.

Unlike `ray.init()` its ports are given, so that a busy machine does not run into the 15 s that
Ray 2.60 allows its agent to announce them.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Self

START_S = 120.0


class RayHead:
    """A context manager; `address` is what `--address` takes."""

    def __init__(self, cpus: int = 4, **environ: str) -> None:
        self._cpus = cpus
        self._environ = environ
        self.address = ""
        self.folder = Path()
        """Of sessions: logs, sockets. A short path, since sockets lie below it."""
        self.process: subprocess.Popen[bytes]

    def __enter__(self) -> Self:
        self.folder = Path(tempfile.mkdtemp(prefix="ray-", dir="/tmp"))
        gcs, grpc, http, export, envs = _free_ports(5)
        self.address = f"127.0.0.1:{gcs}"
        command = [
            *(sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block"),
            *("--node-ip-address=127.0.0.1", f"--port={gcs}", f"--num-cpus={self._cpus}"),
            *(f"--dashboard-agent-grpc-port={grpc}", f"--dashboard-agent-listen-port={http}"),
            *(f"--metrics-export-port={export}", f"--runtime-env-agent-port={envs}"),
            "--include-dashboard=false",
            *("--object-store-memory=80000000", f"--temp-dir={self.folder}"),
            "--disable-usage-stats",
        ]
        environ = {**os.environ, "RAY_worker_niceness": "0", "RAY_enable_metrics_collection": "0"}
        environ |= self._environ  # workers read their keys from it
        with (self.folder / "start.log").open("wb") as log:
            self.process = subprocess.Popen(
                command, stdout=log, stderr=log, env=environ, start_new_session=True
            )
        self._wait()
        return self

    def _wait(self) -> None:
        deadline = time.monotonic() + START_S
        log = self.folder / "start.log"
        while b"Ray runtime started" not in log.read_bytes():
            if self.process.poll() is not None or time.monotonic() > deadline:
                text = log.read_text()
                self.__exit__()
                msg = f"Ray did not start:\n{text}"
                raise RuntimeError(msg)
            time.sleep(0.1)

    def __exit__(self, *_: object) -> None:
        self.process.terminate()  # `--block` takes its children along
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()
