"""Any order of heartbeats, lost replies, kills and restarts: no more is spent than the budget."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from runner.core.values import NOTHING, Amount
from runner.limits.ledger import Ledger
from runner.limits.spending import Allowance, SpendWord
from runner.limits.treasury import Treasury

CAP = Amount(1.0, 1000.0)
CALL = Amount(0.1, 70.0)
"""What each call sets aside; it costs that or less."""


@dataclass
class Worker:
    name: str
    allowance: Allowance = field(default_factory=lambda: Allowance(limited=True))
    finished: Amount = NOTHING
    """Durable in its journal and not published."""
    dead: bool = False
    untold: Amount = NOTHING
    """By how much what is not published cost more than was set aside for it."""

    def word(self) -> SpendWord:
        return SpendWord(
            allowance=self.allowance.granted,
            exposure=self.allowance.exposure,
            open=self.allowance.open,
            held=True,
            wants=CALL.times(5),
            needs=CALL,
            short=not self.allowance.affords(CALL),
        )


@dataclass
class World:
    """A sweep whose calls cost what a test says; it knows what was really spent."""

    cap: Amount = CAP
    ledger: Ledger = field(default_factory=Ledger)
    workers: list[Worker] = field(default_factory=list)
    paid: Amount = NOTHING
    """Of calls that have ended, whoever knows of it."""
    surprises: Amount = NOTHING
    """By how much calls cost more than they had set aside, summed up."""
    untold: Amount = NOTHING
    """The part of it that nobody can know: of workers whose journals were not read."""
    treasury: Treasury = field(init=False)
    graves: dict[str, Amount | None] = field(default_factory=dict)
    """What calls on the wire had set aside, by worker; None where the journal cannot be read."""

    def __post_init__(self) -> None:
        self.claim()
        self.workers = [Worker(f"w{i}") for i in range(3)]

    def claim(self) -> None:
        """A new coordinator, who knows nothing but the manifest and the journals of the dead."""
        self.treasury = Treasury(self.cap, lambda: self.ledger)
        for name in [n for n in self.graves if n in self.ledger.drawn]:
            self.treasury.gone(name, self.graves[name])

    def beat(self, worker: Worker, *, lost: bool = False) -> None:
        self.treasury.heard(worker.name, worker.word())
        allowed = self.treasury.allowance(worker.name)
        if not lost:
            worker.allowance.granted = allowed

    def cycle(self, *, won: bool = True) -> None:
        draw = self.treasury.draw()
        if draw is None:
            return
        if won:
            self.ledger.draw(draw.drawn)
            self.ledger.close(draw.closed)
        else:
            self.claim()  # the store refused until another coordinator came

    def end(self, worker: Worker, share: float) -> None:
        if worker.allowance.open:
            cost = CALL.times(share)
            worker.allowance.settle(CALL, cost)
            worker.finished = worker.finished.plus(cost)
            self.paid = self.paid.plus(cost)
            beyond = cost.minus(CALL).most(NOTHING)
            worker.untold = worker.untold.plus(beyond)
            self.surprises = self.surprises.plus(beyond)

    def publish(self, worker: Worker) -> None:
        self.ledger.publish(worker.name, worker.finished)
        worker.finished = worker.untold = NOTHING

    def kill(self, worker: Worker, *, readable: bool) -> None:
        """End it amid its calls, which the server finishes and bills."""
        flying = CALL.times(worker.allowance.open)
        self.paid = self.paid.plus(flying)
        if readable:
            self.publish(worker)
        self.untold = self.untold.plus(worker.untold)
        self.graves[worker.name] = flying if readable else None
        self.treasury.gone(worker.name, self.graves[worker.name])
        self.workers.remove(worker)
        self.workers.append(Worker(f"{worker.name}+"))

    def check(self) -> None:
        flying = sum(w.allowance.open for w in self.workers)
        total = self.paid.plus(CALL.times(flying))
        assert total.within(self.cap.plus(self.surprises)), (total, self.ledger)

    def lower(self, share: float) -> None:
        """An operator lowers the budget; below what is spent or may be by then, nothing can be done."""
        committed = self.treasury.spent()
        for name in self.ledger.drawn:
            drawn = self.ledger.outstanding(name)
            committed = committed.plus(drawn)  # what a worker may have set aside since it spoke
        self.cap = self.cap.least(self.cap.times(share).most(committed))
        self.treasury.cap = self.cap


_STEPS = st.lists(
    st.tuples(
        st.sampled_from(("beat", "beat", "beat", "call", "call", "end", "cycle", "cycle",
                         "publish", "lost", "restart", "kill", "kill unread", "cycle lost",
                         "lower")),
        st.integers(0, 2),
        st.floats(0, 1),
    ),
    max_size=80,
)  # fmt: skip


def play(world: World, steps: list[tuple[str, int, float]]) -> None:
    for what, who, share in steps:
        worker = world.workers[who]
        match what:
            case "beat":
                world.beat(worker)
            case "lost":
                world.beat(worker, lost=True)
            case "call":
                worker.allowance.take(CALL)
            case "end":
                world.end(worker, share)
            case "cycle":
                world.cycle()
            case "cycle lost":
                world.cycle(won=False)
            case "publish":
                world.publish(worker)
            case "restart":
                world.claim()
            case "lower":
                world.lower(share)
            case "kill":
                world.kill(worker, readable=True)
            case _:
                world.kill(worker, readable=False)
        world.check()


@given(_STEPS)
@settings(max_examples=120, deadline=None)
def test_budget_is_never_passed_whatever_is_lost_or_killed(steps):
    play(World(), steps)


@given(_STEPS, st.lists(st.floats(0.0, 4.0), max_size=20))
@settings(max_examples=80, deadline=None)
def test_budget_is_passed_by_no_more_than_calls_cost_above_what_they_set_aside(steps, costs):
    """Up to four times that; and once all workers are heard and answered, no overshoot makes room."""
    world = World()
    for share in costs:
        play(world, [(what, who, share) for what in ("beat", "cycle", "beat", "call", "end")
                     for who in range(3)])  # fmt: skip
    play(world, [(what, who, 4.0 * share) for what, who, share in steps])
    for _ in range(3):
        for worker in world.workers:
            world.beat(worker)
        world.cycle()
    begun = 0
    for worker in world.workers:
        while worker.allowance.take(CALL):
            begun += 1
    flying = sum(worker.allowance.open for worker in world.workers)
    if begun:
        total = world.paid.plus(CALL.times(flying))
        assert total.within(world.cap.plus(world.untold)), (total, world.ledger)


@given(_STEPS)
@settings(max_examples=40, deadline=None)
def test_calm_sweep_spends_all_that_pays_for_a_call_and_then_says_so(steps):
    world = World()
    play(world, steps)
    for _ in range(120):
        for worker in world.workers:
            world.beat(worker)
            while worker.allowance.open:
                world.end(worker, 0.5)
            worker.allowance.take(CALL)
        world.cycle()
        world.check()
        if world.treasury.exhausted() is not None:
            break
    assert world.treasury.exhausted() == CALL
    assert not CALL.within(world.cap.minus(world.treasury.spent()))
    # Of what is left nothing is lost but what dead workers drew whose journals nobody read.
    unread = world.ledger.unproven
    assert not CALL.within(world.cap.minus(world.paid).minus(unread))


def test_raised_budget_goes_on_from_what_was_spent():
    world = World()
    play(world, [("beat", 0, 0), ("cycle", 0, 0), ("beat", 0, 0), *[("call", 0, 0)] * 20])
    assert world.workers[0].allowance.open == 10
    for _ in range(10):
        world.end(world.workers[0], 1.0)
    world.publish(world.workers[0])
    world.cap = CAP.times(2)
    world.claim()
    play(world, [("beat", 0, 0), ("cycle", 0, 0), ("beat", 0, 0), *[("call", 0, 0)] * 20])
    assert world.workers[0].allowance.open == 10
    assert world.ledger.spent.within(CAP)


def test_allowance_is_not_granted_before_its_entry_is_won():
    world = World()
    world.beat(world.workers[0])
    draw = world.treasury.draw()
    assert draw is not None
    world.beat(world.workers[0])
    assert world.workers[0].allowance.granted == NOTHING
    world.ledger.draw(draw.drawn)
    world.beat(world.workers[0])
    assert world.workers[0].allowance.granted == draw.drawn["w0"]


def test_lowered_allowance_is_taken_back_only_once_the_worker_obeys_it():
    world = World(cap=Amount(0.25, 1000.0))
    play(world, [("beat", 0, 0), ("cycle", 0, 0), ("beat", 0, 0)])
    assert world.workers[0].allowance.affords(CALL.times(2))
    world.beat(world.workers[1])  # another wants its share
    world.cycle()
    world.beat(world.workers[1])
    assert not world.workers[1].allowance.affords(CALL)
    for _ in range(3):
        for worker in world.workers[:2]:
            world.beat(worker)
        world.cycle()
    for worker in world.workers[:2]:
        world.beat(worker)
        assert worker.allowance.affords(CALL)
