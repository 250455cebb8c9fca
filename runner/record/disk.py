"""The journal folder on this node's own disk. Implements `core.seams.Disk`.

Writes are system calls on the event loop (a copy into the page cache); syncs, reads and deletes
run in a thread of the journal's own, so that a store busy with parts never delays them.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")


class PosixDiskFile:
    """One append-only file. Implements `core.seams.DiskFile`."""

    def __init__(self, path: Path, run: ThreadPoolExecutor) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
        self._path = path
        self._thread = run
        self._named = False
        self._fd = os.open(path, flags, 0o644)

    @property
    def name(self) -> str:
        """Name below the journal folder."""
        return self._path.name

    def write(self, data: bytes) -> None:
        """Append to the page cache.

        Raises:
            OSError: full disk or short write.
        """
        written = os.write(self._fd, data)
        if written != len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._path))

    async def sync(self) -> None:
        """Make everything written so far durable, at the first call the name, too.

        Raises:
            OSError: the kernel could not.
        """
        await asyncio.get_running_loop().run_in_executor(self._thread, self._sync)

    def close(self) -> None:
        """Close, behind a sync that may be under way."""
        try:
            self._thread.submit(self._close)
        except RuntimeError:  # the interpreter is ending and takes no more work: no sync runs
            self._close()

    def _sync(self) -> None:
        os.fdatasync(self._fd)
        if not self._named:
            sync_folder(self._path.parent)
            self._named = True

    def _close(self) -> None:
        try:
            os.close(self._fd)
        except OSError:
            return


class PosixDisk:
    """All segments in one folder, which is made when the first file is."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="journal")

    def create(self, name: str) -> PosixDiskFile:
        """Create a new file, exclusively.

        Raises:
            OSError: it exists, or the disk refuses.
        """
        if not self._folder.is_dir():
            make_folder(self._folder)
        return PosixDiskFile(self._path(name), self._thread)

    async def list(self) -> list[str]:
        """Return the names of all files, sorted."""

        def names() -> list[str]:
            try:
                if not self._folder.is_dir():
                    look_again(self._folder.parent, self._folder.parent)
                return sorted(e.name for e in os.scandir(self._folder) if e.is_file())
            except FileNotFoundError:
                return []

        return await self._run(names)

    async def read(self, name: str) -> bytes:
        """Read a whole file; b'' where there is none."""

        def content() -> bytes:
            try:
                return self._path(name).read_bytes()
            except FileNotFoundError:
                return b""

        return await self._run(content)

    async def delete(self, name: str) -> None:
        """Remove a file for good; no error where there is none.

        Durably, because a segment that a crash of the host brings back alone lacks the seal frames
        of later ones: what it holds would be recovered as if it had never been published.
        """

        def remove() -> None:
            with contextlib.suppress(FileNotFoundError):
                self._path(name).unlink()
                sync_folder(self._folder)

        await self._run(remove)

    def _path(self, name: str) -> Path:
        if Path(name).name != name or name in {"", ".", ".."}:
            msg = f"{name!r} is no file name"
            raise ValueError(msg)
        return self._folder / name

    async def _run(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable.

    Raises:
        OSError: the kernel could not.
    """
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def look_again(folder: Path, top: Path) -> None:
    """Make an NFS client ask its server what there is in a folder and those above it, up to `top`.

    Opening a folder does that; on other file systems it changes nothing.
    """
    depth = len(folder.relative_to(top).parts)
    for each in [*list(folder.parents)[:depth][::-1], folder]:
        try:
            os.close(os.open(each, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
        except (FileNotFoundError, NotADirectoryError):
            return


def make_folder(folder: Path) -> None:
    """Make a folder and its parents, durably.

    Raises:
        OSError: the disk refuses.
    """
    missing = [folder, *folder.parents]
    missing = missing[: next(i for i, path in enumerate(missing) if path.is_dir())]
    for path in reversed(missing):
        path.mkdir(exist_ok=True)
        sync_folder(path.parent)
