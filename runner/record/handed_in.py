"""Journals that were handed in: what dead processes left on the disks of nodes, copied to the store.

Where the output is a URL, journals lie on the disks of nodes, and a coordinator reads that of its own
node alone. So each worker hands in, at its start and when it is asked about a death, the journals of
processes of its node that have provably ended:

    journal/<incarnation>.journal    all its segments in one object, created once, then deleted on the node

One object, because a part of a journal may lack the seal frames that cover what the rest holds. Crash
points: before the object is there, the node still has the files and the next worker there hands them in;
after it, the files are deleted again. An object that a slow hand creates once more, after its journal
was recovered and deleted, is whole, so that all it holds is known to be published.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field

import orjson

from runner.core.errors import RecordError
from runner.core.seams import Disk, DiskFile, KeyExistsError, KeyMissingError, Processes, Store
from runner.record.fields import Fields
from runner.record.frames import Header, scan
from runner.record.layout import JOURNAL, handed_in_key, handed_in_of, segment_of
from runner.record.recovery import delete_journal, incarnations, segments

_FIRST_FRAME = 4096
"""Bytes in which a header lies."""


async def hand_in(disk: Disk, store: Store, processes: Processes) -> None:
    """Move the journals of processes of this node that are gone to the store.

    Raises:
        OSError: this node's disk refuses.
        StorageError: the store refuses; nothing is lost, call again.
    """
    for incarnation in await incarnations(disk):
        content = [(name, await disk.read(name)) for name in await segments(disk, incarnation)]
        if not all(data for _, data in content):
            continue  # somebody else is at it, or a writer that is just beginning
        headers = [f for _, d in content for f in scan(d[:_FIRST_FRAME]).frames[:1]]
        if not headers or not isinstance(headers[0], Header):
            continue  # of nobody knows whom
        if processes.is_dead(headers[0].process) is not True:
            continue
        with contextlib.suppress(KeyExistsError):
            boot_id = processes.current().boot_id
            await store.create(handed_in_key(incarnation), encode_segments(content, boot_id))
        await delete_journal(disk, incarnation)


def encode_segments(content: list[tuple[str, bytes]], boot_id: str) -> bytes:
    """Return segments (name, bytes) as one object: a line of names and sizes, then all bytes.

    Args:
        content: in their order.
        boot_id: of the host when they were read: after another one, what was not synced is lost.
    """
    segments_ = [{"name": name, "bytes": len(data)} for name, data in content]
    index = orjson.dumps({"boot_id": boot_id, "segments": segments_})
    return b"".join((index, b"\n", *(data for _, data in content)))


def decode_segments(data: bytes, where: str) -> tuple[dict[str, bytes], str]:
    """Read what `encode_segments` wrote: bytes by name, and the boot.

    Raises:
        RecordError: no journal that was handed in.
    """
    head, _, rest = data.partition(b"\n")
    found: dict[str, bytes] = {}
    fields = Fields.parse(head, where)
    for segment in fields.inners("segments"):
        size = segment.integer("bytes")
        found[segment.text("name")], rest = rest[:size], rest[size:]
        if len(found[segment.text("name")]) != size:
            msg = f"{where}: cut off"
            raise RecordError(msg)
    return found, fields.text("boot_id")


@dataclass(slots=True)
class JoinedDisk:
    """`core.seams.Disk` of a coordinator: this node's journals, and those that were handed in.

    Raises, beyond what a disk does: StorageError where the store refuses.
    """

    here: Disk
    store: Store
    _held: dict[str, dict[str, bytes]] = field(default_factory=dict[str, dict[str, bytes]])
    """Segments of each incarnation that was handed in; until they are deleted, they stay here."""
    _boots: dict[str, str] = field(default_factory=dict[str, str])
    """The boot of its host when it was handed in."""

    @property
    def handed_in(self) -> frozenset[str]:
        """Return the incarnations that were handed in, as of the last `list`: they are gone."""
        return frozenset(self._held)

    def read_after(self, incarnation: str) -> str | None:
        """Return the boot of the host at which a journal was read to be handed in; None: it was not."""
        return self._boots.get(incarnation)

    def create(self, name: str) -> DiskFile:
        """Create a file on this node."""
        return self.here.create(name)

    async def list(self) -> list[str]:
        """Return the names of all segments, sorted.

        This node is looked at first: what is not there any more has been handed in by then.
        """
        names = set(await self.here.list())
        there = {i: key for key in await self.store.list(JOURNAL) if (i := handed_in_of(key))}
        for incarnation in self._held.keys() - there.keys():
            del self._held[incarnation]
        for incarnation, key in there.items():
            if incarnation not in self._held:
                with contextlib.suppress(KeyMissingError):  # a later coordinator was faster
                    data = await self.store.get(key)
                    held, self._boots[incarnation] = decode_segments(data, key)
                    self._held[incarnation] = held
        return sorted(names.union(*self._held.values()))

    async def read(self, name: str) -> bytes:
        """Read a segment; b'' where there is none.

        What was handed in comes first: it is whole, while a file here may be about to go.
        """
        if (held := self._find(name)) is not None:
            return held
        if data := await self.here.read(name):
            return data
        await self.list()  # it may have been handed in since the names were looked up
        return self._find(name) or b""

    def _find(self, name: str) -> bytes | None:
        return next((held[name] for held in self._held.values() if name in held), None)

    async def delete(self, name: str) -> None:
        """Remove a segment everywhere; the object goes with the last of its segments."""
        await self.here.delete(name)
        found = segment_of(name)
        held = self._held.get(found[0]) if found else None
        if found is None or held is None:
            return
        if held.keys() == {name}:
            await self.store.delete(handed_in_key(found[0]))
            del self._held[found[0]]
        else:
            held.pop(name, None)
