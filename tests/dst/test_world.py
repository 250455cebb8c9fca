"""The simulated world itself: processes die and stop, disks forget, stores and networks misbehave."""

from __future__ import annotations

import asyncio

import pytest

from runner.core.errors import StorageError
from runner.core.seams import KeyExistsError, KeyMissingError
from runner.core.values import Answer, Conversation, Failure, FailureKind, Job
from tests.dst.api import ApiFault, ApiHabits, SimApi, SimProvider
from tests.dst.disk import DiskState, SimDisk
from tests.dst.network import PeerLostError, SimNetwork
from tests.dst.store import SimStore, StoreState
from tests.dst.world import Killed, SimClock, SimProcess, SimProcesses, World

pytestmark = pytest.mark.dst


def run(main, seed: int = 1):
    world = World(seed)
    try:
        return world.loop.run_until_complete(main(world))
    finally:
        world.loop.dispose()


def process(world: World, host: str = "h0", name: str = "p") -> SimProcess:
    return SimProcess(world.host(host), name)


async def attempt(awaitable):
    try:
        return await awaitable
    except (StorageError, KeyExistsError, KeyMissingError, OSError) as error:
        return error


def test_handles_of_a_killed_process_raise_and_change_nothing():
    async def main(world):
        p, state = process(world), StoreState(world)
        store, disk = SimStore(state, p), SimDisk(DiskState([p.host], "d"), p)
        file = disk.create("a.wal")
        p.kill()
        with pytest.raises(Killed):
            await store.put("k", b"v")
        with pytest.raises(Killed):
            file.write(b"v")
        with pytest.raises(Killed):
            SimClock(p).monotonic()
        assert state.objects == {}
        assert p.host.disk.files["a.wal"].data == b""

    run(main)


def test_exactly_one_of_two_racing_creates_wins():
    async def main(world):
        state, results = StoreState(world), []

        async def racer(p):
            results.append(await attempt(SimStore(state, p).create("n", p.name.encode())))

        for i in range(5):
            p = process(world, name=f"p{i}")
            p.start(racer(p))
        await asyncio.sleep(10)
        assert sum(r is None for r in results) == 1
        assert sum(isinstance(r, KeyExistsError) for r in results) == 4

    run(main)


@pytest.mark.parametrize(
    ("faults", "effect_soon", "effect_later"),
    [
        ({"error_before": 1.0}, False, False),
        ({"error_after": 1.0}, True, True),
        ({"error_late": 1.0}, False, True),
        ({"full": True}, False, False),
    ],
)
def test_a_failing_write_may_have_had_its_effect_or_have_it_later(
    faults, effect_soon, effect_later
):
    async def main(world):
        state, p = StoreState(world), process(world)
        for name, value in faults.items():
            setattr(state.faults, name, value)
        assert isinstance(await attempt(SimStore(state, p).create("k", b"v")), StorageError)
        soon = "k" in state.objects
        await asyncio.sleep(30)
        return soon, "k" in state.objects

    assert run(main) == (effect_soon, effect_later)


@pytest.mark.parametrize("copies", [False, True])
def test_move_consumes_its_source_once(copies):
    async def main(world):
        state, p = StoreState(world, copy_moves=copies), process(world)
        store = SimStore(state, p)
        await store.create("parts/a", b"v")
        assert await store.move("parts/a", "transcripts/a")
        assert not await store.move("parts/a", "transcripts/a")
        assert await store.list("parts/") == []
        assert await store.get("transcripts/a") == b"v"
        with pytest.raises(KeyMissingError):
            await store.get("parts/a")

    run(main)


def test_a_copying_move_cut_short_leaves_both_names():
    async def main(world):
        seen = set()
        for i in range(60):
            state, p = StoreState(world, copy_moves=True), process(world, name=f"p{i}")
            state.objects["parts/a"] = b"v"
            p.start(SimStore(state, p).move("parts/a", "transcripts/a"))
            world.loop.in_world(world.rng.uniform(0, 0.02), p.kill)
            await asyncio.sleep(5)
            seen.add(tuple(sorted(state.objects)))
        return seen

    assert run(main) >= {
        ("parts/a",),
        ("parts/a", "transcripts/a"),
        ("transcripts/a",),
    }


