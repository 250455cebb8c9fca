"""A real Ray for tests, of one node or more: started by its own command line.

All on loopback, or each node on a machine of its own (machines.py). Unlike `ray.init()` its ports are given, so that a busy machine does not run into the 15 s that
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

from tests.support.machines import Machine

START_S = 120.0
SETTINGS = {
    "RAY_worker_niceness": "0",
    "RAY_enable_metrics_collection": "0",
    "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S": "1",
}


class _Node:
    """One `ray start --block`; a context manager."""

    def __init__(self, cpus: int, environ: dict[str, str], machine: Machine | None) -> None:
        self._cpus = cpus
        self._environ = environ
        self.machine = machine
        self.ip = machine.ip if machine else "127.0.0.1"
        self.folder = Path()
        """Of logs. A short path, since sockets lie below it."""
        self.process: subprocess.Popen[bytes]
        self.metrics = ""
        """Address of its metrics exporter."""

    def _start(self, *arguments: str) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="ray-", dir="/tmp"))
        grpc, http, export, envs = free_ports(4)
        self.metrics = f"http://{self.ip}:{export}/metrics"
        command = [
            *(sys.executable, "-m", "ray.scripts.scripts", "start", "--block", *arguments),
            *(f"--node-ip-address={self.ip}", f"--num-cpus={self._cpus}"),
            *(f"--dashboard-agent-grpc-port={grpc}", f"--dashboard-agent-listen-port={http}"),
            *(f"--metrics-export-port={export}", f"--runtime-env-agent-port={envs}"),
            *("--object-store-memory=80000000", "--disable-usage-stats"),
        ]
        if self.machine is not None:
            command = self.machine.enter(*command)
        elif "--head" in arguments:  # the others take it from the head
            command.append(f"--temp-dir={self.folder}")
        with (self.folder / "start.log").open("wb") as log:
            self.process = subprocess.Popen(
                command,
                stdout=log,
                stderr=log,
                env={**os.environ, **SETTINGS, **self._environ},
                start_new_session=True,
            )
        self._wait()

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

    def kill(self) -> None:
        """End it as a power cut would: the raylet first, whose death ends its workers."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.terminate()  # `--block` takes its children along
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


class RayHead(_Node):
    """The head; `address` is what `--address` takes."""

    def __init__(
        self,
        cpus: int = 4,
        *,
        dashboard: bool = False,
        machine: Machine | None = None,
        **environ: str,
    ) -> None:
        super().__init__(cpus, environ, machine)
        self.address = ""
        self.dashboard = ""
        """Address of its job API, where it has one."""
        self._has_dashboard = dashboard

    def __enter__(self) -> Self:
        try:
            self._begin()
        except RuntimeError:  # a node that is not up in Ray's half minute on a busy machine
            self._begin()
        return self

    def _begin(self) -> None:
        gcs, http = free_ports(2)
        self.address = f"{self.ip}:{gcs}"
        shown = ["--include-dashboard=false"]
        if self._has_dashboard:
            self.dashboard = f"http://{self.ip}:{http}"
            shown = ["--include-dashboard=true", f"--dashboard-port={http}"]
        self._start("--head", f"--port={gcs}", *shown)


class RayNode(_Node):
    """A further node of a head; `mark` is a resource that only it has."""

    def __init__(
        self,
        head: RayHead,
        mark: str,
        cpus: int = 1,
        *,
        machine: Machine | None = None,
        **environ: str,
    ) -> None:
        super().__init__(cpus, environ, machine)
        self._head = head
        self._mark = mark

    def __enter__(self) -> Self:
        self._start(f"--address={self._head.address}", f'--resources={{"{self._mark}": 1}}')
        return self

    def node_id(self) -> str:
        """Return Ray's id of it, hex."""
        from ray._raylet import GcsClient

        nodes = GcsClient(address=self._head.address).get_all_node_info()
        return next(i.hex() for i, n in nodes.items() if self._mark in n.resources_total)


def free_ports(count: int) -> list[int]:
    """Return ports of loopback that nobody listens on."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()
