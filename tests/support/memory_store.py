"""A store in memory whose next calls fail before or after their effect, as told."""

from __future__ import annotations

import asyncio

from runner.core.errors import StorageError
from runner.core.seams import KeyExistsError, KeyMissingError


class MemoryStore:
    """Implements `runner.core.seams.Store`.

    Attributes:
        before: so many of the next writes fail without an effect.
        after: so many of the next writes fail after their effect.
        writes: keys created, put, moved to or deleted, in order.
    """

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.before = 0
        self.after = 0
        self.writes: list[str] = []

    async def create(self, key: str, data: bytes) -> None:
        async with self._faults(key):
            if key in self.objects:
                raise KeyExistsError(key)
            self.objects[key] = data

    async def put(self, key: str, data: bytes) -> None:
        async with self._faults(key):
            self.objects[key] = data

    async def get(self, key: str) -> bytes:
        await asyncio.sleep(0)
        if key not in self.objects:
            raise KeyMissingError(key)
        return self.objects[key]

    async def list(self, prefix: str) -> list[str]:
        await asyncio.sleep(0)
        return sorted(key for key in self.objects if key.startswith(prefix))

    async def move(self, source: str, target: str) -> bool:
        async with self._faults(target):
            if source not in self.objects:
                return False
            self.objects[target] = self.objects.pop(source)
            return True

    async def delete(self, key: str) -> None:
        async with self._faults(key):
            self.objects.pop(key, None)

    def _faults(self, key: str) -> _Faults:
        return _Faults(self, key)


class _Faults:
    def __init__(self, store: MemoryStore, key: str) -> None:
        self.store = store
        self.key = key

    async def __aenter__(self) -> None:
        await asyncio.sleep(0)
        if self.store.before:
            self.store.before -= 1
            raise StorageError(f"{self.key}: refused")

    async def __aexit__(self, kind: object, error: object, trace: object) -> None:
        if kind is None:
            self.store.writes.append(self.key)
            if self.store.after:
                self.store.after -= 1
                raise StorageError(f"{self.key}: no answer")
