"""CPU of the simulated server per call, beside the stand-in's, driven by the same client."""

from __future__ import annotations

import asyncio
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import aiohttp
import pytest

from tests.support.standin import StandIn

pytestmark = pytest.mark.bench

CALLS = 4000
IN_FLIGHT = 64
BODY = b'{"model":"m","max_tokens":1000,"messages":[{"role":"user","content":"%s"}]}' % (
    b"w " * 1500
)
CPU_US = 500
"""A core at 2,000 calls a second."""
SETTINGS = (
    "latency.first_token_s=0",
    "latency.tokens_per_s=0",
    "quota={rpm: 1e9, itpm: 1e12, otpm: 1e12}",
)


@contextmanager
def simulator() -> Iterator[tuple[str, int]]:
    command = [sys.executable, "-m", "runner", "simulate", "--port", "0", *SETTINGS]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().strip(), process.pid
        finally:
            process.kill()


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def drive(url: str) -> None:
    left = iter(range(CALLS))
    connector = aiohttp.TCPConnector(limit=IN_FLIGHT)
    async with aiohttp.ClientSession(connector=connector) as session:

        async def work() -> None:
            for _ in left:
                async with session.post(f"{url}/v1/messages", data=BODY) as response:
                    assert response.status == 200
                    await response.read()

        async with asyncio.TaskGroup() as group:
            for _ in range(IN_FLIGHT):
                group.create_task(work())


def test_simulated_server_takes_2000_calls_a_second_on_one_core():
    with simulator() as (url, pid), StandIn(count_digests=False) as standin:
        used: dict[str, list[float]] = {"simulate": [], "standin": []}
        for _ in range(4):
            for name, address, server in (
                ("simulate", url, pid),
                ("standin", standin.url, standin.process.pid),
            ):
                before = cpu_s(server)
                asyncio.run(drive(address))
                used[name].append((cpu_s(server) - before) / CALLS * 1e6)
    ours, plain = (statistics.median(used[name][1:]) for name in ("simulate", "standin"))
    print(f"CPU a call: simulated {ours:.0f} µs, stand-in {plain:.0f} µs, {ours / plain:.1f}×")
    assert ours <= CPU_US