def test_a_stopped_process_gets_its_answer_when_it_continues():
    async def main(world):
        p, seen = process(world), []

        async def work():
            await SimStore(StoreState(world), p).put("k", b"v")
            seen.append(world.now)

        p.start(work())
        await asyncio.sleep(0.0001)
        p.stop()
        await asyncio.sleep(50)
        assert seen == []
        p.cont()
        await asyncio.sleep(5)
        return seen

    assert run(main)[0] >= 50


def test_an_unreachable_store_fails_for_that_host_only():
    async def main(world):
        state = StoreState(world)
        near, far = process(world, "h0"), process(world, "h1")
        far.host.store_reachable = False
        assert await attempt(SimStore(state, near).put("a", b"")) is None
        assert isinstance(await attempt(SimStore(state, far).put("b", b"")), StorageError)

    run(main)


def test_disk_keeps_all_after_a_kill_and_only_the_synced_after_a_crash():
    async def main(world):
        lengths = set()
        for i in range(40):
            host = world.host(f"h{i}")
            p = SimProcess(host, f"p{i}")
            state = DiskState([host], "d")
            file = SimDisk(state, p).create("a.wal")
            file.write(b"x" * 10)
            await file.sync()
            file.write(b"y" * 10)
            p.kill()
            assert bytes(state.files["a.wal"].data) == b"x" * 10 + b"y" * 10
            host.crash()
            data = bytes(state.files["a.wal"].data)
            assert data.startswith(b"x" * 10)
            lengths.add(data.count(b"y"))
        return lengths

    assert len(run(main)) > 3


def test_shared_disk_loses_only_what_the_crashed_host_had_not_synced():
    async def main(world):
        hosts = [world.host("h0"), world.host("h1")]
        state = DiskState(hosts, "shared")
        for host in hosts:
            file = SimDisk(state, SimProcess(host, host.name)).create(f"{host.name}.wal")
            file.write(b"x" * 1000)
            await file.sync()
            file.write(b"y" * 1000)
        hosts[1].crash(lost=True)
        assert len(state.files["h0.wal"].data) == 2000
        return len(state.files["h1.wal"].data)

    assert 1000 <= run(main) < 2000


def test_disk_after_a_failed_sync_promises_nothing():
    async def main(world):
        lost = 0
        for i in range(30):
            p = process(world, f"h{i}")
            state = DiskState([p.host], "d")
            file = SimDisk(state, p).create("a.wal")
            file.write(b"x")
            state.faults.sync_error = 1.0
            assert isinstance(await attempt(file.sync()), OSError)
            state.faults.sync_error = 0.0
            await file.sync()
            p.host.crash()
            lost += b"x" not in state.files.get("a.wal", file._file).data
        return lost

    assert run(main) > 0


def test_full_disk_refuses_and_may_keep_part_of_a_write():
    async def main(world):
        p = process(world)
        state = DiskState([p.host], "d")
        disk = SimDisk(state, p)
        file = disk.create("a.wal")
        state.faults.full = True
        for _ in range(20):
            with pytest.raises(OSError, match="no space"):
                file.write(b"x" * 100)
        with pytest.raises(OSError, match="no space"):
            disk.create("b.wal")
        assert 0 < len(state.files["a.wal"].data) < 2000
        state.faults.full = False
        file.write(b"x")

    run(main)


def test_processes_are_dead_for_their_own_host_and_unknown_elsewhere():
    async def main(world):
        a, b, c = process(world, "h0", "a"), process(world, "h0", "b"), process(world, "h1", "c")
        assert SimProcesses(a).is_dead(b.identity) is False
        b.kill()
        assert SimProcesses(a).is_dead(b.identity) is True
        assert SimProcesses(c).is_dead(b.identity) is None
        a.host.crash()
        a.host.boot()
        again = process(world, "h0", "again")
        assert SimProcesses(again).is_dead(a.identity) is True

    run(main)


async def echo_service(world, network, *, host="h0"):
    seen = []
    server = process(world, host, "server")

    async def handler(message):
        seen.append(message)
        return ("echo", message)

    network.serve("server", server, handler)
    return server, seen


