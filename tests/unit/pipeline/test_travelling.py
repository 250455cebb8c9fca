"""What `runner submit` sends: prompts of files inside the configuration, the same jobs as here."""

import json

import pytest

from runner.config.load import load_config
from runner.config.resolved import dump_plain
from runner.config.schema import GraderConfig, LocalServerConfig, ProviderKind
from runner.core.errors import ConfigError
from runner.pipeline import travelling as module
from runner.pipeline.travelling import left_behind, travelling
from runner.scenarios.build import build_book
from tests.support.configurations import model, scenario, sweep

PROMPTS = [
    {"id": "a", "system": "", "user": "Braces {{ stay }} as they are: ${x}\n\nÄ"},
    {"id": "b", "user": "no", "history": [{"role": "user", "content": "Hi"}], "wanted": 4},
]
TEXT = """
name: imported
scenarios:
  - {name: set, prompts: set.jsonl, user: "{{ user }}"}
models:
  - {name: m, model: m, base_url: "http://127.0.0.1:1", api_key_env: K}
"""


def test_prompts_of_a_file_travel_inside_the_configuration_and_make_the_same_jobs(tmp_path):
    (tmp_path / "set.jsonl").write_text("\n".join(json.dumps(p) for p in PROMPTS) + "\n\n")
    (tmp_path / "c.yaml").write_text(TEXT)
    here = load_config(tmp_path / "c.yaml", environ={}).config
    (tmp_path / "there").mkdir()
    (tmp_path / "there/c.yaml").write_text(dump_plain(travelling(here)))
    planned = [c.digest for c in build_book(here).plan.cells]
    (tmp_path / "set.jsonl").unlink()
    there = load_config(tmp_path / "there/c.yaml", environ={}).config
    assert [c.digest for c in build_book(there).plan.cells] == planned
    assert len(planned) == 2
    with pytest.raises(ConfigError, match=r"scenarios\.set\.prompts: .* cannot be read"):
        travelling(here)


def test_prompts_that_are_too_many_to_travel_are_refused_with_a_way_out(tmp_path, monkeypatch):
    (tmp_path / "set.jsonl").write_text(json.dumps(PROMPTS[0]))
    monkeypatch.setattr(module, "MOST_PROMPT_BYTES", 20)
    one = scenario(prompts=str(tmp_path / "set.jsonl"), user="{{ user }}")
    with pytest.raises(ConfigError, match="Split it into several sweeps"):
        travelling(sweep(scenarios=[one]))


def test_files_that_stay_behind_are_named():
    found = left_behind(
        sweep(
            scenarios=[scenario(), scenario(name="p", python="/home/a/tone.py:Tone")],
            graders=[
                GraderConfig(name="g", kind="python", use="/home/a/g.py:grade"),
                GraderConfig(name="h", kind="python", use="package.module:grade"),
            ],
            models=[
                model(),
                model(
                    "l",
                    provider=ProviderKind.local,
                    local=LocalServerConfig(gguf="/data/w.gguf"),
                ),
            ],
        )
    )
    assert [line.partition(":")[0] for line in found] == [
        "scenarios.p.python",
        "graders.g.use",
        "models.l.local.gguf",
    ]
