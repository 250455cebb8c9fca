"""The dispatcher: exit codes, messages, where overrides may stand."""

import subprocess
import sys

import pytest

from runner.cli import main as cli
from runner.core.errors import (
    EXIT_INTERRUPTED,
    EXIT_STORAGE,
    EXIT_UNEXPECTED,
    ConfigError,
    StorageError,
)

GOOD = """\
name: n
scenarios: [{name: s, user: "{{ seed }}", axes: {}}]
models: [{name: m, provider: openai, model: x, base_url: "http://127.0.0.1:1/v1"}]
seeds: 3
"""
REPORTS = ("matplotlib", "statsmodels", "firthmodels", "sklearn", "inspect_ai")
HEAVY = (
    "ray",
    "anthropic",
    "pyarrow",
    "omegaconf",
    "tenacity",
    "aiohttp",
    "duckdb",
    "scipy",
    "numpy",
    "matplotlib",
    "statsmodels",
    "firthmodels",
    "pandas",
    "scipy",
    "inspect_ai",
)


def failing(error: BaseException):
    def run(_args):
        raise error

    return run


def main_that(monkeypatch: pytest.MonkeyPatch, error: BaseException, *flags: str) -> int:
    monkeypatch.setattr("runner.cli.plan.run", failing(error))
    return cli.main([*flags, "plan", "c.yaml"])


def test_help_imports_nothing_heavy():
    code = (
        "import sys; from runner.cli.main import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        f"print('HEAVY', [m for m in {HEAVY!r} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "HEAVY []" in done.stdout
    assert "exit codes:" in done.stdout


@pytest.mark.parametrize(
    ("modules", "kept_out"),
    [
        (
            "runner.pipeline.sweep, runner.execute.worker, runner.dispatch.coordinator",
            ("pandas", "duckdb", *REPORTS),
        ),
        # The count of end states after the last answer: pyarrow.dataset loads pandas where it is.
        ("runner.report.counts, runner.record.query", REPORTS),
    ],
    ids=["running", "ending"],
)
def test_sweep_loads_no_library_of_reports(modules, kept_out):
    code = f"import sys, {modules}\nprint('HEAVY', [m for m in {kept_out!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "HEAVY []" in done.stdout


def test_help_names_every_command():
    parser, commands = cli.build_parser()
    text = parser.format_help()
    assert all(name in text for name in commands)


def test_config_error_prints_all_problems_and_how_many(monkeypatch, capsys):
    assert main_that(monkeypatch, ConfigError("a: x.", "b: y.")) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "a: x.\nb: y.\n2 problems, nothing was started.\n"


def test_runner_error_ends_in_its_own_code_without_traceback(monkeypatch, capsys):
    assert main_that(monkeypatch, StorageError("disk full")) == EXIT_STORAGE
    assert capsys.readouterr().err == "disk full\n"


def test_runner_error_with_debug_shows_where(monkeypatch, capsys):
    assert main_that(monkeypatch, StorageError("disk full"), "--debug") == EXIT_STORAGE
    assert "Traceback" in capsys.readouterr().err


def test_own_fault_is_one_line_and_names_debug(monkeypatch, capsys):
    assert main_that(monkeypatch, ZeroDivisionError("by \x1b[31mzero")) == EXIT_UNEXPECTED
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "ZeroDivisionError: by zero"
    assert "--debug" in lines[1]


def test_interrupt_ends_in_its_code(monkeypatch):
    assert main_that(monkeypatch, KeyboardInterrupt()) == EXIT_INTERRUPTED


def test_debug_is_taken_before_and_after_the_command(monkeypatch):
    seen: list[bool] = []
    monkeypatch.setattr("runner.cli.plan.run", lambda args: seen.append(args.debug) or 0)
    cli.main(["plan", "c.yaml"])
    cli.main(["--debug", "plan", "c.yaml"])
    cli.main(["plan", "c.yaml", "--debug"])
    assert seen == [False, True, True]


def test_overrides_are_taken_on_both_sides_of_options(monkeypatch):
    seen: list[list[str]] = []
    monkeypatch.setattr("runner.cli.plan.run", lambda args: seen.append(args.overrides) or 0)
    cli.main(["plan", "c.yaml", "seeds=1", "--json", "models.m.max_tokens=-1"])
    assert seen == [["seeds=1", "models.m.max_tokens=-1"]]


@pytest.mark.parametrize("arguments", [[], ["paln"], ["plan"], ["plan", "c", "--jsn"]])
def test_unusable_command_line_ends_in_2(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        cli.main(arguments)
    assert caught.value.code == 2
    assert "usage: runner" in capsys.readouterr().err


def test_output_cut_off_by_its_reader_is_no_error(tmp_path):
    (tmp_path / "c.yaml").write_text(GOOD)
    command = f"{sys.executable} -m runner plan c.yaml | true; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(
        ["bash", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert (done.stdout, done.stderr) == ("0\n", "")
