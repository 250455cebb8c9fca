"""The door by which judges reach a live sweep, on real sockets."""

from __future__ import annotations

import asyncio
import tempfile
from dataclasses import replace

import pytest

from runner.core.values import Amount
from runner.dispatch import door
from runner.dispatch.door import Door, GuestPeer, knock, socket_of
from runner.execute.messages import Heartbeat, HeartbeatReply, ModelTally
from runner.execute.terms import PeerUnreachableError
from runner.limits.authority import GRACE_S, LEAD_S
from runner.limits.quota import Cost, PermitBlock
from tests.support.beats import BEAT
from tests.unit.dispatch.test_guests import configured, named, quota_plan

BLOCK = PermitBlock(
    id=1, model="m", count=5, first_in_s=0.0, interval_s=0.1, grace_s=0.5, expires_in_s=3.0,
    reserved=Cost(input_tokens=1.0, output_tokens=1.0),
)  # fmt: skip


def beat(seq: int) -> Heartbeat:
    return replace(
        BEAT, seq=seq, incarnation="w0-1", sealed=("s",), wants={"j": 9}, queued={"j": 3}, slots={"j": 2},
        tallies={"j": ModelTally(in_flight=1)},
    )  # fmt: skip


class Own:
    """The judge's own coordinator: grants places, and would grant permits."""

    allowance: Amount | None = None

    async def heartbeat(self, given: Heartbeat) -> HeartbeatReply:
        assert given.quota == {}
        return HeartbeatReply(
            seq=given.seq, claim=7, lease_ttl_s=9.0, slots={"j": 100}, allowance=self.allowance
        )


class There:
    """The judged sweep."""

    def __init__(self) -> None:
        self.heard: list[Heartbeat] = []
        self.claim = 1
        self.refuses = ""
        self.allowance: Amount | None = None

    async def answer(self, said) -> HeartbeatReply:
        if self.refuses:
            raise PeerUnreachableError(self.refuses)
        self.heard.append(said.beat)
        return HeartbeatReply(
            seq=said.beat.seq, claim=self.claim, lease_ttl_s=15.0, slots={"m": 4}, permits=(BLOCK,),
            allowance=self.allowance, outages=frozenset({"m", "x"}), quota_notes={"m": "{}"},
        )  # fmt: skip


@pytest.fixture
def place(monkeypatch):
    # A socket's path has at most 107 characters; pytest's own folders are longer under xdist.
    with tempfile.TemporaryDirectory(prefix="door-") as folder:
        monkeypatch.setattr("tempfile.tempdir", folder)
        yield "/somewhere/out"


def peer(place: str) -> GuestPeer:
    model = named("m")
    return GuestPeer(
        own=Own(), place=place, model="j", known_as="m", plan=quota_plan(configured(model)),
        models={"m": model},
    )  # fmt: skip


def test_guest_has_jobs_from_its_own_coordinator_and_permits_from_the_sweep(place):
    async def told():
        there = There()
        entrance, guest = Door(place, there.answer), peer(place)
        assert not await knock(place)
        await entrance.open()
        assert await knock(place)
        reply = await guest.heartbeat(beat(1))
        assert (reply.claim, reply.lease_ttl_s, reply.slots) == (7, 9.0, {"j": 4})
        assert reply.permits == (replace(BLOCK, model="j"),)
        assert (reply.outages, reply.quota_notes) == ({"j"}, {"j": "{}"})
        (heard,) = there.heard
        assert (heard.queued, heard.slots, heard.wants, heard.sealed) == (
            {"m": 3},
            {"m": 2},
            {},
            (),
        )
        assert heard.tallies["m"].in_flight == 1
        assert heard.incarnation == "judge.w0-1"
        await guest.close()
        await entrance.close()
        assert not socket_of(place).exists()

    asyncio.run(told())


def test_guest_spends_what_both_budgets_allow(place):
    async def told():
        there = There()
        entrance, guest = Door(place, there.answer), peer(place)
        await entrance.open()
        for its, own, both in ((50, 70, 50), (90, 70, 70), (60, 70, 60)):
            there.allowance, guest.own.allowance = Amount(1.0, its), Amount(1.0, own)
            assert (await guest.heartbeat(beat(1))).allowance == Amount(1.0, both)
        await entrance.close()
        assert (await guest.heartbeat(beat(2))).allowance == Amount(1.0, 60)
        await guest.close()

    asyncio.run(told())


def test_guest_drops_its_permits_when_the_coordinator_is_another_or_does_not_answer(place):
    nothing = {"j": LEAD_S + GRACE_S}

    async def told():
        there = There()
        entrance, guest = Door(place, there.answer), peer(place)
        await entrance.open()
        await guest.heartbeat(beat(1))
        there.claim = 2
        reply = await guest.heartbeat(beat(2))
        assert (reply.permits, reply.holds, reply.slots) == ((), nothing, {"j": 0})
        assert len((await guest.heartbeat(beat(3))).permits) == 1
        there.refuses = "not now"
        assert (await guest.heartbeat(beat(4))).holds == nothing
        there.refuses = ""
        assert len((await guest.heartbeat(beat(5))).permits) == 1
        assert not guest.left
        await entrance.close()
        for seq in (6, 7, 8):
            assert (await guest.heartbeat(beat(seq))).holds == nothing
        assert guest.left
        await guest.close()

    asyncio.run(told())


def test_last_words_of_a_guest_reach_its_own_coordinator_while_the_sweep_is_busy(place):
    """The worker gives up waiting before the judged sweep answers; it will not say them again."""

    async def told():
        over, asked, heard = asyncio.Event(), asyncio.Event(), []

        async def busy(_said):
            asked.set()
            await over.wait()
            raise PeerUnreachableError("too late")

        class Listens(Own):
            async def heartbeat(self, given):
                heard.append(given.done)
                return await super().heartbeat(given)

        entrance, guest = Door(place, busy), peer(place)
        guest.own = Listens()
        await entrance.open()
        leaving = asyncio.ensure_future(guest.heartbeat(replace(beat(1), done=True)))
        await asked.wait()
        leaving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaving
        assert heard == [True]
        over.set()
        await guest.close()
        await entrance.close()

    asyncio.run(told())


def test_programs_of_two_versions_do_not_speak(place, monkeypatch):
    async def told():
        there = There()
        entrance, guest = Door(place, there.answer), peer(place)
        await entrance.open()
        versions = iter(("2.0", "1.0", "1.0"))
        monkeypatch.setattr(door, "_version", lambda: next(versions))
        assert (await guest.heartbeat(beat(1))).permits == ()
        assert there.heard == []
        await guest.close()
        await entrance.close()

    asyncio.run(told())


def test_door_of_a_driver_that_was_killed_is_taken_over_and_not_closed_by_it(place):
    async def told():
        killed, successor = Door(place, There().answer), Door(place, There().answer)
        await killed.open()
        await successor.open()
        await killed.close()
        assert await knock(place)
        assert socket_of(place).stat().st_mode & 0o077 == 0
        await successor.close()

    asyncio.run(told())
