"""Content identity: canonical JSON, cell digests, job keys, and the draws that seeds drive.

Pure. Golden vectors in `tests/unit/core/test_identity.py` pin every function: a change that moves
one of them changes the identity of recorded work and needs a new `IDENTITY_VERSION`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import TypeVar

import rfc8785

IDENTITY_VERSION = 1
"""Raised only when requests change for the same configuration, never by a schema or a release."""

_MAX_SAFE_INTEGER = 2**53 - 1
T = TypeVar("T")

Json = None | bool | int | float | str | Sequence["Json"] | Mapping[str, "Json"]


def canonical_json(value: object, where: str = "$") -> bytes:
    """Return RFC 8785 canonical JSON.

    Raises:
        ValueError: a value that JSON cannot carry exactly (an integer beyond ±(2**53 - 1), a
            non-finite number, a key that is no string, any other type); nothing is stringified
            by default. The message names the path.
    """
    _check(value, where)
    return rfc8785.dumps(value)  # pyright: ignore[reportArgumentType]  # checked above


def _check(value: object, where: str) -> None:
    if value is None or isinstance(value, bool | str):
        return
    if isinstance(value, int):
        if abs(value) > _MAX_SAFE_INTEGER:
            msg = f"{where}: integer {value} is not exact in JSON; write it as a string"
            raise ValueError(msg)
        return
    if isinstance(value, float):
        if value != value or value in (float("inf"), float("-inf")):
            msg = f"{where}: {value} is no JSON number"
            raise ValueError(msg)
        return
    if isinstance(value, Mapping):
        for key, item in value.items():  # pyright: ignore[reportUnknownVariableType]
            if not isinstance(key, str):
                msg = f"{where}: key {key!r} is no string"
                raise ValueError(msg)
            _check(item, f"{where}.{key}")  # pyright: ignore[reportUnknownArgumentType]
        return
    if isinstance(value, list | tuple):
        for i, item in enumerate(value):  # pyright: ignore[reportUnknownVariableType,reportUnknownArgumentType]
            _check(item, f"{where}[{i}]")  # pyright: ignore[reportUnknownArgumentType]
        return
    msg = f"{where}: a {type(value).__name__} has no canonical form"
    raise ValueError(msg)


def digest(value: object) -> str:
    """Return the SHA-256, in hex, of the canonical JSON of a value."""
    return hashlib.sha256(canonical_json(value)).hexdigest()


def cell_digest(parts: Mapping[str, object]) -> str:
    """Return the digest of a cell from all the parts that decide its requests (64 hex digits)."""
    return digest({"identity_version": IDENTITY_VERSION, **parts})


def job_key(cell: str, seed: int) -> str:
    """Return the 160-bit key of a job as 40 hex digits.

    Args:
        cell: the cell's digest, 64 hex digits.
        seed: the sample index inside the cell, 0…2**31 - 1.
    """
    return hashlib.sha256(b"runner-job\0" + bytes.fromhex(cell) + seed.to_bytes(4, "big")).hexdigest()[:40]


def draw_unit(choice: str, seed: int) -> float:
    """Return the uniform draw in [0, 1) that a named choice makes for a seed.

    Counter-based: SHA-256 of (name, seed), never of model, other axes or key, so the same seed
    means the same perturbation for every model and a new choice shifts no other.
    """
    raw = hashlib.sha256(b"runner-draw\0" + choice.encode() + b"\0" + seed.to_bytes(4, "big")).digest()
    return (int.from_bytes(raw[:8], "big") >> 11) / float(1 << 53)


def draw(choice: str, seed: int, options: Sequence[T]) -> T:
    """Return the option that a named choice takes for a seed."""
    return options[int(draw_unit(choice, seed) * len(options))]
