"""`runner submit`: a sweep as a job of a Ray cluster, from anywhere that reaches its job API.

What is sent is the resolved configuration, checked here, in one file: scenarios of other files are
in it, and prompts of files (`travelling.py`). The entrypoint is the same idempotent `runner sweep` that a person types, so a job that was
lost is made good by submitting again, and while one runs a second `submit` follows it.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import shlex
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from runner.config.load import Loaded
from runner.config.resolved import dump_plain
from runner.config.schema import SweepConfig
from runner.core.clock import SystemClock
from runner.core.errors import (
    EXIT_ABORTED,
    EXIT_BUDGET,
    EXIT_INTERRUPTED,
    EXIT_OK,
    BackendError,
    ConfigError,
)
from runner.observe.terminal import clean
from runner.pipeline.travelling import left_behind, travelling
from runner.record.place import Place, is_url
from runner.scenarios.build import build_book

if TYPE_CHECKING:
    from runner.dispatch.ray_jobs import JobEnd, RayJobs

CONFIG_FILE = "sweep.yaml"
LOOK_S = 0.5
_OUR_OWN = frozenset({*range(EXIT_BUDGET + 1), EXIT_INTERRUPTED})
"""Exit codes of `runner sweep`; another one is that of a process that was killed, or not found."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """What the user asked for."""

    address: str
    detach: bool = False
    workers: int | None = None
    command: str = "runner"
    """How the cluster's nodes call this program."""
    flags: tuple[str, ...] = ()
    """Further flags of `runner sweep`."""


async def submit(loaded: Loaded, asked: Submission, say: Callable[[str], None]) -> int:
    """Submit a sweep, or find that its job runs already; follow it unless detached.

    Returns:
        The exit code of the job's command; 0 where nobody follows it.

    Raises:
        ConfigError: the configuration does not hold, its prompts cannot be sent, or its output is on
            one node's disk.
        BackendError: no job API there, or it refuses.
    """
    config = travelling(loaded.config)
    output = str(Place(config.output or ""))
    if not is_url(output) and not Path(output).is_absolute():
        msg = (
            f"output {output}: relative to a folder that the job takes with it. Name a folder that "
            "all nodes share by its whole path, or a URL: output=s3://bucket/sweeps/NAME"
        )
        raise ConfigError(msg)
    build_book(config, source=loaded.source)  # what does not render is said here, not in a log
    from runner.dispatch.ray_jobs import RayJobs  # ray: a second

    jobs = RayJobs(asked.address)
    family = family_of(config.name, output)
    name = jobs.running(family)
    if name is not None:
        say(f"{name} runs already" if asked.detach else f"{name} runs already: following it")
    else:
        for line in left_behind(config):
            say(line)
        name = _hand_over(jobs, family, config, asked)
        say(f"submitted {name} to {asked.address}")
    where = shlex.quote(output)
    say(f"watch it: runner status {where}    stop it: runner stop {where}")
    if asked.detach:
        return EXIT_OK
    end = await _follow(jobs, name, say)
    if end.exit_code in _OUR_OWN:
        return end.exit_code  # the command has said why
    how = "without an exit code" if end.exit_code is None else f"with exit code {end.exit_code}"
    say(f"{name} ended {how}: {clean(end.message)}. Run the same command again")
    if end.exit_code is not None:
        return end.exit_code
    return EXIT_OK if end.succeeded else EXIT_ABORTED


async def _follow(jobs: RayJobs, name: str, say: Callable[[str], None]) -> JobEnd:
    """Show what a job prints, and return how it ended.

    Raises:
        BackendError: its cluster is gone, or cannot be reached any more.
    """
    clock = SystemClock()
    try:
        with contextlib.suppress(
            BackendError
        ):  # of the lines alone: whoever is there says it below
            async for text in jobs.lines(name):
                for line in text.splitlines():
                    say(clean(line))
        while (end := jobs.end(name)) is None:
            await clock.sleep(LOOK_S)
    except BackendError as error:
        msg = (
            f"{error}. Where its cluster is gone, so is {name}, and nothing recorded is lost: run the same "
            "command again when it is back; it follows the job where that still runs"
        )
        raise BackendError(msg) from error
    return end


def _hand_over(jobs: RayJobs, family: str, config: SweepConfig, asked: Submission) -> str:
    with tempfile.TemporaryDirectory(prefix="runner-submit-") as scratch:
        Path(scratch, CONFIG_FILE).write_text(dump_plain(config))
        return jobs.submit(family, entrypoint(asked), Path(scratch))


def entrypoint(asked: Submission) -> str:
    """Return the command that the cluster runs."""
    words = [asked.command, "sweep", CONFIG_FILE, "--address", "auto"]
    if asked.workers is not None:
        words += ["--workers", str(asked.workers)]
    return shlex.join([*words, *asked.flags])


def family_of(name: str, output: str) -> str:
    """Return what the jobs of one sweep directory are called, without their number."""
    plain = re.sub(r"[^A-Za-z0-9-]+", "-", name).strip("-") or "sweep"
    return f"runner-{plain}-{hashlib.sha256(output.encode()).hexdigest()[:8]}"
