"""The sweep directory on a POSIX file system. Implements `core.seams.Store`.

A new object is written to `.tmp/`, synced, given its name by `link` (create) or `rename` (put),
and then the folder is synced: a name stands for whole, durable content or does not exist.
Temporary files carry their writer's identity and are cleared by the first write of a later process
on the same host, once the writer is gone. obstore's local store does not do: it never syncs.

NFS: `link` and `rename` are atomic at the server, and what a client knows of a name may be stale or a
reply lost. So a name that is missing is looked up again behind a newly opened folder, which makes the
client ask (close-to-open; a coordinator would else miss its successor's claim for up to a minute), and an
answer that may be that of a call sent twice is settled by what is there now.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote, unquote

from runner.core.errors import StorageError
from runner.core.process import LinuxProcesses
from runner.core.seams import KeyExistsError, KeyMissingError, Processes, ProcessIdentity
from runner.record.disk import look_again, make_folder, sync_folder
from runner.record.layout import TEMPORARY, checked_key

T = TypeVar("T")
_NUMBERS = count()
"""Tells the temporary files of one process apart, whichever of its stores writes them."""
_ADVICE = {
    errno.EEXIST: "a file lies where a folder is needed; choose another `output`",
    errno.ENOTDIR: "a file lies where a folder is needed; choose another `output`",
    errno.ENOENT: "no such folder can be made; choose another `output`",
    errno.ENOSPC: "make room, then run the same command again",
    errno.EDQUOT: "make room in your quota, then run the same command again",
    errno.EROFS: "it is mounted read-only; choose another `output`",
    errno.EACCES: "give yourself the right to write there, or choose another `output`",
    errno.EPERM: "no right to write there, or no hard links, which the manifest needs; choose"
    " another `output`",
    errno.EOPNOTSUPP: "the manifest needs a file system with hard links; choose another `output`",
}
_FOLDER_TROUBLE = frozenset({errno.EEXIST, errno.ENOTDIR, errno.ENOENT})
"""Here the path in the error says more than the object that was to be written."""


class PosixStore:
    """Objects as files below a root folder, which is made by the first write.

    Safe for use from many processes and hosts on a file system with atomic `link` and `rename`.
    Every method raises StorageError where the file system refuses, and ValueError for a key that
    is not a plain relative path.
    """

    def __init__(self, root: Path, processes: Processes | None = None) -> None:
        self._root = root
        self._temporary = root / TEMPORARY
        self._processes = processes or LinuxProcesses()
        self._prefix = ""

    async def create(self, key: str, data: bytes) -> None:
        """Write a new object; see `core.seams.Store.create`."""
        path = self._path(key)

        def work() -> None:
            temporary = self._write(path, data)
            try:
                os.link(temporary, path)
            except FileExistsError as error:
                if temporary.stat().st_nlink < 2:  # else it is ours, and the first reply was lost
                    raise KeyExistsError(key) from error
            finally:
                temporary.unlink(missing_ok=True)
            sync_folder(path.parent)

        await self._run(work, path)

    async def put(self, key: str, data: bytes) -> None:
        """Write or replace an object; see `core.seams.Store.put`."""
        path = self._path(key)

        def work() -> None:
            temporary = self._write(path, data)
            try:
                temporary.replace(path)
            except OSError as error:
                if error.errno != errno.ENOENT or temporary.exists():
                    temporary.unlink(missing_ok=True)
                    raise  # else nobody but this call can have taken it, and a reply was lost
            sync_folder(path.parent)

        await self._run(work, path)

    async def get(self, key: str) -> bytes:
        """Read an object; see `core.seams.Store.get`."""
        path = self._path(key)

        def work() -> bytes:
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                return path.read_bytes()
            try:
                look_again(path.parent, self._root)
                return path.read_bytes()
            except (FileNotFoundError, NotADirectoryError) as error:
                raise KeyMissingError(key) from error

        return await self._run(work, path)

    async def list(self, prefix: str) -> list[str]:
        """Return the keys below a folder; see `core.seams.Store.list`."""
        if prefix and not prefix.endswith("/"):
            msg = f"a folder to list ends in '/', got {prefix!r}"
            raise ValueError(msg)
        folder = self._path(prefix.rstrip("/")) if prefix else self._root

        def work() -> list[str]:
            if not folder.is_dir():
                look_again(folder.parent, self._root)
            return list(self._below(folder, prefix))

        return sorted(await self._run(work, folder))

    async def move(self, source: str, target: str) -> bool:
        """Consume the source; see `core.seams.Store.move`.

        Raises:
            StorageError: the target exists with other content; nothing was changed.
        """
        from_, to = self._path(source), self._path(target)

        def work() -> bool:
            make_folder(to.parent)
            look_again(to.parent, self._root)
            moved = self._move(from_, to)
            # Also where there was nothing to move: a rename seen is not a rename that is durable.
            for folder in {from_.parent, to.parent}:
                if folder.is_dir():
                    sync_folder(folder)
            return moved

        return await self._run(work, to)

    async def delete(self, key: str) -> None:
        """Remove an object; see `core.seams.Store.delete`."""
        path = self._path(key)
        await self._run(lambda: path.unlink(missing_ok=True), path)

    def _path(self, key: str) -> Path:
        return self._root.joinpath(*checked_key(key).split("/"))

    def _write(self, path: Path, data: bytes) -> Path:
        """Write a temporary file, durably, and make the folder it will go to."""
        for folder in (path.parent, self._temporary):
            if not folder.is_dir():
                make_folder(folder)
        if not self._prefix:
            self._clear_temporary()
            self._prefix = _temporary_prefix(self._processes.current())
        temporary = self._temporary / f"{self._prefix}{next(_NUMBERS)}"
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        try:
            with os.fdopen(fd, "wb", buffering=0) as file:
                left = memoryview(data)
                while left:
                    left = left[file.write(left) :]
                os.fsync(fd)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise
        return temporary

    def _clear_temporary(self) -> None:
        """Delete what processes of this host that are gone left unfinished."""
        for path in self._temporary.iterdir():
            owner = _owner(path.name)
            if owner is not None and self._processes.is_dead(owner):
                path.unlink(missing_ok=True)

    @staticmethod
    def _move(source: Path, target: Path) -> bool:
        there = source.exists()
        try:
            if there and target.exists():
                if source.read_bytes() != target.read_bytes():
                    raise FileExistsError(errno.EEXIST, "exists with other content", str(target))
                source.unlink(missing_ok=True)
                return True
            source.rename(target)
        except FileNotFoundError:
            return there and target.exists()  # moved all the same, if a reply was lost
        return True

    @staticmethod
    def _below(folder: Path, prefix: str) -> Iterator[str]:
        try:
            entries = [*os.scandir(folder)]
        except (FileNotFoundError, NotADirectoryError):
            return
        for entry in entries:
            if entry.is_dir():
                if prefix or entry.name != TEMPORARY:
                    yield from PosixStore._below(Path(entry.path), f"{prefix}{entry.name}/")
            else:
                yield prefix + entry.name

    @staticmethod
    async def _run(work: Callable[[], T], path: Path) -> T:
        with _storage_errors(path):
            return await asyncio.to_thread(work)


@contextmanager
def _storage_errors(path: Path) -> Generator[None]:
    try:
        yield
    except OSError as error:
        advice = _ADVICE.get(error.errno or 0, "nothing recorded is lost; mend it and run again")
        at = error.filename if error.errno in _FOLDER_TROUBLE else path
        msg = f"{at or path}: {error.strerror or error}; {advice}"
        raise StorageError(msg) from error


def _temporary_prefix(process: ProcessIdentity) -> str:
    facts = (process.host, process.boot_id, process.pid_namespace, process.pid, process.started)
    return "~".join(quote(str(fact), safe="") for fact in facts) + "~"


def _owner(name: str) -> ProcessIdentity | None:
    match [unquote(part) for part in name.split("~")]:
        case [host, boot_id, pid_namespace, pid, started, _] if pid.isdigit():
            return ProcessIdentity(
                host=host,
                boot_id=boot_id,
                pid_namespace=pid_namespace,
                pid=int(pid),
                started=started,
            )
        case _:
            return None
