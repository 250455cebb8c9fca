"""Whom a worker calls gone: nobody before what he left can be read."""

from __future__ import annotations

import asyncio

from runner.core.errors import StorageError
from runner.core.seams import ProcessIdentity
from runner.execute.testimony import DeathsHere

DEAD, ALIVE, FOREIGN = (
    ProcessIdentity(host="h", boot_id="b", pid_namespace="p", pid=n, started="1") for n in (1, 2, 3)
)


class Table:
    def current(self) -> ProcessIdentity:
        return ALIVE

    def is_dead(self, other: ProcessIdentity) -> bool | None:
        return {DEAD: True, ALIVE: False}.get(other)


def test_on_a_shared_folder_the_dead_are_called_gone_at_once():
    assert DeathsHere(Table(), None).of((DEAD, ALIVE, FOREIGN)) == (DEAD,)


def test_beside_a_url_they_are_called_gone_once_their_journals_are_handed_in():
    async def main() -> None:
        tries: list[str] = []

        async def hand_in() -> None:
            tries.append("again" if tries else "first")
            if len(tries) == 1:
                raise StorageError("away")

        testimony = DeathsHere(Table(), hand_in)
        for _ in range(3):
            assert testimony.of((DEAD, ALIVE)) == () or len(tries) == 2
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        assert testimony.of((DEAD, ALIVE)) == (DEAD,)
        assert tries == ["first", "again"]

    asyncio.run(main())


def test_a_store_that_takes_nothing_does_not_keep_a_worker_from_beginning():
    async def main() -> None:
        async def hand_in() -> None:
            raise StorageError("away")

        await DeathsHere(Table(), hand_in).begin()

    asyncio.run(main())
