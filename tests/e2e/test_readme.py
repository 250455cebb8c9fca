"""The README's configuration and commands, as they are printed there."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import runner
from tests.support.commands import Bench
from tests.support.standin import StandIn

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    """Return the fenced blocks of a language."""
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def commands() -> list[list[str]]:
    """Return the `runner` commands of all console blocks, in order."""
    lines = [line for block in blocks("console") for line in block.splitlines()]
    words = [shlex.split(line.removeprefix("$ ")) for line in lines if line.startswith("$ ")]
    return [w[1:] for w in words if w[0] == "runner"]


@pytest.fixture
def bench(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Bench]:
    monkeypatch.chdir(tmp_path)
    for name in ("ANTHROPIC_API_KEY", "SOME_KEY"):
        monkeypatch.setenv(name, "sk-of-the-readme")
    with StandIn(answer_bytes=100) as server:
        text = blocks("yaml")[0].replace("http://127.0.0.1:8077", server.url)
        (tmp_path / "hello.yaml").write_text(text)
        yield Bench(tmp_path, server.url, capsys.readouterr)


def test_readme_configuration_is_the_shipped_one() -> None:
    shipped = (ROOT / "configs/hello.yaml").read_text()
    assert blocks("yaml")[0].strip() in shipped


def test_readme_commands_do_what_is_said(bench: Bench) -> None:
    given = [c for c in commands() if "--workers" not in c and c[0] != "stop"]
    assert len(given) >= 12
    for command in given:
        ended = bench.run(*command)
        assert ended.code == 0, (command, ended)
    assert "800 answered" in bench.ok("report", "outputs/hello").out
    stop = bench.run("stop", "outputs/hello")
    assert stop.code == 3
    assert "nothing to stop" in stop.err


def test_readme_python_reads_the_results(bench: Bench) -> None:
    bench.ok("sweep", "hello.yaml", "seeds=3")
    exec(compile(blocks("python")[0], "README.md", "exec"), {})
    assert "transcripts" in bench.read().out
    assert sum(shard.rows for shard in runner.follow("outputs/hello")) == 24


@pytest.mark.ray
def test_readme_runs_on_ray(bench: Bench) -> None:
    (command,) = [c for c in commands() if "--workers" in c]
    done = subprocess.run(
        [sys.executable, "-m", "runner", *command, "seeds=10"],
        cwd=bench.folder,
        capture_output=True,
        text=True,
        timeout=170,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "80 planned = 80 answered" in done.stdout


@pytest.mark.e2e
@pytest.mark.ray
def test_quickstart_on_ray_and_the_real_model(tmp_path: Path) -> None:
    """`make quickstart` as the Makefile has it, into a folder of its own."""
    recipe = (ROOT / "Makefile").read_text().partition("\nquickstart:")[2].partition("\n\n")[0]
    lines = re.findall(r"\t\$\(BIN\)/runner (.*)", recipe)
    assert lines
    for again in (False, True):
        for line in lines:
            words = shlex.split(line.replace("outputs/quickstart", f"{tmp_path}/quickstart"))
            if words[0] == "sweep":
                words += [f"output={tmp_path}/quickstart", "models.smollm2-135m.max_tokens=24"]
            done = subprocess.run(
                [sys.executable, "-m", "runner", *words],
                cwd=ROOT,
                capture_output=True,
                text=True,
                timeout=280,
                check=False,
            )
            assert done.returncode == 0, done.stderr
            if words[0] == "sweep":
                assert ("all jobs are done" in done.stdout) == again
            else:
                assert "harmful in" in done.stdout
                assert "[95%]" in done.stdout
