"""A sweep directory as readers see it: its files, its manifest entries, its published shards.

Read-only and synchronous, for reading, following, compacting and verifying, live or dead. The
engine itself goes through `Store`; nothing here decides about a sweep.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from runner.core.errors import SweepStateError
from runner.record.entries import Written, read_entry
from runner.record.fields import Fields
from runner.record.layout import MANIFEST, entry_key, entry_number, snapshot_number
from runner.record.place import Place


class SweepFolder:
    """A sweep directory on a file system, or the local copy of one on an object store.

    Raises:
        SweepStateError: there is no such directory, or no sweep in it.
    """

    def __init__(self, directory: str | Path, *, anew: bool = False) -> None:
        """Open it.

        Args:
            directory: a folder, or the URL of one on an object store.
            anew: of a URL, read everything there again, whatever the local copy has.
        """
        self._place = Place(directory)
        self._place.refresh_now(anew=anew)
        self.root = Path(self._place)
        if not self.root.is_dir():
            what = "no sweep" if self._place.is_remote else "no such directory"
            msg = f"{self}: {what}. Name the directory of a sweep."
            raise SweepStateError(msg)

    def __str__(self) -> str:
        return str(self._place)

    def refresh(self) -> None:
        """Look again: of a URL, what is new is fetched.

        Raises:
            StorageError: the store cannot be read.
        """
        self._place.refresh_now()

    def path(self, key: str) -> Path:
        """Return where a key lies."""
        return self.root / key

    def keys(self, folder: str) -> list[str]:
        """Return the keys of all files below a folder such as `parts/`, sorted."""
        base = self.root / folder
        found = (p for p in base.rglob("*") if not p.is_dir())
        return sorted(p.relative_to(self.root).as_posix() for p in found)

    def entries(self, after: int = 0) -> Iterator[Written]:
        """Yield the manifest's entries that follow a number, as far as there are any now.

        Raises:
            RecordError: an entry is damaged or of a newer version.
        """
        number = after + 1
        while True:
            key = entry_key(number)
            try:
                data = self.path(key).read_bytes()
            except FileNotFoundError:
                return
            yield read_entry(data, number, str(self.path(key)))
            number += 1

    def last_snapshot(self) -> int:
        """Return the number of the newest snapshot, 0 where there is none.

        All moves of the entries up to it have been carried out.
        """
        numbers = (snapshot_number(key) for key in self.keys(MANIFEST))
        return max((n for n in numbers if n is not None), default=0)

    def has_manifest(self) -> bool:
        """Return whether there is any manifest entry."""
        return any(entry_number(key) for key in self.keys(MANIFEST))


@dataclass(slots=True)
class Published:
    """The shards that the manifest names now, in order of publication."""

    head: int = 0
    shards: dict[str, Fields] = field(default_factory=dict[str, Fields])
    """By key; the fields are those of `entries.read_shard`."""

    def of(self, kind: str) -> list[str]:
        """Return the keys of one table's shards."""
        return [key for key in self.shards if key.startswith(f"{kind}/")]


def published(folder: SweepFolder) -> Published:
    """Read the manifest from its beginning.

    Raises:
        RecordError: an entry is damaged or of a newer version.
    """
    found = Published()
    for written in folder.entries():
        for removed in removed_by(written):
            found.shards.pop(removed, None)
        for shard in shards_of(written):
            found.shards[shard.text("name")] = shard
        found.head = written.number
    return found


def removed_by(written: Written) -> list[str]:
    """Return the keys of the shards that an entry takes out of the record."""
    if written.kind != "supersede":
        return []
    return [shard.text("name") for shard in written.fields.inners("removed")]


def shards_of(written: Written) -> list[Fields]:
    """Return the shards that an entry adds, in order: transcripts, failures, attempts."""
    if written.kind not in ("publish", "supersede"):
        return []
    kinds = ("transcripts", "failures", "attempts")
    lists = [kind for kind in kinds if written.fields.has(kind)]
    return [shard for kind in lists for shard in written.fields.inners(kind)]
