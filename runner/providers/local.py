"""A small real model on this node: starts or joins the embedded server, then speaks to it.

All processes of a node share one server per weights and settings (`local_server.py` says how).
Calls go through the anthropic provider, as to any other server of the Messages API. The server
does not honour `seed` on that wire: `send_seed` is passed on without effect.
"""

from __future__ import annotations

import asyncio
import hashlib
import http.client
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from yarl import URL

from runner.config.schema import LocalServerConfig, ModelConfig
from runner.core.clock import SystemClock
from runner.core.errors import ConfigError
from runner.core.process import LinuxProcesses
from runner.core.values import (
    Answer,
    Conversation,
    Failure,
    FailureKind,
    Prepared,
    Reply,
)
from runner.core.weights import find_gguf, read_template, weights_sha256
from runner.providers.codec import ModelCodec
from runner.providers.local_server import ServerFolder
from runner.providers.private_folder import private_folder

if TYPE_CHECKING:
    from runner.providers.anthropic_api import AnthropicProvider

START_S = 120.0
"""Longest wait for a server to load its weights; SmolLM2 takes 1 to 4 s."""
_HEALTH_S = 5.0


class _StartError(Exception):
    """The server cannot be started; the message says why."""

    def __init__(self, message: str, *, permanent: bool = True) -> None:
        super().__init__(message)
        self.permanent = permanent


class LocalProvider:
    """One local model; the server starts with the first call."""

    def __init__(self, model: ModelConfig, *, max_body_bytes: int) -> None:
        """Check what a start needs, start nothing.

        Raises:
            ConfigError: xllamacpp or the weights are missing.
        """
        where = f"models.{model.name}"
        if find_spec("xllamacpp") is None:
            msg = (
                f"{where}: provider local needs the package xllamacpp, which is not installed. "
                "Install it with `pip install 'runner[local]'`."
            )
            raise ConfigError(msg)
        try:
            self._weights = find_gguf(model.local.gguf)
            self._server = server_folder(self._weights, model.local)
        except ConfigError as error:
            raise ConfigError(*(f"{where}.{problem}" for problem in error.problems)) from None
        self._model = model
        self._codec = ModelCodec(model)
        self._max_body_bytes = max_body_bytes
        self._client: Path | None = None
        self._inner: AnthropicProvider | None = None
        self._url = ""
        self._found = False
        self._starting = asyncio.Lock()

    def prepare(self, conversation: Conversation, seed: int) -> Prepared:
        """Return the request; see Provider."""
        return self._codec.prepare(conversation, seed)

    async def send(
        self, prepared: Prepared, begun: Callable[[], None] | None = None
    ) -> Answer | Failure:
        """Make one attempt, starting the server first where none runs; see Provider."""
        try:
            inner = self._inner if self._found else await self._connect()
        except _StartError as error:
            kind = FailureKind.UNKNOWN_MODEL if error.permanent else FailureKind.CONNECTION
            return Failure(kind=kind, message=str(error)[:500], error_type="local_server")
        except (OSError, ConfigError) as error:  # the temporary folder: full, or not ours
            return Failure(
                kind=FailureKind.CONNECTION, message=str(error)[:500], error_type="local_server"
            )
        assert inner is not None
        outcome = await inner.send(prepared, begun)
        if isinstance(outcome, Failure) and outcome.kind is FailureKind.CONNECTION:
            self._found = False  # the next attempt looks for the server again, or starts one
        return outcome

    async def _connect(self) -> AnthropicProvider:
        async with self._starting:
            if self._inner is not None and self._found:
                return self._inner
            importing = asyncio.create_task(asyncio.to_thread(_import_client))
            try:
                url = await asyncio.to_thread(self._join_or_start)
            finally:
                client = await importing  # 1.5 s, meanwhile the server loads
            old = self._inner
            if old is None or url != self._url:  # else calls of others are on their way there
                self._url = url
                self._inner = client(
                    self._model,
                    base_url=url,
                    key=None,
                    proxy=None,
                    max_body_bytes=self._max_body_bytes,
                )
                if old is not None:
                    await old.aclose()
            self._found = True
            assert self._inner is not None
            return self._inner

    def _join_or_start(self) -> str:
        folder = self._server
        if self._client is None:
            self._client = folder.register()
        return start(folder, self._weights, self._model.local)

    def read(self, body: bytes) -> Reply | Failure:
        """Read a body; see Provider."""
        return self._codec.read(body)

    async def aclose(self) -> None:
        """Close connections and let go of the server; see Provider."""
        if self._client is not None:
            self._client.unlink(missing_ok=True)
            self._client = None
        if self._inner is not None:
            inner, self._inner, self._found = self._inner, None, False
            await inner.aclose()


