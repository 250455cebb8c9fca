"""A worker's last words: said again while a busy coordinator refuses, and not for ever."""

import asyncio

import pytest

from runner.core.clock import SystemClock
from runner.execute.terms import PeerUnreachableError, say_last


class Busy:
    def __init__(self, refusals):
        self.left, self.heard = refusals, []

    async def heartbeat(self, beat):
        if self.left:
            self.left -= 1
            raise PeerUnreachableError("the claim could not be checked in time")
        self.heard.append(beat)


class Quick(SystemClock):
    async def sleep(self, seconds):
        await asyncio.sleep(seconds / 100)


@pytest.mark.parametrize("refusals", [0, 1, 3])
def test_last_words_reach_a_coordinator_that_refuses_at_first(refusals):
    peer = Busy(refusals)
    assert asyncio.run(say_last(peer, "goodbye", Quick()))
    assert peer.heard == ["goodbye"]


def test_last_words_to_nobody_end(monkeypatch):
    monkeypatch.setattr("runner.execute.terms._LAST_WORDS_S", 0.05)
    assert not asyncio.run(say_last(Busy(10**9), "goodbye", Quick()))
