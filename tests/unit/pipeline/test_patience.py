"""The start of a session while its output store is away."""

import asyncio

import pytest

from runner.core.errors import StorageError, StoreAwayError
from runner.dispatch.terms import STORE_PATIENCE_S
from runner.pipeline.patience import when_there
from tests.support.manual_clock import ManualClock


class Store:
    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.asked = 0

    async def look(self) -> str:
        self.asked += 1
        if self.errors:
            raise self.errors.pop(0)
        return "there"


def wait_for(store: Store) -> tuple[str, float, list[str]]:
    clock, said = ManualClock(), []
    began = clock.monotonic()
    done = asyncio.run(when_there(store.look, clock=clock, say=said.append))
    return done, clock.monotonic() - began, said


def test_what_comes_back_is_used_and_the_wait_is_told_once():
    done, waited, said = wait_for(Store(*[StoreAwayError("s3://b/x: no answer")] * 3))
    assert (done, waited) == ("there", 15)
    assert said == [
        "s3://b/x: no answer. Waiting for it, at most 15 minutes (Ctrl-C ends that)",
        "the output is there again",
    ]


def test_a_store_that_is_there_is_not_talked_about():
    assert wait_for(Store()) == ("there", 0, [])


def test_a_store_that_refuses_ends_it_at_once():
    store = Store(StorageError("refused"))
    with pytest.raises(StorageError, match="refused"):
        wait_for(store)
    assert store.asked == 1


def test_a_store_that_stays_away_ends_it_after_the_patience_of_a_running_sweep():
    clock = ManualClock()
    began = clock.monotonic()

    async def away() -> None:
        raise StoreAwayError("gone")

    with pytest.raises(StoreAwayError, match="gone"):
        asyncio.run(when_there(away, clock=clock, say=lambda _: None))
    assert STORE_PATIENCE_S <= clock.monotonic() - began < STORE_PATIENCE_S + 10
