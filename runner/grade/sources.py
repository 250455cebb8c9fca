"""Digests of the modules whose source decides a verdict."""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path


@cache
def _digest(module: str) -> str:
    path = importlib.import_module(module).__file__
    assert path is not None
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def source_digests(modules: Sequence[str]) -> dict[str, str]:
    """Return the SHA-256 of the source of modules of this package, by name."""
    return {module: _digest(module) for module in modules}
