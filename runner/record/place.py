"""Where a sweep lies: a folder, or the URL of an object store; as the user typed it.

A `Place` of a URL is path-like: as a path it is a local copy of the published files, brought up to
date by `refresh`. Shards never change, so each is fetched once, whichever commands read it, and again
where size or time say that the object is another one; what a copy holds is read by DuckDB and Arrow as if the sweep lay on this disk. The engine itself never
reads the copy: it goes through `open_store`.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from runner.core.seams import KeyMissingError, Store
from runner.record.bounded import for_each
from runner.record.layout import (
    ATTEMPTS,
    COMPACTED,
    CONFIGURATION,
    EVENTS,
    FAILURES,
    JOURNAL,
    MANIFEST,
    PLAN,
    REVIEW,
    TRANSCRIPTS,
    VERDICTS,
)
from runner.record.posix_store import PosixStore

if TYPE_CHECKING:
    from runner.record.object_store import Listed, ObjectStore

COPIED = (MANIFEST, PLAN, TRANSCRIPTS, FAILURES, ATTEMPTS, COMPACTED, VERDICTS, REVIEW)
"""Folders that readers look into; the manifest first, so that no shard is missed that it names."""
_STATE = ("RUNNER_STATE", "XDG_STATE_HOME", "~/.local/state")
_CACHE = ("RUNNER_CACHE", "XDG_CACHE_HOME", "~/.cache")
"""Where a node keeps what is its own: our variable, XDG's, and the default of the latter."""
_NS_PER_MS = 1_000_000
_FETCHES = 16
"""Files fetched side by side."""


class Place(os.PathLike[str]):
    """A sweep directory by its path or URL.

    `str` gives what was typed, `os.fspath` a local folder: the directory, or the copy of a URL.
    """

    def __init__(self, text: str | Path) -> None:
        self._text = _without_end(str(text))

    def __str__(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return f"Place({self._text!r})"

    def __fspath__(self) -> str:
        return str(_folder("copies", self._text, _CACHE)) if self.is_remote else self._text

    def __truediv__(self, key: str) -> Path:
        return Path(self) / key

    @property
    def is_remote(self) -> bool:
        """Return whether this is an object store's URL."""
        return is_url(self._text)

    def absolute(self) -> str:
        """Return what other processes, started elsewhere on this host, call it."""
        return self._text if self.is_remote else str(Path(self._text).resolve())

    async def refresh(self, *, anew: bool = False) -> None:
        """Bring the local copy of a URL up to date; a folder needs nothing.

        Args:
            anew: fetch everything, also what the copy seems to have.

        Raises:
            StorageError: the store cannot be read, or this disk not be written to.
        """
        if self.is_remote:
            await _copy(self._text, Path(self), anew=anew)

    def refresh_now(self, *, anew: bool = False) -> None:
        """Do the same for callers without an event loop, or inside one that is not theirs.

        Raises:
            StorageError: as `refresh`.
        """
        if self.is_remote:
            with ThreadPoolExecutor(1) as thread:
                thread.submit(asyncio.run, self.refresh(anew=anew)).result()

    async def names(self) -> list[str]:
        """Return what lies at the top, folders without their slash.

        Raises:
            OSError: the folder cannot be read.
            StorageError: the store cannot be read.
        """
        if not self.is_remote:
            return sorted(os.listdir(self._text))  # noqa: PTH208  # names, not paths
        return await _objects(self._text).names()

    async def prove_fence(self) -> None:
        """Show that a store can hold the manifest; a folder shows it by the first link.

        Raises:
            StorageError: it ignores conditional puts, or cannot be written to.
        """
        if self.is_remote:
            await _objects(self._text).prove_conditional_puts()

    async def upload(self, folder: str) -> None:
        """Make a folder of a URL what its local copy holds; a plain folder needs nothing.

        Raises:
            StorageError: the store refuses.
        """
        if not self.is_remote:
            return
        here, there = PosixStore(Path(self)), open_store(self)
        keys = set(await here.list(folder))

        async def send(key: str) -> None:
            await there.put(key, await here.get(key))

        await for_each(keys, send, limit=_FETCHES)
        stale = [key for key in await there.list(folder) if key not in keys]
        await for_each(stale, there.delete, limit=_FETCHES)


def is_url(text: str) -> bool:
    """Return whether a place is an object store's URL."""
    return "://" in text


def _without_end(text: str) -> str:
    """Return a URL without the slash that shells and consoles put at its end."""
    bare = text.rstrip("/")
    return bare if is_url(bare) else text


def open_store(place: str | os.PathLike[str]) -> Store:
    """Return the store of a place.

    Raises:
        ConfigError: a URL that no object store has.
    """
    text = str(place)
    return _objects(text) if is_url(text) else PosixStore(Path(text))


def _objects(url: str) -> ObjectStore:
    from runner.record.object_store import ObjectStore  # noqa: PLC0415  # 5 MB of Rust, for URLs

    return ObjectStore(url)


def journal_folder(place: str) -> Path:
    """Return where this node's journals of a sweep lie: below a folder, else on its own disk.

    RUNNER_STATE names the folder for the latter (default: XDG's state folder). It should outlive
    the process, so no temporary folder that a restart clears.
    """
    return _folder(JOURNAL.rstrip("/"), place) if is_url(place) else Path(place) / JOURNAL


def event_folder(place: str) -> Path:
    """Return what the event log's key is relative to: the sweep, or this node's state folder."""
    return _folder(EVENTS.rstrip("/"), place) if is_url(place) else Path(place)


def _folder(use: str, url: str, root: tuple[str, str, str] = _STATE) -> Path:
    variable, base, home = root
    named = os.environ.get(variable)
    top = Path(named) if named else Path(os.environ.get(base) or home).expanduser() / "runner"
    clean = url.rstrip("/")
    digest = hashlib.sha256(clean.encode()).hexdigest()[:16]
    return top / use / f"{clean.rpartition('/')[2] or 'sweep'}-{digest}"


async def _copy(url: str, folder: Path, *, anew: bool) -> None:
    source, target = _objects(url), PosixStore(folder)

    async def fetch(key: str) -> bool:
        try:
            await target.put(key, await source.get(key))
        except KeyMissingError:
            return False  # moved away meanwhile; the manifest says where to
        return True

    async def copy(there: Listed) -> None:
        if await fetch(there.key):
            changed = there.changed_ms * _NS_PER_MS
            os.utime(folder / there.key, ns=(changed, changed))

    await fetch(CONFIGURATION)
    there: set[str] = set()
    for prefix in COPIED:
        found = await source.objects(prefix)
        there.update(o.key for o in found)
        wanted = [o for o in found if anew or _copied(folder / o.key) != (o.size, o.changed_ms)]
        await for_each(wanted, copy, limit=_FETCHES)
    for prefix in COPIED:
        for key in await target.list(prefix):
            if key not in there:
                await target.delete(key)


def _copied(path: Path) -> tuple[int, int] | None:
    """Return size and time of change of the object that a file is the copy of.

    By its size alone an object of the same name would be taken for one of a sweep that lay there before.
    """
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_size, found.st_mtime_ns // _NS_PER_MS
