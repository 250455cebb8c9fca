"""The lock files hold exact pins and hashes for what the package imports, and nothing else."""

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[3]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
OPTIONAL = {"polars"}
"""Imported on demand by readers that a user asks for by name."""


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def pins() -> dict[str, str]:
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    found = (re.match(r"([a-z0-9._-]+)==([^\s;]+)", line) for line in lines)
    return {m[1]: m[2] for m in found if m}


@pytest.mark.parametrize("file", ["requirements.lock", "requirements-weights.lock"])
def test_lock_names_no_address_and_no_path(file):
    text = (ROOT / file).read_text()
    assert not re.search(r"https?:|file:|index|/|@", text.split("\n", 1)[1])


def test_every_declared_dependency_is_pinned_within_its_bounds():
    groups = (PROJECT["project"]["dependencies"], PROJECT["dependency-groups"]["dev"])
    pinned = pins()
    for requirement in (Requirement(text) for group in groups for text in group):
        assert requirement.specifier.contains(pinned[canonical(requirement.name)])


def test_every_import_of_the_package_is_a_declared_dependency():
    declared = {
        canonical(Requirement(text).name) for text in PROJECT["project"]["dependencies"]
    } | {
        canonical(Requirement(t).name)
        for extra in ("local", "inspect")
        for t in PROJECT["project"]["optional-dependencies"][extra]
    }
    of_module = packages_distributions()
    undeclared = {
        module
        for path in (ROOT / "runner").rglob("*.py")
        for module in imported(path)
        if module not in sys.stdlib_module_names | {"runner"} | OPTIONAL
        and not {canonical(d) for d in of_module.get(module, [])} & declared
    }
    assert undeclared == set()


def imported(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.partition(".")[0])
    return found
