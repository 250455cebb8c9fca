"""A process that does one kind of client work on demand and says what CPU it took.

`python -m tests.bench.prober KIND URL FOLDER` reads one number of jobs a line and answers with one
JSON line: CPU seconds of this process (threads included), wall seconds, peak memory in MB.

Kinds: `sdk` is the bare SDK as its documentation shows it, with its aiohttp transport; `aiohttp`
is a bare session with the standard library's JSON; `anthropic` and `openai` are whole sweeps by
`runner.pipeline.command.run_sweep` on the in-process backend, each in a directory of its own;
`anthropic-quota` and `openai-quota` the same with a quota that paces every call; `sdk-paced` and
`aiohttp-paced` send at that same rate, since a client that is idle between two calls pays more for
each than one that finds many answers at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import os
import resource
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

IN_FLIGHT = 256
MAX_TOKENS = 400
RPM = 60_000
"""Below what one processor can send, so that calls wait for their permits."""
_FILLER = "The crane at berth four is back in service, and the ship is expected at six. "
SYSTEM = "You are Alex, who plans the work of a small port. " + _FILLER * 38
"""About 3 KB."""
USER = "Job {{ seed }}. " + _FILLER * 39 + "Write two lines about it."
"""About 3 KB, different for every job."""

Call = Callable[[int], Awaitable[None]]


def user(number: int) -> str:
    """Return what the sweep renders for the seed of that number."""
    return USER.replace("{{ seed }}", str(number))


async def drive(call: Call, jobs: int, rpm: float | None) -> None:
    """Make so many calls, `IN_FLIGHT` of them side by side, and no more than `rpm` a minute."""
    numbers = iter(range(jobs))
    began = time.perf_counter()

    async def work() -> None:
        for number in numbers:
            if rpm is not None:
                await asyncio.sleep(max(0.0, began + number * 60 / rpm - time.perf_counter()))
            await call(number)

    async with asyncio.TaskGroup() as group:
        for _ in range(IN_FLIGHT):
            group.create_task(work())


def sdk(url: str, *, rpm: float | None = None) -> Callable[[int], None]:
    """Return a runner of bare SDK calls."""
    import anthropic
    import httpx2

    limits = httpx2.Limits(
        max_connections=IN_FLIGHT, max_keepalive_connections=IN_FLIGHT, keepalive_expiry=60
    )

    async def main(jobs: int) -> None:
        http = anthropic.DefaultAioHttpClient(limits=limits)
        async with anthropic.AsyncAnthropic(api_key="k", base_url=url, http_client=http) as client:

            async def call(number: int) -> None:
                await client.messages.create(
                    model="m",
                    max_tokens=MAX_TOKENS,
                    system=SYSTEM,
                    messages=[{"role": "user", "content": user(number)}],
                )

            await drive(call, jobs, rpm)

    return lambda jobs: asyncio.run(main(jobs))


def bare_aiohttp(url: str, *, rpm: float | None = None) -> Callable[[int], None]:
    """Return a runner of bare aiohttp calls."""
    import aiohttp

    target = f"{url}/v1/chat/completions"

    async def main(jobs: int) -> None:
        connector = aiohttp.TCPConnector(limit=IN_FLIGHT, keepalive_timeout=60)
        async with aiohttp.ClientSession(
            connector=connector, headers={"Authorization": "Bearer k"}
        ) as session:

            async def call(number: int) -> None:
                messages = [
                    {"role": "system", "content": SYSTEM},
                    {"role": "user", "content": user(number)},
                ]
                body = {"model": "m", "max_tokens": MAX_TOKENS, "messages": messages}
                async with session.post(target, json=body) as response:
                    await response.json()

            await drive(call, jobs, rpm)

    return lambda jobs: asyncio.run(main(jobs))


def sweep(
    provider: str, url: str, folder: Path, *, rpm: float | None = None
) -> Callable[[int], None]:
    """Return a runner of whole sweeps."""
    from runner.config.quota_schema import ModelQuotaConfig
    from runner.config.schema import ModelConfig, ProviderKind, ScenarioConfig, SweepConfig
    from runner.pipeline.command import Placement, run_sweep
    from runner.pipeline.prepare import Choices
    from runner.record.place import Place

    os.environ["BENCH_KEY"] = "k" * 40
    count = 0

    def run(jobs: int) -> None:
        nonlocal count
        count += 1
        model = ModelConfig(
            name="m",
            provider=ProviderKind(provider),
            model="m",
            base_url=url if provider == "anthropic" else f"{url}/v1",
            api_key_env="BENCH_KEY",
            max_tokens=MAX_TOKENS,
            max_in_flight=IN_FLIGHT,
            quota=None if rpm is None else ModelQuotaConfig(rpm=rpm),
        )
        scenario = ScenarioConfig(
            name="port", axes={"a": [1, 2, 3, 4]}, system=SYSTEM, user=USER + "{{ a }}"
        )
        config = SweepConfig(name="bench", scenarios=[scenario], models=[model], seeds=jobs // 4)
        target = folder / f"{provider}-{count}"
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            code = run_sweep(config, Place(target), Choices(), Placement())
        if code != 0:
            msg = f"the sweep ended with exit code {code}"
            raise RuntimeError(msg)

    return run


def main() -> None:
    """Serve until standard input ends."""
    kind, url, folder = sys.argv[1:]
    kinds: dict[str, Callable[[], Callable[[int], None]]] = {
        "sdk": lambda: sdk(url),
        "aiohttp": lambda: bare_aiohttp(url),
        "sdk-paced": lambda: sdk(url, rpm=RPM),
        "aiohttp-paced": lambda: bare_aiohttp(url, rpm=RPM),
        "anthropic": lambda: sweep("anthropic", url, Path(folder)),
        "openai": lambda: sweep("openai", url, Path(folder)),
        "anthropic-quota": lambda: sweep("anthropic", url, Path(folder), rpm=RPM),
        "openai-quota": lambda: sweep("openai", url, Path(folder), rpm=RPM),
    }
    run = kinds[kind]()
    for line in sys.stdin:
        cpu, wall = time.process_time(), time.perf_counter()
        run(int(line))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        took = time.process_time() - cpu, time.perf_counter() - wall, peak
        sys.stdout.write(json.dumps(took) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
