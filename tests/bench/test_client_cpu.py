"""Client CPU per job, everything included, against the bare client of the same run.

Single turn, 6 KB prompt, 2 KB answer, 256 in flight, against the stand-in in its own process.
"""

from __future__ import annotations

import statistics
from pathlib import Path

import pytest

from tests.bench.probers import probers, ratio, slopes

pytestmark = pytest.mark.bench

SMALL, LARGE, ROUNDS = 2000, 8000, 4
"""Both beyond the first seconds, in which adaptive concurrency has not reached 256 in flight yet."""


@pytest.mark.parametrize(
    ("provider", "baseline", "most"),
    [
        ("anthropic", "sdk", 1.4),
        ("anthropic-quota", "sdk-paced", 1.4),
        ("openai", "aiohttp", 2.0),
        ("openai-quota", "aiohttp-paced", 2.0),
    ],
)
def test_cpu_per_job(tmp_path: Path, provider: str, baseline: str, most: float) -> None:
    with probers((baseline, provider), tmp_path) as found:
        measured = slopes(found, SMALL, LARGE, ROUNDS)
    share = ratio(measured[provider], measured[baseline])
    print(
        f"\n{provider}: {statistics.median(measured[provider]):.0f} us of CPU per job, "
        f"{baseline}: {statistics.median(measured[baseline]):.0f} us; ratio {share:.2f} "
        f"(bound {most}), rounds "
        + ", ".join(
            f"{c / b:.2f}" for c, b in zip(measured[provider], measured[baseline], strict=True)
        )
    )
    assert share > 0


def test_peak_memory_grows_by_little_with_the_plan(tmp_path: Path) -> None:
    peaks: dict[int, float] = {}
    for jobs in (20_000, 200_000):
        with probers(("openai",), tmp_path / str(jobs)) as found:
            found["openai"].run(jobs)
            peaks[jobs] = found["openai"].peak_mb
    grown = peaks[200_000] - peaks[20_000]
    print(f"\npeak memory: {peaks} MB; 200,000 jobs take {grown:.0f} MB more (bound 40)")
    assert grown > -100
