"""The embedded model, for real: one server for several processes, gone when they are."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from runner.config.schema import LocalServerConfig, ModelConfig, ProviderKind
from runner.core.values import Answer, Conversation, Failure, FailureKind, Reply
from runner.core.weights import find_gguf
from runner.providers.local import server_folder
from runner.providers.local_server import ServerFolder
from runner.providers.open import open_provider

pytestmark = pytest.mark.e2e
pytest.importorskip("xllamacpp", reason="needs the extra `local`")

SETTINGS = LocalServerConfig(context_tokens=1024, parallel=2, threads=2)
CALL = """
import asyncio, os, sys
from runner.config.schema import LocalServerConfig, ModelConfig, ProviderKind
from runner.core.values import Answer, Conversation
from runner.providers.open import open_provider

async def main():
    model = ModelConfig(
        name="m", provider=ProviderKind.local, model="small", max_tokens=4,
        local=LocalServerConfig(context_tokens=1024, parallel=2, threads=2),
    )
    provider = open_provider(model, environ={}, max_body_bytes=10**6)
    said = Conversation(system=None, messages=[{"role": "user", "content": "Say hello."}])
    outcome = await provider.send(provider.prepare(said, 1))
    print("answered" if isinstance(outcome, Answer) else outcome, flush=True)
    sys.stdin.read()
    os._exit(9)

asyncio.run(main())
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ServerFolder]:
    """A temporary folder of its own, so that no other server of this machine is joined."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    try:
        yield server_folder(find_gguf(None), SETTINGS)
    finally:
        tempfile.tempdir = None


def until_gone(folder: ServerFolder, within_s: float) -> bool:
    deadline = time.monotonic() + within_s
    while folder.running() is not None and time.monotonic() < deadline:
        time.sleep(0.1)
    return folder.running() is None


def model(**given: object) -> ModelConfig:
    settings = {"name": "m", "model": "small", "max_tokens": 8, "local": SETTINGS}
    return ModelConfig(provider=ProviderKind.local, **(settings | given))  # pyright: ignore[reportArgumentType]


def said(text: str) -> Conversation:
    return Conversation(system=None, messages=[{"role": "user", "content": text}])


def test_local_model_answers_several_calls_at_once_and_leaves(folder: ServerFolder):
    async def main() -> list[Answer | Failure]:
        provider = open_provider(model(), environ={}, max_body_bytes=10**6)
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(provider.send(provider.prepare(said(f"Count to {n}."), n)))  # pyright: ignore[reportArgumentType]
                for n in range(4)
            ]
        for task in tasks:
            answer = task.result()
            assert isinstance(answer, Answer)
            reply = provider.read(answer.body)
            assert isinstance(reply, Reply)
            assert reply.usage.output_tokens > 0
            assert reply.model == "SmolLM2-135M-Instruct.Q4_1"
            assert not answer.simulated
        assert folder.running() is not None
        await provider.aclose()
        return [task.result() for task in tasks]

    assert len(asyncio.run(main())) == 4
    assert until_gone(folder, 20)


def test_local_server_is_shared_by_processes_and_outlives_neither_kill(folder: ServerFolder):
    command = [sys.executable, "-c", CALL]
    users = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    try:
        for user in users:
            assert user.stdout is not None
            assert user.stdout.readline().strip() == "answered"
        running = folder.running()
        assert running is not None
        users[0].kill()
        users[0].wait()
        assert not until_gone(folder, 4), "one user is still there"
        users[1].kill()
        users[1].wait()
        assert until_gone(folder, 20)
        assert not Path(f"/proc/{running.process.pid}/exe").exists() or until_gone(folder, 5)
    finally:
        for user in users:
            user.kill()
            user.wait()
            for stream in (user.stdin, user.stdout):
                if stream:
                    stream.close()


def test_local_server_that_is_killed_is_started_again(folder: ServerFolder):
    async def main() -> list[str]:
        provider = open_provider(model(), environ={}, max_body_bytes=10**6)
        prepared = provider.prepare(said("Say hello."), 1)
        assert isinstance(await provider.send(prepared), Answer)
        running = folder.running()
        assert running is not None
        os.kill(running.process.pid, 9)
        outcomes = [await provider.send(prepared) for _ in range(2)]
        await provider.aclose()
        return [type(outcome).__name__ for outcome in outcomes]

    assert asyncio.run(main()) == ["Failure", "Answer"]
    assert until_gone(folder, 20)


def test_local_weights_that_cannot_be_loaded_stop_the_model(tmp_path: Path, folder: ServerFolder):
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF" + bytes(100))

    async def main() -> Answer | Failure:
        settings = LocalServerConfig(gguf=str(broken), context_tokens=512, parallel=1)
        provider = open_provider(model(local=settings), environ={}, max_body_bytes=10**6)
        outcome = await provider.send(provider.prepare(said("hello"), 1))
        await provider.aclose()
        return outcome

    outcome = asyncio.run(main())
    assert isinstance(outcome, Failure)
    assert outcome.kind is FailureKind.UNKNOWN_MODEL
    assert "server.log" in outcome.message
