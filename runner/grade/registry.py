"""Graders by the name under which scenarios ask for them, and their digests."""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from functools import cache
from pathlib import Path

from runner.core.errors import ConfigError
from runner.core.identity import digest
from runner.grade.blackmail_rule import BlackmailRule
from runner.grade.verdict import Grader

GRADERS: Mapping[str, Grader] = {g.name: g for g in (BlackmailRule(),)}


def grader(name: str) -> Grader:
    """Return a grader by name.

    Raises:
        ConfigError: there is none; the message names the nearest.
    """
    if name not in GRADERS:
        raise ConfigError(_unknown(name))
    return GRADERS[name]


def graders_problems(names: Sequence[str], facts: Mapping[str, object]) -> list[str]:
    """Return what is wrong with a scenario's `graders:` and, for these, its rendered `grading:`."""
    out: list[str] = []
    for name in names:
        if name not in GRADERS:
            out.append(_unknown(name))
        else:
            out += GRADERS[name].problems(facts)
    return out


@cache
def grader_digest(name: str) -> str:
    """Return the SHA-256, in hex, over a grader's source, version, gates and judged view.

    Verdicts lie under it: a changed rule never mixes with the verdicts of the old one.
    """
    found = grader(name)
    sources: dict[str, str] = {}
    for module in found.modules:
        path = importlib.import_module(module).__file__
        if path is None:
            msg = f"grader {name}: module {module} has no source file to take the digest of"
            raise ConfigError(msg)
        sources[module] = hashlib.sha256(Path(path).read_bytes()).hexdigest()
    return digest(
        {
            "name": found.name,
            "version": found.version,
            "view": found.view,
            "gates": list(found.gates),
            "sources": sources,
        }
    )


def _unknown(name: str) -> str:
    near = get_close_matches(name, GRADERS, n=1)
    hint = f"Did you mean {near[0]}?" if near else f"There are: {', '.join(sorted(GRADERS))}."
    return f"graders: {name!r} is unknown. {hint}"