def test_network_loses_doubles_and_delays():
    async def main(world):
        network = SimNetwork(world)
        _server, seen = await echo_service(world, network)
        client = process(world, "h1", "client")

        async def call(message):
            try:
                return await asyncio.wait_for(network.call(client, "server", message), 10)
            except TimeoutError:
                return "timeout"

        assert await call(1) == ("echo", 1)
        network.faults.lose_request = 1.0
        assert (await call(2), seen) == ("timeout", [1])
        network.faults.lose_request, network.faults.lose_reply = 0.0, 1.0
        assert (await call(3), seen) == ("timeout", [1, 3])
        network.faults.lose_reply, network.faults.double = 0.0, 1.0
        assert await call(4) == ("echo", 4)
        await asyncio.sleep(40)
        assert seen == [1, 3, 4, 4]
        network.faults.double, network.faults.late = 0.0, 1.0
        results = [await call(n) for n in range(5, 15)]
        assert "timeout" in results
        await asyncio.sleep(100)
        assert sorted(seen) == [1, 3, 4, 4, *range(5, 15)]

    run(main)


@pytest.mark.parametrize(
    ("cut", "heard"), [(("h1", "h0"), 0), (("h0", "h1"), 1)], ids=["request", "reply"]
)
def test_network_cut_in_one_direction(cut, heard):
    async def main(world):
        network = SimNetwork(world)
        _server, seen = await echo_service(world, network)
        network.faults.cut.add(cut)
        client = process(world, "h1", "client")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(network.call(client, "server", 1), 5)
        return len(seen)

    assert run(main) == heard


def test_network_tells_of_a_dead_process_but_not_of_a_dead_host():
    async def main(world):
        network = SimNetwork(world)
        server, _ = await echo_service(world, network)
        client = process(world, "h1", "client")
        server.kill()
        with pytest.raises(PeerLostError):
            await asyncio.wait_for(network.call(client, "server", 1), 5)
        server.host.crash()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(network.call(client, "server", 1), 5)

    run(main)


def api_of(world, **habits) -> SimApi:
    return SimApi(
        world=world,
        seed=1,
        habits=ApiHabits(bad_request=0, **habits),
        resolve=lambda model, condition, seed: Job(0, seed),
        timeout_s=30.0,
    )


def request(provider, seed: int = 3):
    messages = [{"role": "user", "content": f"[job x seed {seed}] go"}]
    return provider.prepare(Conversation(system=None, messages=messages), seed)


def test_api_counts_calls_in_flight_until_answer_kill_or_timeout():
    async def main(world):
        api = api_of(world)
        p, q = process(world, "h0", "p"), process(world, "h0", "q")

        async def work(owner, seen):
            provider = SimProvider(api, owner, "m")
            seen.append(await provider.send(request(provider)))

        answers = []
        p.start(work(p, answers))
        q.start(work(q, answers))
        await asyncio.sleep(0.01)
        assert api.in_flight["m"] == 2
        q.kill()
        assert api.in_flight["m"] == 1
        await asyncio.sleep(60)
        assert api.in_flight["m"] == 0
        (answer,) = answers
        assert isinstance(answer, Answer)
        assert b"call-000000" in answer.body
        assert [c.paid for c in api.calls] == [True, False]
        assert api.calls[0].delivered is not None

    run(main)


@pytest.mark.parametrize("after", [False, True])
def test_api_faults_fail_before_or_after_the_work_is_paid(after):
    async def main(world):
        api = api_of(world)
        api.faults.append(
            ApiFault(
                kind=FailureKind.CONNECTION, model=None, until=99, probability=1, after_answer=after
            )
        )
        provider = SimProvider(api, process(world), "m")
        answer = await provider.send(request(provider))
        assert isinstance(answer, Failure)
        return api.calls[0].paid

    assert run(main) is after


def test_one_seed_gives_one_trace():
    async def main(world):
        state = StoreState(world)
        state.faults.error_after = 0.2

        async def work(p):
            for i in range(20):
                await attempt(SimStore(state, p).put(f"{p.name}-{i}", b""))

        for i in range(3):
            p = process(world, f"h{i}", f"p{i}")
            p.start(work(p))
        await asyncio.sleep(100)
        return world.trace_hash

    assert run(main, 5) == run(main, 5) != run(main, 6)
