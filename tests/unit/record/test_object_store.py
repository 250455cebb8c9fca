"""What the answers of an object store mean: away for now, or refused for good."""

import asyncio
import json
import subprocess
import sys
import threading
from collections.abc import Callable, Coroutine
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from runner.core.errors import ConfigError, StorageError, StoreAwayError
from runner.record import object_store
from runner.record.object_store import ObjectStore
from tests.support.ray_head import free_ports

CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "k",
    "AWS_SECRET_ACCESS_KEY": "s",
    "AWS_REGION": "us-east-1",
}


@pytest.fixture
def answering(monkeypatch):
    """Return a function that starts a server with one answer, and gives what a list then raises."""
    monkeypatch.setattr(object_store, "RETRY_S", 0.2)
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    servers = []

    def start(status: int, code: str) -> int:
        body = f"<Error><Code>{code}</Code><Message>m</Message></Error>".encode()

        class Answer(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(status)
                self.send_header("ETag", '"1"')
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_PUT(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                self.do_GET()

            def log_message(self, *_: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
        servers.append(server)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        return server.server_port

    def told(
        status: int | None,
        code: str = "",
        ask: Callable[[ObjectStore], Coroutine[Any, Any, object]] = lambda s: s.list("manifest/"),
    ) -> StorageError:
        port = free_ports(1)[0] if status is None else start(status, code)
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
        with pytest.raises(StorageError) as raised:
            asyncio.run(ask(ObjectStore("s3://bucket/sweep")))
        return raised.value

    yield told
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(
    ("status", "code"),
    [(None, ""), (503, "SlowDown"), (500, "InternalError"), (429, "TooManyRequests")],
)
def test_store_without_an_answer_or_with_trouble_is_away(answering, status, code):
    assert isinstance(answering(status, code), StoreAwayError)


@pytest.mark.parametrize(
    ("status", "code", "words"),
    [
        (403, "AccessDenied", "Check the credentials"),
        (401, "Unauthorized", "Check the credentials"),
        (404, "NoSuchBucket", "no such bucket"),
        (400, "InvalidRequest", "nothing recorded is lost"),
    ],
)
def test_store_that_refuses_is_not_waited_for(answering, status, code, words):
    error = answering(status, code)
    assert not isinstance(error, StoreAwayError)
    assert words in str(error)


def test_store_that_ignores_conditional_puts_is_refused_before_anything_starts(answering):
    error = answering(200, ask=lambda store: store.prove_conditional_puts())
    assert not isinstance(error, StoreAwayError)
    assert "ignores conditional puts (If-None-Match)" in str(error)


def test_endpoint_without_a_scheme_is_named(monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "127.0.0.1:9000")
    with pytest.raises(ConfigError, match="AWS_ENDPOINT_URL="):
        ObjectStore("s3://bucket/sweep")


ENDS_ON_A_CALL = """
import asyncio, os
from runner.core.errors import StorageError
from runner.record.object_store import ObjectStore

async def look():
    try:
        await ObjectStore("s3://bucket/sweep").list("manifest/")
    except StorageError:
        pass

codes = []
for _ in range(TIMES):
    if (child := os.fork()) == 0:
        asyncio.run(look())
        raise SystemExit(0)
    codes.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
print(codes)
"""


def test_process_that_ends_on_a_call_ends_in_order(answering):
    """Threads of obstore that are not done when the interpreter ends abort it: one time in four."""
    answering(403, "AccessDenied")  # leaves its server in the environment
    text = ENDS_ON_A_CALL.replace("TIMES", "25")
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [0] * 25
