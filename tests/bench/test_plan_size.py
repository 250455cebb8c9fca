"""Two large plans, each built in a process of its own: time and memory, against their bounds."""

import json
import subprocess
import sys

import pytest

BUILD = """
import json, resource, sys, time
from runner.config.schema import ModelConfig, ScenarioConfig, SweepConfig
from runner.scenarios.build import build_book
conditions, models, seeds = map(int, sys.argv[1:])
story = "The crane at berth four is back in service, and the ship is expected at six. " * 80
config = SweepConfig(
    name="large",
    scenarios=[ScenarioConfig(
        name="s",
        axes={"a": list(range(10)), "b": [f"b{i}" for i in range(conditions // 10)]},
        system="You are {{ who }}.",
        user=story + "{{ a }} {% if a == 3 %}three{% endif %} {{ b }}",
        variables={"who": "Alex"},
    )],
    models=[ModelConfig(name=f"m{i}", model=f"id-{i}") for i in range(models)],
    seeds=seeds,
)
start = time.process_time()
book = build_book(config)
took = time.process_time() - start
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps([len(book.plan.cells), book.plan.jobs, took, peak]))
"""


@pytest.mark.bench
@pytest.mark.parametrize(
    ("conditions", "models", "seeds"),
    [(100_000, 1, 2), (25_000, 4, 2), (10, 1, 1_000_000)],
    ids=["100k conditions", "25k conditions x 4 models", "10M jobs"],
)
def test_large_plan_is_built_within_its_bounds(conditions, models, seeds):
    arguments = [sys.executable, "-c", BUILD, *map(str, (conditions, models, seeds))]
    done = subprocess.run(arguments, capture_output=True, text=True, check=True)
    cells, jobs, took_s, peak_mb = json.loads(done.stdout)
    print(
        f"\n{cells:,} cells, {jobs:,} jobs: {took_s:.1f} s of CPU ({took_s / 10:.2f} of the bound), "
        f"peak {peak_mb:.0f} MB ({peak_mb / 200:.2f} of the bound)"
    )
    assert peak_mb < 200
    assert took_s < 10
