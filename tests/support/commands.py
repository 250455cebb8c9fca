"""The command line in this process, in a folder of its own: what tests of whole sweeps call."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from runner.cli.main import main

FAST = {"heartbeat_s": 0.1, "publish_s": 0.1, "lease_ttl_s": 3.0, "grace_s": 10.0}
"""Engine intervals for sweeps of a second."""


@dataclass(frozen=True, slots=True)
class Ended:
    """A command that has ended."""

    code: int
    out: str
    err: str

    @property
    def text(self) -> str:
        return self.out + self.err


@dataclass(slots=True)
class Bench:
    """A working directory, a configuration in it, and the commands."""

    folder: Path
    url: str
    read: Callable[[], Any]
    """Returns what was printed since the last call: capsys.readouterr."""
    config: dict[str, Any] = field(default_factory=dict)

    @property
    def sweep(self) -> Path:
        """The directory of the sweep `s`."""
        return self.folder / "outputs/s"

    def model(self, name: str = "m", **keys: Any) -> dict[str, Any]:
        """Return a model served by the stand-in."""
        given = {"provider": "openai", "model": "any", "base_url": f"{self.url}/v1", **keys}
        if given["provider"] == "anthropic":
            given["base_url"] = keys.get("base_url", self.url)
        return {"name": name, **given}

    def write(self, **keys: Any) -> Path:
        """Write c.yaml: two cells of two seeds on one model, changed by what is given."""
        self.config = {
            "name": "s",
            "scenarios": [
                {
                    "name": "tone",
                    "axes": {"tone": ["polite", "blunt"]},
                    "user": "A {{ tone }} line. ({{ seed }})",
                }
            ],
            "models": [self.model()],
            "seeds": 2,
            "engine": dict(FAST),
            "retry": {"wait_initial_s": 0.02, "wait_max_s": 0.05},
        } | keys
        path = self.folder / "c.yaml"
        path.write_text(yaml.safe_dump(self.config, sort_keys=False))
        return path

    def run(self, *arguments: str) -> Ended:
        """Run a command; returns its exit code and what it printed."""
        self.read()
        try:
            code = main(arguments)
        except SystemExit as error:  # argparse
            code = int(error.code or 0)
        printed = self.read()
        return Ended(code, printed.out, printed.err)

    def ok(self, *arguments: str) -> Ended:
        """Run a command that must end with 0."""
        ended = self.run(*arguments)
        assert ended.code == 0, ended
        return ended

    def rows(self, kind: str = "transcripts") -> list[dict[str, Any]]:
        """Return the rows of a table as a plain glob sees them."""
        import pyarrow.parquet as pq

        files = sorted((self.sweep / kind).glob("*.parquet"))
        return [row for file in files for row in pq.read_table(file).to_pylist()]

    def states(self, kind: str = "transcripts") -> dict[str, int]:
        """Return end states with their numbers of rows."""
        found: dict[str, int] = {}
        for row in self.rows(kind):
            found[row["end_state"]] = found.get(row["end_state"], 0) + 1
        return found


def no_traceback(ended: Ended) -> None:
    """Check that nothing looks like a fault of the program."""
    for sign in ("Traceback", 'File "', "fault of runner", "Task exception", "never awaited"):
        assert sign not in ended.text, ended


def environment(patch: pytest.MonkeyPatch, variables: Mapping[str, str]) -> None:
    """Set environment variables for one test."""
    for name, value in variables.items():
        patch.setenv(name, value)
