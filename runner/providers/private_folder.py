"""A folder of this user's own below the temporary folder, in which nobody else can plant files."""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path

from runner.core.errors import ConfigError


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
