"""The sum of what workers may have in flight never exceeds the model's one number."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from runner.limits.slots import SlotAuthority

LIMIT = 10
CALL_S = 50.0
"""No call lasts longer."""


@dataclass
class _Worker:
    obeys: int = 0
    flying: int = 0
    cut_off_at: float | None = None
    fenced: bool = False


class Cluster(RuleBasedStateMachine):
    """Workers that obey replies they get, lose some, fall silent, come back, or die."""

    def __init__(self) -> None:
        super().__init__()
        self.authority = SlotAuthority(LIMIT)
        self.workers: dict[str, _Worker] = {}
        self.now = 0.0

    names = st.sampled_from(["a", "b", "c"])

    @rule(name=names, demand=st.integers(0, 30), arrives=st.booleans())
    def heartbeat(self, name: str, demand: int, arrives: bool) -> None:
        worker = self.workers.setdefault(name, _Worker())
        self.authority.report(
            name, obeyed=worker.obeys, in_flight=worker.flying, demand=demand + worker.flying
        )
        worker.cut_off_at = None
        granted = self.authority.grant(name, self.now)
        assert 0 <= granted <= LIMIT
        if arrives:
            worker.obeys, worker.fenced = granted, False

    @rule(name=names, calls=st.integers(0, LIMIT))
    def call(self, name: str, calls: int) -> None:
        worker = self.workers.get(name)
        if worker is not None and not worker.fenced:
            worker.flying = max(worker.flying, min(calls, worker.obeys))

    @rule(name=names, ended=st.integers(0, LIMIT))
    def answer(self, name: str, ended: int) -> None:
        worker = self.workers.get(name)
        if worker is not None:
            worker.flying = max(0, worker.flying - ended)

    @rule(name=names)
    def fall_silent(self, name: str) -> None:
        """By the time the coordinator gives it up, the worker has fenced itself."""
        worker = self.workers.get(name)
        if worker is not None and worker.cut_off_at is None:
            worker.fenced, worker.cut_off_at = True, self.now
            self.authority.lost(name, self.now + CALL_S)

    @rule(name=names)
    def die(self, name: str) -> None:
        if self.workers.pop(name, None) is not None:
            self.authority.gone(name)

    @rule(seconds=st.floats(0.1, 30.0))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        for worker in self.workers.values():
            if worker.cut_off_at is not None and self.now - worker.cut_off_at >= CALL_S:
                worker.flying = 0  # its calls have ended, one way or the other
                worker.obeys = 0

    @invariant()
    def never_above_the_limit(self) -> None:
        assert sum(w.flying for w in self.workers.values()) <= LIMIT
        able = sum(w.flying if w.fenced else max(w.obeys, w.flying) for w in self.workers.values())
        assert able <= LIMIT


TestCluster = Cluster.TestCase


def test_places_when_one_worker_wants_less_go_to_the_other() -> None:
    authority = SlotAuthority(LIMIT)
    for name, demand in (("busy", 100), ("idle", 1)):
        authority.report(name, obeyed=0, in_flight=0, demand=demand)
    assert authority.grant("idle", 0.0) == 1
    assert authority.grant("busy", 0.0) == LIMIT - 1


def test_places_when_alone_are_all_of_them() -> None:
    authority = SlotAuthority(LIMIT)
    authority.report("only", obeyed=0, in_flight=0, demand=3)
    assert authority.grant("only", 0.0) == LIMIT


def test_places_when_others_may_not_have_reported_are_not_raised() -> None:
    authority = SlotAuthority(LIMIT)
    authority.report("only", obeyed=4, in_flight=2, demand=100)
    assert authority.grant("only", 0.0, most=4) == 4
