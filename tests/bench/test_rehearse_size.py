"""How long rehearsals take, and how near the line through two samples comes to the whole."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from runner.rehearse.outcome import rehearsed
from runner.rehearse.sample import rehearse
from runner.rehearse.scene import Scene, Shape
from runner.simulate.config import GroupConfig, OutputConfig
from tests.support.scenes import model, scene

LONG = OutputConfig(mean_tokens=300, sigma=1.0)
CACHED = Shape(calls=2, input_tokens=3000, shared_tokens=2000, shared_characters=8000)
WHOLE: dict[str, Scene] = {
    "requests bind": scene(model(rpm=4000), cells=40, seeds=1500),
    "output tokens bind, sigma 1": scene(model(otpm=2_000_000), cells=40, seeds=1500, output=LONG),
    "input tokens bind, four sizes of prompts": scene(model(itpm=4_000_000), cells=40, seeds=1500),
    "max_in_flight binds, 3 workers": scene(
        model(max_in_flight=200), cells=40, seeds=1500, workers=3
    ),
    "cached prefixes, two calls a job": scene(
        model(itpm=2_000_000), cells=400, seeds=75, shape=CACHED
    ),
    "two models, one slower": scene(
        model("a", rpm=4000), model("b", rpm=1000), cells=20, seeds=1500, workers=4
    ),
    "less allowed than configured, no headers": scene(
        model(rpm=4000),
        cells=40,
        seeds=1500,
        servers={"m": GroupConfig(rpm=3500, itpm=None, otpm=None, burst_s=10, headers=False)},
    ),
}


@pytest.mark.bench
@pytest.mark.parametrize("name", WHOLE)
def test_sample_is_near_the_whole(name: str):
    one = WHOLE[name]
    begun = time.process_time()
    whole = rehearsed(one)
    between = time.process_time()
    guess, _ = rehearse(one)
    ended = time.process_time()
    of = {
        "duration": (guess.duration_s, whole.duration_s),
        "requests": (guess.calls, whole.calls),
        "input": _sums(guess.models, whole.models, "input_tokens"),
        "cached": _sums(guess.models, whole.models, "cached_tokens"),
        "output": _sums(guess.models, whole.models, "output_tokens"),
    }
    told = ", ".join(f"{what} {a / b - 1:+.2%}" for what, (a, b) in of.items() if b)
    print(
        f"\n{name}: {told}; 429s {guess.refused_share:.2%} against {whole.refused_share:.2%}; "
        f"CPU {ended - between:.1f} s against {between - begun:.1f} s"
    )
    assert guess.duration_s == pytest.approx(whole.duration_s, rel=0.03)
    assert guess.calls == pytest.approx(whole.calls, rel=0.03)


def _sums(a: Any, b: Any, what: str) -> tuple[float, float]:
    return sum(getattr(m, what) for m in a), sum(getattr(m, what) for m in b)


@pytest.mark.bench
def test_million_jobs_are_rehearsed_in_under_a_minute(tmp_path: Path):
    quota = {"rpm": 10_000, "itpm": 10_000_000, "otpm": 2_000_000}
    scenario = {
        "name": "line",
        "axes": {"case": list(range(20)), "topic": list("abcde")},
        "user": "Write one line about the {{ topic }} of {{ case }}. ({{ seed }})",
    }
    models = [
        {"name": f"m{i}", "model": name, "max_tokens": 800, "quota": quota}
        for i, name in enumerate(("claude-opus-4-5", "claude-haiku-4-5"))
    ]
    config = {"name": "s", "scenarios": [scenario], "models": models, "seeds": 5000}
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(config))
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    begun = time.monotonic()
    done = subprocess.run(
        [*(sys.executable, "-m", "runner", "rehearse", "c.yaml", "--workers", "4", "--json")],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    wall = time.monotonic() - begun
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == 0, done.stderr[-2000:]
    told = json.loads(done.stdout)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(
        f"\n1,000,000 jobs and {len(told['what_if'])} changes: {cpu:.1f} s of CPU ({wall:.1f} s), "
        f"{after.ru_maxrss / 1024:.0f} MB"
    )
    assert told["jobs"] == 1_000_000
    assert cpu < 60
