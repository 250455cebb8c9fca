"""The embedded model server of a node: a llama.cpp server that lives as long as its clients.

Run by `runner.providers.local` as `python -m runner.providers.local_server`; it detaches itself,
so that no worker's death takes it along, and ends itself about 2 s after the last process that
registered is gone, however that one went. While weights load it cannot look; it does so after.

On disk, in `<temporary folder>/runner-<uid>/local/<key>/`, where the key stands for weights,
settings and PID namespace:

    lock           flock: held to start the server, and by the server to leave
    server.json    URL and process of the server that runs
    clients/<n>    one file per provider that uses it, with its process
    server.log     what llama.cpp says, errors only
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import importlib
import json
import os
import sys
import threading
import uuid
from collections.abc import Generator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from runner.core.process import LinuxProcesses
from runner.core.seams import ProcessIdentity

LOOK_S = 0.5
LINGER_S = 1.5
"""How long the server stays without clients, so that the next stage of a run finds it warm."""
_PROMPT_CACHE_MIB = 256
_ERRORS_ONLY = 1


@dataclass(frozen=True, slots=True)
class Running:
    """The server that a folder speaks of."""

    url: str
    process: ProcessIdentity


class ServerFolder:
    """The files through which the processes of a node share one server."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._clients = root / "clients"
        self._clients.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._processes = LinuxProcesses()

    @property
    def log(self) -> Path:
        """Return the server's log file."""
        return self.root / "server.log"

    @contextlib.contextmanager
    def locked(self, *, wait: bool = True) -> Generator[bool]:
        """Hold the lock; yields False where it is taken and `wait` is off."""
        with (self.root / "lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            except BlockingIOError:
                yield False
            else:
                yield True

    def register(self) -> Path:
        """Enter the calling process as a client; returns the file to unlink when it is done."""
        path = self._clients / uuid.uuid4().hex
        self._write(path, asdict(self._processes.current()))
        return path

    def has_clients(self) -> bool:
        """Return whether a registered process lives; forgets those that do not."""
        alive = False
        for path in self._clients.iterdir():
            client = self._read_process(path)
            if client is not None and self._processes.is_dead(client) is not True:
                alive = True
            elif not path.suffix:  # a file with a suffix is being written
                path.unlink(missing_ok=True)
        return alive

    def running(self) -> Running | None:
        """Return the server, None where there is none or its process is gone."""
        try:
            found = json.loads((self.root / "server.json").read_text())
            server = Running(found["url"], ProcessIdentity(**found["process"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return None if self._processes.is_dead(server.process) is True else server

    def announce(self, url: str) -> None:
        """Enter the calling process as the server."""
        process = asdict(self._processes.current())
        self._write(self.root / "server.json", {"url": url, "process": process})

    def withdraw(self) -> None:
        """Remove the entry of the server."""
        (self.root / "server.json").unlink(missing_ok=True)

    def _write(self, path: Path, content: dict[str, object]) -> None:
        temporary = path.with_suffix(f".{os.getpid()}")
        temporary.write_text(json.dumps(content))
        temporary.replace(path)

    def _read_process(self, path: Path) -> ProcessIdentity | None:
        try:
            return ProcessIdentity(**json.loads(path.read_text()))
        except (OSError, ValueError, TypeError):
            return None


def _stay_while_needed(folder: ServerFolder) -> None:
    """Return when nobody uses the server any more; the lock keeps newcomers out meanwhile."""
    pause = threading.Event()
    idle_s = 0.0
    while True:
        pause.wait(LOOK_S)
        idle_s = 0.0 if folder.has_clients() else idle_s + LOOK_S
        if idle_s < LINGER_S:
            continue
        with folder.locked(wait=False) as held:
            if held and not folder.has_clients():
                folder.withdraw()
                return


def _serve(args: argparse.Namespace, folder: ServerFolder) -> None:
    # An optional package without types, which only this process needs.
    xllamacpp: Any = importlib.import_module("xllamacpp")
    params = xllamacpp.CommonParams()
    params.model.path = args.gguf
    params.model_alias = {Path(args.gguf).stem}  # else its path would end up in records
    params.n_ctx = args.parallel * args.context_tokens
    params.n_parallel = args.parallel
    params.use_jinja = True
    if args.chat_template:
        params.chat_template = Path(args.chat_template).read_text(encoding="utf-8")
    params.cache_ram_mib = _PROMPT_CACHE_MIB
    params.verbosity = _ERRORS_ONLY
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.cpuparams.n_threads = args.threads
    params.cpuparams_batch.n_threads = args.threads
    server = xllamacpp.Server(params)
    folder.announce(server.listening_address)
    _stay_while_needed(folder)


def main() -> None:
    """Print the server's process id, detach, serve until no client is left."""
    parser = argparse.ArgumentParser(description="serve a local model to the runner's workers")
    parser.add_argument("--folder", required=True)
    parser.add_argument("--gguf", required=True)
    parser.add_argument("--context-tokens", type=int, required=True)
    parser.add_argument("--parallel", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--chat-template")
    args = parser.parse_args()
    folder = ServerFolder(Path(args.folder))
    child = os.fork()  # before any thread exists; the parent's exit hands the child to init
    if child:
        sys.stdout.write(f"{child}\n")
        sys.stdout.flush()
        os._exit(0)
    os.setsid()
    with folder.log.open("wb") as log, Path(os.devnull).open("r+b") as nothing:
        os.dup2(nothing.fileno(), 0)
        os.dup2(nothing.fileno(), 1)
        os.dup2(log.fileno(), 2)
    try:
        _serve(args, folder)
    except Exception as error:  # noqa: BLE001  # the log is where the starter looks
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        sys.stderr.flush()
        os._exit(1)
    os._exit(0)  # llama.cpp's threads are not worth waiting for


if __name__ == "__main__":
    main()
