"""What every `Store` promises: the same suite on the real ones and on those of simulation."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from itertools import count

import pytest

from runner.core.seams import KeyExistsError, KeyMissingError, Store
from runner.record.object_store import ObjectStore
from runner.record.posix_store import PosixStore
from tests.dst.store import SimStore, StoreState
from tests.dst.world import SimProcess, World
from tests.support.memory_store import MemoryStore
from tests.support.nfs_shim import NfsMount, OnClient

Main = Callable[[Callable[[], Store]], Awaitable[None]]
"""A test's body; its argument opens the same store once more, as another process would."""


def _simulated(main: Main, *, copy_moves: bool) -> None:
    world = World(1)
    state = StoreState(world, copy_moves=copy_moves)
    try:
        world.loop.run_until_complete(
            main(lambda: SimStore(state, SimProcess(world.host("h0"), "p")))
        )
    finally:
        world.loop.dispose()


@pytest.fixture(
    params=[
        "posix",
        "nfs",
        "memory",
        "simulated",
        "simulated-copying",
        pytest.param("s3", marks=pytest.mark.s3),
    ]
)
def run(request, tmp_path):
    """Return a function that runs a test's body against one kind of store."""

    def in_kind(main: Main) -> None:
        match request.param:
            case "posix":
                asyncio.run(main(lambda: PosixStore(tmp_path / "sweep")))
            case "nfs":
                clients = (f"client-{n}" for n in count())
                with NfsMount(tmp_path / "sweep", lose_every=3).mounted():
                    opened = lambda: OnClient(PosixStore(tmp_path / "sweep"), next(clients))  # noqa: E731
                    asyncio.run(main(opened))
            case "memory":
                store = MemoryStore()
                asyncio.run(main(lambda: store))
            case "s3":
                url = request.getfixturevalue("s3_url")
                asyncio.run(main(lambda: ObjectStore(url)))
            case kind:
                _simulated(main, copy_moves=kind.endswith("copying"))

    return in_kind


def test_create_of_a_new_key_is_seen_whole_by_others(run):
    async def main(open_store):
        await open_store().create("manifest/00000001.json", b"one")
        assert await open_store().get("manifest/00000001.json") == b"one"

    run(main)


def test_create_of_an_existing_key_raises_and_changes_nothing(run):
    async def main(open_store):
        store = open_store()
        await store.create("k", b"first")
        with pytest.raises(KeyExistsError):
            await open_store().create("k", b"second")
        assert await store.get("k") == b"first"

    run(main)


def test_of_racing_creates_exactly_one_wins(run):
    async def main(open_store):
        async def one(number: int) -> int | None:
            try:
                await open_store().create("manifest/00000001.json", b"%d" % number)
            except KeyExistsError:
                return None
            return number

        for _ in range(5):
            winners = [w for w in await asyncio.gather(*map(one, range(8))) if w is not None]
            assert len(winners) == 1
            assert await open_store().get("manifest/00000001.json") == b"%d" % winners[0]
            await open_store().delete("manifest/00000001.json")

    run(main)


def test_put_replaces(run):
    async def main(open_store):
        store = open_store()
        await store.put("events/holder.json", b"1")
        await store.put("events/holder.json", b"")
        assert await open_store().get("events/holder.json") == b""

    run(main)


def test_get_of_nothing_raises_key_missing(run):
    async def main(open_store):
        for key in ("k", "parts/k", "parts/k/deeper"):
            with pytest.raises(KeyMissingError):
                await open_store().get(key)

    run(main)


def test_name_that_was_missing_is_seen_once_another_process_has_written_it(run):
    """A coordinator looks for its successor's claim every second: it must not miss it."""

    async def main(open_store):
        here, there = open_store(), open_store()
        for number in range(4):
            key = f"manifest/{number}"
            with pytest.raises(KeyMissingError):
                await here.get(key)
            assert key not in await here.list("manifest/")
            await there.create(key, b"claim")
            assert await here.get(key) == b"claim"
            assert key in await here.list("manifest/")

    run(main)


def test_list_returns_all_keys_below_a_folder_sorted(run):
    async def main(open_store):
        store = open_store()
        for key in ("parts/b", "parts/a", "parts/c/d", "partsx/e", "f"):
            await store.put(key, b"")
        assert await open_store().list("parts/") == ["parts/a", "parts/b", "parts/c/d"]
        assert await open_store().list("nothing/") == []
        assert len(await open_store().list("")) == 5

    run(main)


def test_move_consumes_the_source_and_is_idempotent(run):
    async def main(open_store):
        store = open_store()
        await store.put("parts/x", b"rows")
        assert await store.move("parts/x", "transcripts/x") is True
        assert await open_store().move("parts/x", "transcripts/x") is False
        assert await store.list("") == ["transcripts/x"]
        assert await store.get("transcripts/x") == b"rows"

    run(main)


def test_move_of_nothing_changes_nothing(run):
    async def main(open_store):
        assert await open_store().move("parts/x", "transcripts/x") is False
        assert await open_store().list("") == []

    run(main)


def test_move_when_an_earlier_one_stopped_half_way_ends_it(run):
    """A crash between the copy and the delete of an object store leaves both."""

    async def main(open_store):
        store = open_store()
        await store.put("parts/x", b"rows")
        await store.put("transcripts/x", b"rows")
        assert await store.move("parts/x", "transcripts/x") is True
        assert await open_store().list("") == ["transcripts/x"]

    run(main)


def test_of_racing_moves_the_target_holds_the_bytes_once(run):
    async def main(open_store):
        await open_store().put("parts/x", b"rows")
        moves = (open_store().move("parts/x", "transcripts/x") for _ in range(5))
        assert any(await asyncio.gather(*moves))
        assert await open_store().list("") == ["transcripts/x"]
        assert await open_store().get("transcripts/x") == b"rows"

    run(main)


def test_delete_of_nothing_is_no_error(run):
    async def main(open_store):
        store = open_store()
        await store.put("k", b"")
        await store.delete("k")
        await open_store().delete("k")
        await store.delete("folder/k")
        assert await store.list("") == []

    run(main)
