"""A package that is really installed brings a scenario and a part of an environment of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from runner.cli.main import main
from runner.scenarios.environments.stage import parts
from tests.integration.simulate.test_command import FAST, simulator

PROJECT = """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "lamp-evals"
version = "0.1"

[project.entry-points."runner.scenarios"]
lamps = "lamp_evals:Lamps"

[project.entry-points."runner.environments"]
lamp = "lamp_evals:Lamp"

[tool.hatch.build.targets.wheel]
include = ["lamp_evals.py"]
"""
CODE = '''
from runner.scenarios.environments.protocol import Step, Tool, failed
from runner.scenarios.python import Scene


class Lamp:
    """A part with one tool and one switch."""

    name = "lamp"
    version = 1

    def tools(self, setup):
        return [Tool(name="turn_lamp", description="Turn the lamp.",
                     properties={"on": {"type": "boolean"}}, required=("on",))]

    def start(self, setup, key):
        return {"on": bool(setup.get("on")), "turned": 0}

    def step(self, state, call, seed):
        if call.arguments["on"] == state["on"]:
            return failed(state, "it is so already")
        return Step(state={"on": call.arguments["on"], "turned": state["turned"] + 1},
                    content="Done.", effect="turned", facts={"on": call.arguments["on"]})

    def notice(self, before, after):
        return None

    def hear(self, state, letter, text):
        return state


class Lamps:
    """A scenario in Python."""

    def __init__(self, room="hall"):
        self.room = room

    def axes(self):
        return {"at_first": ["on", "off"]}

    def scene(self, levels, seeded):
        return Scene(
            system=f"You look after the {self.room}.",
            user=f"The lamp is {levels['at_first']}. Turn it.",
            environment={"lamp": {"on": levels["at_first"] == "on"}},
        )
'''
SWEEP = """
name: lamps
scenarios:
  - {{name: lamps, python: lamps, options: {{room: cellar}}, end: {{turns: 4}}}}
  - name: own
    user: "Turn the lamp."
    environment: {{lamp: {{on: true}}}}
    end: {{turns: 4}}
models: [{{name: m, provider: anthropic, model: x, base_url: "{url}", max_tokens: 4000}}]
seeds: 3
output: out
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the package into a folder of its own; nothing is fetched."""
    source = tmp_path_factory.mktemp("lamp-evals")
    (source / "pyproject.toml").write_text(PROJECT)
    (source / "lamp_evals.py").write_text(CODE)
    target = source / "site"
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    given = [
        "--no-deps",
        "--no-index",
        "--no-build-isolation",
        "--target",
        str(target),
        str(source),
    ]
    done = subprocess.run([*pip, *given], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return target


@pytest.fixture
def installed(site: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let this process find the package as it would one in its own environment."""
    monkeypatch.syspath_prepend(str(site))
    parts.cache_clear()
    yield
    parts.cache_clear()
    sys.modules.pop("lamp_evals", None)


@pytest.mark.usefixtures("installed")
def test_installed_package_brings_a_scenario_and_an_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)

    def run(*words: str) -> str:
        assert main(words) == 0
        return capsys.readouterr().out

    settings = json.dumps({"tool_use": 1})
    persona = (f"personas.caller.outcomes={settings}", "persona=caller")
    with simulator(*FAST, *persona, "--port", "0") as (url, _):
        (tmp_path / "c.yaml").write_text(SWEEP.format(url=url))
        assert "0 errors, 0 warnings" in run("lint", "c.yaml")
        assert "9 planned = 9 answered" in run("sweep", "c.yaml")
    rows = duckdb.sql(
        f"select scenario, messages, effects from '{tmp_path}/out/transcripts/*.parquet'"
    ).fetchall()
    said = {scenario: json.loads(messages) for scenario, messages, _ in rows}
    assert said["lamps"][0]["content"] == "You look after the cellar."
    effects = [effect for _, _, found in rows for effect in json.loads(found)]
    assert {effect["tool"] for effect in effects} == {"turn_lamp"}
    assert {effect["effect"] for effect in effects} <= {"turned", None}
    assert "state after turn 1" in run("show", "out", "-n", "9", "--state")
    assert "9 planned = 9 answered" in run("report", "out")


def test_package_that_is_not_installed_is_named_with_what_there_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "c.yaml").write_text(SWEEP.format(url="http://127.0.0.1:1"))
    assert main(["lint", str(tmp_path / "c.yaml")]) == 2
    printed = capsys.readouterr().out
    assert "no entry point of the group runner.scenarios" in printed
    assert "no such part; there are mail, files, accounts, shutdown, canned" in printed
