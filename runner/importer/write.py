"""Writes prompts as a sweep configuration that runs as it is: against the simulator, until it is edited.

A few short prompts stand in the configuration itself; more of them in a file of JSON lines beside it. Either
way they are literal text: only the two templates that print them are templates.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from runner.config.yaml_tree import Plain, write
from runner.core.errors import ConfigError, StorageError
from runner.importer.collect import Collected

INLINE_PROMPTS = 40
INLINE_BYTES = 100_000
_NAME = re.compile(r"[^A-Za-z0-9._+@-]+")
_CHOICES = (
    '{{ user }}{% if choices %}\n\n{% for choice in choices %}{{ "ABCDEFGHIJKLMNOPQRSTUVWXYZ"'
    "[loop.index0] }}) {{ choice }}\n{% endfor %}{% endif %}"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """The files of an import."""

    config: Path
    prompts: Path | None
    """None: they stand in the configuration."""


def write_sweep(found: Collected, target: Path, source: str, *, replace: bool) -> Written:
    """Write a configuration with one scenario; folders on the way to it are made.

    Args:
        found: what was collected.
        target: the configuration's path.
        source: what was imported, for readers.
        replace: overwrite what is there.

    Raises:
        ConfigError: a file is there already.
        StorageError: it cannot be written.
    """
    inline = len(found.items) <= INLINE_PROMPTS and found.items.size <= INLINE_BYTES
    beside = target.with_name(f"{target.stem}-prompts.jsonl")
    for path in (target, *(() if inline else (beside,))):
        if path.exists() and not replace:
            msg = f"{path}: is there already. Choose another name, or replace it with --force."
            raise ConfigError(msg)
    name = _NAME.sub("-", target.stem).strip("-._") or "imported"
    text = _text(found, name, None if inline else beside.name, target, source)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if not inline:
            _put(beside, (orjson.dumps(item) + b"\n" for item in found.prompts()))
        _put(target, [text.encode()])
    except OSError as error:
        msg = f"{target}: cannot be written ({error.strerror or error})."
        raise StorageError(msg) from error
    return Written(config=target, prompts=None if inline else beside)


def _text(found: Collected, name: str, file: str | None, target: Path, source: str) -> str:
    scenario: dict[str, Any] = {"name": name}
    if "system" in found.has:
        scenario["system"] = "{{ system }}"
    scenario["user"] = _CHOICES if "choices" in found.has else "{{ user }}"
    if "target" in found.has:
        plain = found.prints_targets
        scenario["grading"] = {"target": "{{ target }}" if plain else "{{ target | string }}"}
    scenario["labels"] = {"source": source}
    scenario["prompts"] = file if file is not None else [_spare(p) for p in found.prompts()]
    body: dict[str, Plain] = {
        "name": name,
        "models": [
            {
                "name": "simulated",
                "provider": "anthropic",
                "model": "claude-opus-5",
                "base_url": "http://127.0.0.1:8077",
                "max_tokens": 1000,
            }
        ],
        "seeds": 1,
        "scenarios": [scenario],
    }
    head = (
        f"# runner sweep {target}\n"
        f"# Imported by `runner import` from {source}. The texts of `prompts` are sent as they are;\n"
        "# `system` and `user` are templates that print them (docs/import.md). The model is that of\n"
        "# `runner simulate`: put in your own.\n"
    )
    return head.replace("\r", " ") + write(body)


def _spare(item: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out what says nothing."""
    return {k: v for k, v in item.items() if not (k in {"system", "user"} and v == "")}


def _put(path: Path, pieces: Iterable[bytes]) -> None:
    """Write a whole file or none."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with fresh.open("wb") as out:
            out.writelines(pieces)
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)
