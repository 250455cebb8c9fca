"""`runner doctor`: whether this machine can run a configuration, one check after the other.

Nothing is spent: servers get one request for their base URL, without a key. Only `call` sends a
real request to each model.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from packaging.requirements import Requirement

from runner.config.schema import ModelConfig, ProviderKind, SweepConfig
from runner.core.errors import ConfigError, StorageError
from runner.core.values import Answer, Conversation, Failure
from runner.providers.open import open_provider
from runner.providers.probe import probe
from runner.record.place import Place

_IMPORT_S = 60.0
_CALL_S = 60.0
_MAX_BODY_BYTES = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One check and how it went."""

    check: str
    ok: bool
    found: str
    fix: str = ""
    """What to do; empty where all is well."""


def examine_machine() -> Iterator[Finding]:
    """Check what every sweep needs: Python, the libraries, Ray."""
    at = ".".join(str(n) for n in sys.version_info[:3])
    yield Finding(
        check="Python",
        ok=sys.version_info >= (3, 11),
        found=at,
        fix="" if sys.version_info >= (3, 11) else "Install Python 3.11 or later.",
    )
    yield _libraries()
    yield _ray()


async def examine_output(place: Place) -> Finding:
    """Check that a sweep can be written there: its files, and what the fence stands on.

    That is hard links in a folder, and in a bucket conditional puts.
    """
    check = f"output {place}"
    if place.is_remote:
        return await _bucket(place, check)
    return await asyncio.to_thread(_folder, Path(place), check)


def _folder(top: Path, check: str) -> Finding:
    while not top.exists() and top != top.parent:
        top = top.parent
    try:
        with tempfile.TemporaryDirectory(dir=top, prefix=".runner-doctor-") as scratch:
            first = Path(scratch) / "a"
            first.write_bytes(b"x")
            Path(scratch, "b").hardlink_to(first)
    except OSError as error:
        found = f"{top}: {error.strerror}"
        fix = "Choose another `output`: a directory you may write, on a disk with hard links."
        return Finding(check=check, ok=False, found=found, fix=fix)
    return Finding(check=check, ok=True, found=f"{top} can be written")


async def _bucket(place: Place, check: str) -> Finding:
    try:
        await place.names()  # SeaweedFS makes a bucket that is put into; a listing makes none
        await place.prove_fence()
    except (ConfigError, StorageError) as error:
        fix = "Check `output`, and in the environment AWS_ENDPOINT_URL (or that of your store) and keys."
        return Finding(check=check, ok=False, found=str(error), fix=fix)
    return Finding(check=check, ok=True, found="can be written, and honours conditional puts")


async def examine_models(
    config: SweepConfig, environ: Mapping[str, str], *, call: bool
) -> list[Finding]:
    """Check each model: parameters, key variable, weights, its server; all models at once."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(_model(m, environ, call=call)) for m in config.models]
    return [task.result() for task in tasks]


async def _model(model: ModelConfig, environ: Mapping[str, str], *, call: bool) -> Finding:
    check = f"model {model.name}"
    try:
        # Opening checks the parameters, the key variable and local weights; it connects to nothing.
        provider = open_provider(model, environ=environ, max_body_bytes=_MAX_BODY_BYTES)
        await provider.aclose()
    except ConfigError as error:
        found, fix = ["cannot be used"], [str(error)]
        if any(f"models.{model.name}.base_url" in problem for problem in error.problems):
            return Finding(check=check, ok=False, found=found[0], fix=fix[0])
    else:
        found, fix = list[str](), list[str]()
    missing = await probe(model, environ)
    if missing is not None:
        found.append(missing)
        fix.append(f"Start the server, or correct models.{model.name}.base_url.")
    if found:
        return Finding(check=check, ok=False, found="; ".join(found), fix="\n".join(fix))
    if call:
        return await _call(model, environ, check)
    if model.provider is ProviderKind.local:
        return Finding(check=check, ok=True, found="weights and llama.cpp are there")
    key = f"{model.api_key_env} is set" if model.api_key_env else "no key is sent"
    return Finding(check=check, ok=True, found=f"server answers; {key}, not tried (--call does)")


async def _call(model: ModelConfig, environ: Mapping[str, str], check: str) -> Finding:
    # Parameters such as a thinking budget bound max_tokens from below: with any, it stays.
    small = model if model.params else replace(model, max_tokens=1)
    small = replace(small, timeout_s=min(model.timeout_s, _CALL_S))
    provider = open_provider(small, environ=environ, max_body_bytes=_MAX_BODY_BYTES)
    try:
        question = Conversation(system=None, messages=[{"role": "user", "content": "Hi"}])
        answer = await provider.send(provider.prepare(question, 0))
        reply = provider.read(answer.body) if isinstance(answer, Answer) else answer
    finally:
        await provider.aclose()
    if isinstance(reply, Failure):
        status = f" (HTTP {reply.status})" if reply.status else ""
        fix = f"Check models.{model.name}: model, base_url, params, and the key's rights."
        found = f"{reply.kind}{status}: {reply.message}"
        return Finding(check=check, ok=False, found=found, fix=fix)
    return Finding(check=check, ok=True, found=f"answered as {reply.model}")


def _libraries() -> Finding:
    wrong: list[str] = []
    needed = [Requirement(text) for text in requires("runner") or ()]
    needed = [r for r in needed if r.marker is None or r.marker.evaluate({"extra": ""})]
    for requirement in needed:
        try:
            installed = version(requirement.name)
        except PackageNotFoundError:
            wrong.append(f"{requirement.name} is missing")
            continue
        if not requirement.specifier.contains(installed, prereleases=True):
            wrong.append(f"{requirement.name} {installed} (needed: {requirement.specifier})")
    fix = "Run `make setup`, or install runner again." if wrong else ""
    found = "; ".join(wrong) or f"all {len(needed)} are there"
    return Finding(check="libraries", ok=not wrong, found=found, fix=fix)


def _ray() -> Finding:
    """Import Ray in a process of its own: it is slow, and a broken one may not even raise."""
    command = [sys.executable, "-c", "import ray; print(ray.__version__)"]
    fix = "Reinstall it (`make setup`); sweeps without --workers run without Ray."
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_IMPORT_S, check=False, env=os.environ
        )
    except subprocess.TimeoutExpired:
        return Finding(check="Ray", ok=False, found=f"import takes over {_IMPORT_S:g} s", fix=fix)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        return Finding(check="Ray", ok=False, found=f"cannot be imported: {last}", fix=fix)
    return Finding(check="Ray", ok=True, found=done.stdout.strip())
