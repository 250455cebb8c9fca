"""`runner rehearse` beside a real sweep over HTTP against `runner simulate`, and its own speed.

Each case is one server and one configuration, of a minute or so: it is rehearsed with the server's
settings, then run. Measured from the first request to the last answer, out of the attempts table;
the rehearsal's duration is from the first heartbeat on. Ratios of durations depend little on the
load of the machine, as long as a core is not what binds.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml

RUNNER = [sys.executable, "-m", "runner"]


@dataclass(frozen=True, kw_only=True)
class Case:
    name: str
    server: dict[str, Any]
    model: dict[str, Any]
    seeds: int
    binds: str
    scenario: dict[str, Any] = field(default_factory=dict)
    workers: int = 1

    def configuration(self, url: str) -> dict[str, Any]:
        scenario = {
            "name": "line",
            "axes": {"tone": ["polite", "blunt"], "topic": ["budget", "schedule"]},
            "user": "Write one {{ tone }} line about the {{ topic }}. ({{ seed }})",
            **self.scenario,
        }
        model = {
            "name": "m",
            "model": "claude-sonnet-5",
            "base_url": url,
            "max_tokens": 4000,
            **self.model,
        }
        return {
            "name": "rehearsed",
            "scenarios": [scenario],
            "models": [model],
            "seeds": self.seeds,
        }


def _server(**more: Any) -> dict[str, Any]:
    quota = {"rpm": None, "itpm": None, "otpm": None, **more.pop("quota", {})}
    return {"quota": quota, **more}


CASES = [
    Case(
        name="requests bind",
        server=_server(
            quota={"rpm": 900}, output={"mean_tokens": 100}, latency={"first_token_s": 0.5}
        ),
        model={"quota": {"rpm": 900}},
        seeds=250,
        binds="requests",
    ),
    Case(
        name="output tokens bind",
        server=_server(quota={"otpm": 300_000}, output={"mean_tokens": 400, "sigma": 1.0}),
        model={"quota": {"otpm": 300_000}, "max_tokens": 2000},
        seeds=220,
        binds="output_tokens",
    ),
    Case(
        name="max_in_flight binds",
        server=_server(output={"mean_tokens": 200}, latency={"tokens_per_s": 50}),
        model={"max_in_flight": 24},
        seeds=100,
        binds="places",
    ),
    Case(
        name="input tokens bind, cached prefixes, three turns",
        server=_server(quota={"itpm": 120_000}, output={"mean_tokens": 60}),
        model={"quota": {"itpm": 120_000}},
        seeds=60,
        binds="input_tokens",
        scenario={
            "user": "Case of a {{ tone }} {{ topic }}.\n"
            + "A line of the briefing that everybody gets to read.\n" * 120
            + "Number {{ seed }}: "
            + "and a line of this case alone. " * 20,
            "turns": ["Go on.", "And now to the end."],
        },
    ),
    Case(
        name="server allows less than configured and says nothing (429s)",
        server=_server(
            quota={"rpm": 720, "burst_s": 10.0, "headers": False}, output={"mean_tokens": 100}
        ),
        model={"quota": {"rpm": 900}},
        seeds=225,
        binds="requests",
    ),
]


@contextmanager
def serving(settings: Path) -> Iterator[str]:
    server = subprocess.Popen(
        [*RUNNER, "simulate", "--port", "0", "--config", str(settings)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert server.stdout is not None
    try:
        found = None
        while found is None:
            found = re.search(r"http://127\.0\.0\.1:\d+", server.stdout.readline())
        yield found[0]
    finally:
        server.kill()
        server.wait()
        server.stdout.close()


def _run(folder: Path, *words: str) -> str:
    done = subprocess.run([*RUNNER, *words], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@pytest.mark.bench
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_rehearsal_when_swept_for_real_is_within_10_percent(case: Case, tmp_path: Path):
    settings = tmp_path / "server.yaml"
    settings.write_text(yaml.safe_dump(case.server))
    with serving(settings) as url:
        (tmp_path / "c.yaml").write_text(yaml.safe_dump(case.configuration(url)))
        told = json.loads(
            _run(
                tmp_path, "rehearse", "c.yaml", "--server", "server.yaml", "--json", "--no-what-if"
            )
        )
        begun = time.monotonic()
        _run(tmp_path, "sweep", "c.yaml")
        wall = time.monotonic() - begun
        with urllib.request.urlopen(f"{url}/simulate/stats") as response:
            stats = json.load(response)
    seconds, requests, refused = _measured(tmp_path / "outputs/rehearsed")
    rehearsed = told["duration_s"]
    tokens = sum(m["output_tokens"] for m in told["models"])
    read = sum(m["cached_tokens"] for m in told["models"])
    counted = sum(m["input_tokens"] + m["written_tokens"] for m in told["models"])
    print(
        f"\n{case.name}: rehearsed {rehearsed:.1f} s, measured {seconds:.1f} s "
        f"({rehearsed / seconds:.3f}; whole command {wall:.1f} s); 429s {told['refused_share']:.2%} "
        f"against {refused / requests:.2%}; requests {told['requests']:.0f} against {requests}; "
        f"output tokens {tokens:,.0f} against {stats['tokens']['output']:,}; input that counts "
        f"{counted:,.0f} against {stats['tokens']['input']:,}; cached {read:,.0f} against "
        f"{stats['tokens'].get('cache_read', 0):,}; binds {told['groups'][0]['binds']}"
    )
    assert 0.9 <= rehearsed / seconds <= 1.1
    assert told["refused_share"] == pytest.approx(refused / requests, abs=0.01)
    assert told["groups"][0]["binds"] == case.binds


def _measured(directory: Path) -> tuple[float, int, int]:
    """Return (seconds from the first request to the last answer, requests, 429s)."""
    sql = """
        select max(epoch(started_at::timestamptz) + latency_s) - min(epoch(started_at::timestamptz)),
               count(*), count(*) filter (status = 429)
        from read_parquet(?)
    """
    row = duckdb.execute(sql, [f"{directory}/attempts/*.parquet"]).fetchone()
    assert row is not None
    return row
