"""What the answers of an object store mean: away for now, or refused for good."""

import asyncio
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from runner.core.errors import StorageError, StoreAwayError
from runner.record import object_store
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
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
        servers.append(server)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        return server.server_port

    def told(status: int | None, code: str = "") -> StorageError:
        port = free_ports(1)[0] if status is None else start(status, code)
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
        with pytest.raises(StorageError) as raised:
            asyncio.run(object_store.ObjectStore("s3://bucket/sweep").list("manifest/"))
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
