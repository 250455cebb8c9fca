"""Which attempts of a worker were sealed for it by coordinators, out of its journal or its words.

A worker that comes back seals such an attempt once more, a journal is read by each new coordinator:
what is known here is listed no second time.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from dataclasses import dataclass, field

from runner.core.seams import KeyMissingError, Store
from runner.record.layout import ATTEMPTS, part_key, seal_incarnation, seal_name
from runner.record.parts import attempt_ids
from runner.record.seals import list_seals

_SEALS_PER_CLAIM = 100_000
"""A recovery seal's number is the claim's times this, plus its own count."""


@dataclass(slots=True, kw_only=True)
class Recovered:
    """Recovery seals of all claims, as the present one knows them."""

    store: Store
    claim: int
    _inherited: frozenset[str] = frozenset()
    """Seals that lay unpublished when this claim began."""
    _ids: dict[str, set[str]] = field(default_factory=dict[str, set[str]])
    """Attempts by incarnation."""
    _unread: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    """Shards by incarnation, read when somebody asks for it."""
    _seals: int = 0

    async def load(self) -> None:
        """Learn what earlier coordinators recovered, published or not.

        Raises:
            StorageError: the store refused.
        """
        for key in await self.store.list(ATTEMPTS):
            seal = key.removeprefix(ATTEMPTS).removesuffix(".parquet")
            if seal.endswith(("r", "x")):
                self._unread.setdefault(seal_incarnation(seal), []).append(key)
        self._inherited = frozenset(await list_seals(self.store))
        for seal in self._inherited:
            if seal.endswith("r"):  # read before it is published and moves away
                await self._read(seal_incarnation(seal), part_key(seal, "attempts"))

    async def ids(self, incarnation: str) -> set[str]:
        """Return the attempts that a recovery seal or a rewritten part of this worker holds.

        Raises:
            StorageError: the store refused.
        """
        while unread := self._unread.get(incarnation):
            await self._read(incarnation, unread[-1])
            unread.pop()
        return self._ids.get(incarnation, set())

    async def _read(self, incarnation: str, key: str) -> None:
        with contextlib.suppress(KeyMissingError):  # a seal without attempts
            self.add(incarnation, attempt_ids(await self.store.get(key)))

    def add(self, incarnation: str, ids: Iterable[str]) -> None:
        """Add attempts that go into a recovery seal now."""
        self._ids.setdefault(incarnation, set()).update(ids)

    def next_seal(self, incarnation: str) -> str:
        """Return a new name; the claim's number makes it unique over coordinators, zombies too."""
        self._seals += 1
        return seal_name(incarnation, self.claim * _SEALS_PER_CLAIM + self._seals, "r")

    def is_stale(self, seal: str) -> bool:
        """Return whether a seal was written by recovery under an earlier claim after this one began.

        Its writer knew nothing of what was published since.
        """
        if not seal.endswith("r") or seal in self._inherited:
            return False
        return int(seal.partition(".")[2][:-1]) // _SEALS_PER_CLAIM != self.claim
