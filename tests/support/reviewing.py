"""A `runner review` process, and a client that does what the page does."""

from __future__ import annotations

import http.client
import json
import signal
import subprocess
import sys
from urllib.parse import urlsplit

COMMAND = [sys.executable, "-m", "runner", "review"]


class Review:
    """The command as a process of its own."""

    def __init__(self, *arguments: object) -> None:
        self.process = subprocess.Popen(
            [*COMMAND, *map(str, arguments)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self.process.stdout is not None
        self.address = self.process.stdout.readline().strip()
        if not self.address:
            raise AssertionError(self.process.communicate()[1])
        parts = urlsplit(self.address)
        self.port, self.token = parts.port, parts.fragment

    def __enter__(self) -> Review:
        return self

    def __exit__(self, *_error: object) -> None:
        self.kill()

    def kill(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()

    def interrupt(self) -> str:
        self.process.send_signal(signal.SIGINT)
        _, said = self.process.communicate(timeout=60)
        return said

    def ask(self, path, body=None, **headers):
        """Return (status, JSON or text) of a request; a header of None is left out."""
        sent = {"X-Runner-Token": self.token, "Host": f"127.0.0.1:{self.port}"}
        data = None
        if body is not None:
            sent["Content-Type"] = "application/json"
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
        sent |= {k.replace("_", "-"): v for k, v in headers.items()}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.putrequest("POST" if data is not None else "GET", path, skip_host=True)
            for name, value in sent.items():
                if value is not None:
                    connection.putheader(name, value)
            if data is not None:
                connection.putheader("Content-Length", str(len(data)))
            connection.endheaders(data)
            response = connection.getresponse()
            text = response.read().decode()
        finally:
            connection.close()
        is_json = (response.getheader("Content-Type") or "").startswith("application/json")
        return response.status, json.loads(text) if is_json else text

    def record(self):
        status, found = self.ask("/api/record")
        assert status == 200
        return found

    def label(self, choice, note="", ticket=None):
        ticket = ticket or self.record()["record"]["ticket"]
        return self.ask("/api/label", {"ticket": ticket, "choice": choice, "note": note})
