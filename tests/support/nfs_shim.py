"""A file system that behaves as an NFS mount may, for code of this process that works below one folder.

What NFS promises and what it does not (close-to-open consistency; Linux's nfs(5)):

* a name that was missing stays missing to a client that asked, and attributes stay as they were, until the
  client opens the folder again or changes it itself; another client's change shows only then;
* opening a file always asks the server;
* the reply to a call may be lost: the client sends it again, and the server, which has forgotten, answers
  what it finds now. `link` says EEXIST of its own link, `rename` and `unlink` say ENOENT, `mkdir` EEXIST;

Which client calls is a context variable, so that several of them, with a cache each, live in one process.
"""

from __future__ import annotations

import errno
import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import pytest

from runner.record.posix_store import PosixStore


class OnClient:
    """A store as one client of the mount uses it; every method of `core.seams.Store`."""

    def __init__(self, store: PosixStore, name: str) -> None:
        """Take a store, and the client's name."""
        self._store = store
        self._name = name

    def __getattr__(self, method: str) -> Any:
        call = getattr(self._store, method)

        async def there(*arguments: Any) -> Any:
            token = client.set(self._name)
            try:
                return await call(*arguments)
            finally:
                client.reset(token)

        return there


client: ContextVar[str] = ContextVar("client", default="a")
"""The machine that the calling code runs on."""


class NfsMount:
    """One export, mounted by any number of clients."""

    def __init__(self, root: Path, *, lose_every: int = 0) -> None:
        """Cover a folder.

        Args:
            root: everything below it behaves so.
            lose_every: of the calls that change names, every so-manyth is answered twice; 0: none.
        """
        self.root = str(root)
        self.resent = 0
        """Calls of which the reply was lost."""
        self.stale = 0
        """Answers given from a cache that was out of date."""
        self._lose_every = lose_every
        self._changes = 0
        self._missing: dict[tuple[str, str], set[str]] = {}
        """Names that a client takes for missing, by client and folder."""
        self._stats: dict[tuple[str, str], dict[str, os.stat_result]] = {}
        self._real = {
            name: getattr(os, name)
            for name in ("link", "rename", "replace", "unlink", "mkdir", "stat", "open", "scandir")
        }
        self._open_file = io.open

    @contextmanager
    def mounted(self) -> Iterator[NfsMount]:
        """Let this process's calls go through it."""
        with pytest.MonkeyPatch.context() as patch:
            for name in ("link", "rename", "replace"):
                patch.setattr(os, name, self._two(name))
            for name in ("unlink", "mkdir"):
                patch.setattr(os, name, self._one(name))
            patch.setattr(os, "stat", self._stat)
            patch.setattr(os, "open", self._open)
            patch.setattr(os, "scandir", self._scandir)
            patch.setattr(io, "open", self._read)
            yield self

    # Caches

    def _covers(self, path: Any) -> bool:
        return isinstance(path, str | os.PathLike) and os.fspath(path).startswith(self.root)

    def _forget(self, folder: str) -> None:
        key = client.get(), folder
        self._missing.pop(key, None)
        self._stats.pop(key, None)

    def _told_missing(self, path: Any) -> bool:
        folder, name = os.path.split(os.fspath(path))
        if name not in self._missing.get((client.get(), folder), ()):
            return False
        self.stale += os.path.lexists(path)
        return True

    def _note_missing(self, path: Any) -> None:
        folder, name = os.path.split(os.fspath(path))
        self._missing.setdefault((client.get(), folder), set()).add(name)

    # Calls

    def _two(self, name: str) -> Callable[..., None]:
        real = self._real[name]

        def call(source: Any, target: Any, **options: Any) -> None:
            if not self._covers(target):
                return real(source, target, **options)
            for path in (source, target):
                self._forget(os.path.split(os.fspath(path))[0])
            real(source, target, **options)
            if self._lost():
                real(source, target, **options)
            return None

        return call

    def _one(self, name: str) -> Callable[..., None]:
        real = self._real[name]

        def call(path: Any, *arguments: Any, **options: Any) -> None:
            if not self._covers(path):
                return real(path, *arguments, **options)
            self._forget(os.path.split(os.fspath(path))[0])
            real(path, *arguments, **options)
            if self._lost():
                real(path, *arguments, **options)
            return None

        return call

    def _lost(self) -> bool:
        self._changes += 1
        lost = self._lose_every > 0 and self._changes % self._lose_every == 0
        self.resent += lost
        return lost

    def _stat(self, path: Any, **options: Any) -> os.stat_result:
        if not self._covers(path):
            return self._real["stat"](path, **options)
        if self._told_missing(path):
            raise FileNotFoundError(errno.ENOENT, "cached as missing", os.fspath(path))
        folder, name = os.path.split(os.fspath(path))
        known = self._stats.setdefault((client.get(), folder), {})
        if name not in known:
            try:
                known[name] = self._real["stat"](path, **options)
            except FileNotFoundError:
                self._note_missing(path)
                raise
        elif not os.path.lexists(path):
            self.stale += 1
        return known[name]

    def _open(self, path: Any, flags: int, *arguments: Any, **options: Any) -> int:
        if self._covers(path):
            if flags & os.O_CREAT:
                self._forget(os.path.split(os.fspath(path))[0])
            elif self._told_missing(path):
                raise FileNotFoundError(errno.ENOENT, "cached as missing", os.fspath(path))
            if flags & os.O_DIRECTORY:
                self._forget(os.fspath(path))
        return self._real["open"](path, flags, *arguments, **options)

    def _scandir(self, path: Any = ".") -> Any:
        if self._covers(path):
            if self._told_missing(path):
                raise FileNotFoundError(errno.ENOENT, "cached as missing", os.fspath(path))
            self._forget(os.fspath(path))
        return self._real["scandir"](path)

    def _read(self, file: Any, mode: str = "r", *arguments: Any, **options: Any) -> Any:
        if self._covers(file) and "r" in mode:
            if self._told_missing(file):
                raise FileNotFoundError(errno.ENOENT, "cached as missing", os.fspath(file))
            try:
                return self._open_file(file, mode, *arguments, **options)
            except FileNotFoundError:
                self._note_missing(file)
                raise
        return self._open_file(file, mode, *arguments, **options)