def _import_client() -> type[AnthropicProvider]:
    from runner.providers.anthropic_api import AnthropicProvider  # noqa: PLC0415  # 1.5 s

    return AnthropicProvider


def server_folder(weights: Path, config: LocalServerConfig) -> ServerFolder:
    """Return the folder of the one server of this node for these weights and settings."""
    facts = (
        weights_sha256(weights),
        "" if config.chat_template is None else read_template(config.chat_template),
        str(config.context_tokens),
        str(config.parallel),
        str(config.threads),
        LinuxProcesses().current().pid_namespace,
    )
    key = hashlib.sha256("\0".join(facts).encode()).hexdigest()[:16]
    return ServerFolder(private_folder("local", key))


def start(folder: ServerFolder, weights: Path, config: LocalServerConfig) -> str:
    """Return the URL of a healthy server, the one that runs or a new one. Blocks.

    The caller has registered before, so that the server does not leave in between.

    Raises:
        _StartError: the server ended while it loaded, or did not become ready in time.
    """
    with folder.locked():
        running = folder.running()
        if running is not None:
            if _healthy(running.url) or _healthy(running.url):
                return running.url
            os.kill(running.process.pid, signal.SIGKILL)  # ours by name, start time and health
        folder.withdraw()
        return _wait_until_ready(folder, _spawn(folder, weights, config))


def _spawn(folder: ServerFolder, weights: Path, config: LocalServerConfig) -> int:
    package = str(Path(__file__).parents[2])  # a Ray worker may know it by sys.path only
    inherited = os.environ.get("PYTHONPATH")
    path = os.pathsep.join([package, inherited] if inherited else [package])
    command = [
        sys.executable, "-m", "runner.providers.local_server",
        "--folder", str(folder.root), "--gguf", str(weights),
        "--context-tokens", str(config.context_tokens),
        "--parallel", str(config.parallel), "--threads", str(config.threads),
        *(["--chat-template", config.chat_template] if config.chat_template else []),
    ]  # fmt: skip
    ended = subprocess.run(
        command,
        # Threads that spin at OpenMP's barriers starve each other once the workers need a core
        # too: beside a busy process, 4 short answers took 15 s instead of more than 90.
        env={"OMP_WAIT_POLICY": "passive", **os.environ, "PYTHONPATH": path},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if not ended.stdout.strip().isdigit():
        msg = f"the local model server does not start: {ended.stderr.strip()[-300:]}"
        raise _StartError(msg)
    return int(ended.stdout)


def _wait_until_ready(folder: ServerFolder, pid: int) -> str:
    clock, pause = SystemClock(), threading.Event()
    deadline = clock.monotonic() + START_S
    while clock.monotonic() < deadline:
        gone = _gone(pid)  # looked at first: it may have become ready and left since
        running = folder.running()
        if running is not None and running.process.pid == pid and _healthy(running.url):
            return running.url
        if gone:
            lines = folder.log.read_text("utf-8", "replace").strip().splitlines()
            said = lines[-1] if lines else "no message"
            msg = f"the local model server ended while loading: {said} (log: {folder.log})"
            raise _StartError(msg)
        pause.wait(0.05)
    msg = f"the local model server was not ready within {START_S:g} s (log: {folder.log})"
    raise _StartError(msg, permanent=False)


def _gone(pid: int) -> bool:
    """Tell whether a process ended; a zombie has, and nobody may be there to collect it."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return True
    return stat.rpartition(")")[2].split()[0] in "ZX"


def _healthy(url: str) -> bool:
    parsed = URL(url)
    connection = http.client.HTTPConnection(parsed.host or "", parsed.port or 0, timeout=_HEALTH_S)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
