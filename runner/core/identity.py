"""Content identity: canonical JSON, cell digests, job keys, and the draws that seeds drive.

Pure. Golden vectors in `tests/unit/core/test_identity.py` pin every function: a change that moves
one of them changes the identity of recorded work and needs a new `IDENTITY_VERSION`.

Strings go through orjson (RFC 8785 section 3.2.2.2 asks for exactly its escapes), which is some
twenty times as fast as rfc8785 on a prompt; floats go through rfc8785, whose ECMAScript number
form orjson lacks. A property test holds the bytes against rfc8785.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from typing import TypeVar, cast

import orjson
import rfc8785

IDENTITY_VERSION = 1
"""Raised only when requests change for the same configuration, never by a schema or a release."""

_MAX_SAFE_INTEGER = 2**53 - 1
_ROLES = "roles"
T = TypeVar("T")

Json = None | bool | int | float | str | Sequence["Json"] | Mapping[str, "Json"]


def canonical_json(value: object, where: str = "$") -> bytes:
    """Return RFC 8785 canonical JSON.

    Args:
        value: None, booleans, numbers, strings, and lists, tuples and mappings of them.
        where: how messages call the value; paths inside it are appended.

    Raises:
        ValueError: a value that JSON cannot carry exactly (an integer beyond ±(2**53 - 1), a
            non-finite number, a lone surrogate, a key that is no string, any other type);
            nothing is stringified by default. The message names the path.
    """
    out: list[bytes] = []
    _write(value, where, out)
    return b"".join(out)


def _write(value: object, where: str, out: list[bytes]) -> None:
    if isinstance(value, str):
        out.append(_string(value, where))
    elif value is None or isinstance(value, bool):
        out.append(orjson.dumps(value))
    elif isinstance(value, int):
        out.append(_integer(value, where))
    elif isinstance(value, float):
        out.append(_float(value, where))
    elif isinstance(value, Mapping):
        _write_mapping(cast("Mapping[object, object]", value), where, out)
    elif isinstance(value, list | tuple):
        _write_items(cast("Sequence[object]", value), where, out)
    else:
        msg = f"{where}: a {type(value).__name__} has no canonical form"
        raise ValueError(msg)


def _string(value: str, where: str) -> bytes:
    try:
        return orjson.dumps(value)
    except TypeError:
        msg = f"{where}: the text holds a lone surrogate, which UTF-8 cannot carry"
        raise ValueError(msg) from None


def _integer(value: int, where: str) -> bytes:
    if abs(value) > _MAX_SAFE_INTEGER:
        msg = f"{where}: integer {value} is not exact in JSON; write it as a string"
        raise ValueError(msg)
    return str(int(value)).encode()


def _float(value: float, where: str) -> bytes:
    if not math.isfinite(value):
        msg = f"{where}: {value} is no JSON number"
        raise ValueError(msg)
    return rfc8785.dumps(float(value))


def _write_mapping(value: Mapping[object, object], where: str, out: list[bytes]) -> None:
    for key in value:
        if not isinstance(key, str):
            msg = f"{where}: key {key!r} is no string"
            raise ValueError(msg)
    before = b"{"
    for key in sorted(cast("Mapping[str, object]", value), key=_utf16):
        out += (before, _string(key, f"{where}.{key!r}"), b":")
        _write(value[key], f"{where}.{key}", out)
        before = b","
    out.append(b"{}" if before == b"{" else b"}")


def _write_items(value: Sequence[object], where: str, out: list[bytes]) -> None:
    before = b"["
    for i, item in enumerate(value):
        out.append(before)
        _write(item, f"{where}[{i}]", out)
        before = b","
    out.append(b"[]" if before == b"[" else b"]")


def _utf16(key: str) -> bytes:
    """Sort keys by UTF-16 code units (RFC 8785 section 3.2.3)."""
    return key.encode("utf-16-be", "surrogatepass")


def digest(value: object) -> str:
    """Return the SHA-256, in hex, of the canonical JSON of a value."""
    return hashlib.sha256(canonical_json(value)).hexdigest()


def cell_digest(parts: Mapping[str, object]) -> str:
    """Return the digest of a cell from all the parts that decide its requests (64 hex digits)."""
    return digest({"identity_version": IDENTITY_VERSION, **parts})


def join_canonical(parts: Mapping[str, bytes]) -> bytes:
    """Return the canonical JSON of an object whose values are canonical JSON already.

    Args:
        parts: ASCII keys to canonical values.
    """
    return b"{" + b",".join(b'"%b":%b' % (k.encode(), parts[k]) for k in sorted(parts)) + b"}"


class ConditionHash:
    """Digests of all cells of one condition; equals `cell_digest` byte for byte.

    `roles` is the only part that differs between models, so what sorts before it, the long
    prompt above all, is hashed once for all of them.
    """

    __slots__ = ("_head", "_tail")

    def __init__(self, head: bytes, tail: bytes) -> None:
        """Take the canonical bytes before and after the value of `roles`."""
        self._head = hashlib.sha256(head)
        self._tail = tail

    def cell(self, roles: bytes) -> str:
        """Return the cell's digest for the canonical JSON of its roles."""
        whole = self._head.copy()
        whole.update(roles)
        whole.update(self._tail)
        return whole.hexdigest()


class CellForm:
    """The canonical JSON of a cell with what differs between conditions and models left open."""

    __slots__ = ("_pieces",)

    _OPEN = ("environment", "messages", "roles", "safeguards")
    """In the order in which canonical JSON writes them."""

    def __init__(self, parts: Mapping[str, bytes]) -> None:
        """Take every other part, under ASCII keys, each as canonical JSON."""
        given = {"identity_version": str(IDENTITY_VERSION).encode(), **parts}
        whole = join_canonical({**given, **dict.fromkeys(self._OPEN, b"\0")})
        self._pieces = whole.split(b"\0")  # JSON escapes real NULs

    def condition(self, messages: bytes, *, environment: bytes, safeguards: bytes) -> ConditionHash:
        """Fill in a condition's parts, each as canonical JSON."""
        start, before, middle, after, end = self._pieces
        head = b"".join((start, environment, before, messages, middle))
        return ConditionHash(head, b"".join((after, safeguards, end)))


def job_key(cell: str, seed: int) -> str:
    """Return the 160-bit key of a job as 40 hex digits.

    Args:
        cell: the cell's digest, 64 hex digits.
        seed: the sample index inside the cell, 0…2**31 - 1.
    """
    raw = b"runner-job\0" + bytes.fromhex(cell) + seed.to_bytes(4, "big")
    return hashlib.sha256(raw).hexdigest()[:40]


def draw_unit(choice: str, seed: int) -> float:
    """Return the uniform draw in [0, 1) that a named choice makes for a seed.

    Counter-based: SHA-256 of (name, seed), never of model, other axes or key, so the same seed
    means the same perturbation for every model and a new choice shifts no other.
    """
    named = b"runner-draw\0" + choice.encode() + b"\0" + seed.to_bytes(4, "big")
    raw = hashlib.sha256(named).digest()
    return (int.from_bytes(raw[:8], "big") >> 11) / float(1 << 53)


def draw(choice: str, seed: int, options: Sequence[T]) -> T:
    """Return the option that a named choice takes for a seed; `options` is not empty."""
    return options[int(draw_unit(choice, seed) * len(options))]
