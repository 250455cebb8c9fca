"""Judges that come to a live sweep as guests: one authority, whoever asks."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from runner.config.money_schema import BudgetConfig
from runner.config.quota_schema import ModelQuotaConfig, QuotaGroupConfig, RampConfig
from runner.config.schema import ModelConfig, ScenarioConfig, SweepConfig
from runner.core.seams import ProcessIdentity
from runner.core.values import NOTHING, Amount
from runner.dispatch.board import Board
from runner.dispatch.desk import Desk
from runner.dispatch.funds import Funds
from runner.dispatch.guests import GuestBeat, Guests
from runner.dispatch.leases import LeaseTable
from runner.dispatch.quota_plan import quota_plan
from runner.dispatch.quotas import QuotaDesk
from runner.dispatch.witnesses import Witnesses
from runner.execute.messages import ModelTally, QuotaWord
from runner.limits.ledger import GUEST
from runner.limits.quota import Cost
from runner.limits.spending import Allowance, SpendWord
from runner.limits.wallet import Wallet
from runner.observe.events import Discard
from runner.record.entries import Claim
from runner.record.manifest import ManifestLog
from tests.support.beats import BEAT, PROCESS
from tests.support.cells import cell, plan
from tests.support.manual_clock import ManualClock
from tests.support.memory_store import MemoryStore

COST = Cost(input_tokens=100.0, output_tokens=100.0)
AT_ONCE = RampConfig(start=1.0)
CALL = Amount(0.0, 100)


class Processes:
    """A process table in which some are dead."""

    def __init__(self) -> None:
        self.dead: set[int] = set()

    def current(self) -> ProcessIdentity:
        raise NotImplementedError

    def is_dead(self, other: ProcessIdentity) -> bool | None:
        return other.pid in self.dead


def configured(model: ModelConfig, rpm: float | None = 6000) -> SweepConfig:
    groups = [] if rpm is None else [QuotaGroupConfig(name="q", rpm=rpm, ramp=AT_ONCE)]
    return SweepConfig(
        name="s", models=[model], scenarios=[ScenarioConfig(name="x", user="hi")], quotas=groups
    )


def named(name: str, *, paced: bool = True, most: int = 500) -> ModelConfig:
    quota = ModelQuotaConfig(group="q") if paced else ModelQuotaConfig()
    return ModelConfig(name=name, max_in_flight=most, quota=quota)


class Site:
    """A desk with one worker, and guests; all beat once a second."""

    def __init__(
        self, model: ModelConfig, rpm: float | None = 6000, tokens: int | None = None
    ) -> None:
        config = configured(model, rpm)
        self.model = model
        self.rpm = rpm
        self.processes = Processes()
        self.log = ManifestLog(MemoryStore(), ManualClock())
        self.funds = Funds(BudgetConfig(tokens=tokens), self.log, heartbeat_s=1.0)
        self.desk = Desk(
            LeaseTable(plan([cell(0, 10_000)], block=25), {}, suspect_deaths=3),
            models={model.name: model},
            quotas=QuotaDesk(quota_plan(config), {model.name: model}, now=0.0, silent_s=None),
            witnesses=Witnesses(self.processes),
            board=Board(sweep="s", directory="d", started="", started_at=0.0),
            lease_ttl_s=16.0,
            claim=1,
            report=print,
            events=Discard(),
            allow=self.funds.answer,
        )
        self.guests = Guests(desk=self.desk, funds=self.funds, processes=self.processes)
        self.wallets: dict[str, Wallet] = {}
        self.purses: dict[str, Allowance] = {}
        self.slots: dict[str, int] = {}
        self.seq = 0

    def beat(self, who: str, model: str, now: float, *, want: int, pid: int, done=False):
        wallet = self.wallets.setdefault(who, Wallet())
        taken = []
        while (ticket := wallet.take(now, COST)) is not None:
            taken.append(ticket)
        for ticket in taken:
            wallet.answered(ticket, input_tokens=100.0, output_tokens=100.0, latency_s=0.1)
        self.seq += 1
        word = QuotaWord(
            ledger=wallet.ledger(now), wants=want, held=wallet.held(now),
            held_until_s=wallet.held_until_s(now), ends=len(taken), cost=COST, readings={},
        )  # fmt: skip
        return replace(
            BEAT, seq=self.seq, worker="w0", incarnation=who, process=replace(PROCESS, pid=pid),
            queued={model: want}, slots={model: self.slots.get(who, 0)},
            tallies={model: ModelTally(ready=want)}, quota={model: word}, done=done,
            spending=self.spending(who) if who in self.purses else None,
        )  # fmt: skip

    def spending(self, who: str) -> SpendWord:
        """Spend what is allowed, 20 calls at most, and ask for as many again."""
        purse = self.purses[who]
        for _ in range(20):
            if purse.take(CALL):
                purse.settle(CALL, CALL)
        return SpendWord(
            allowance=purse.granted, exposure=purse.exposure, open=0, held=True,
            wants=CALL.times(20), needs=CALL, short=not purse.affords(CALL), broke=frozenset(),
        )  # fmt: skip

    def guest(self, who: str, model: ModelConfig, now: float, *, want: int, pid: int, done=False):
        beat = self.beat(who, model.name, now, want=want, pid=pid, done=done)
        said = GuestBeat(
            beat=beat, plan=quota_plan(configured(model, self.rpm)), models={model.name: model}
        )
        return self._take(who, self.guests.answer(said, now, leasing=True), now)

    def worker(self, now: float, *, want: int):
        beat = self.beat("w", self.model.name, now, want=want, pid=1)
        reply = self.desk.answer(beat, now, leasing=True, published=(), drain_s=None)
        return self._take("w", reply, now)

    def _take(self, who, reply, now):
        self.slots[who] = next(iter(reply.slots.values()))
        if reply.allowance is not None:
            self.purses[who].granted = reply.allowance
        for block in reply.permits:
            self.wallets[who].accept(block, sent_at=now, now=now)
        return reply

    def due(self, who: str, now: float) -> int:
        """Return the permits that have come due, used or not."""
        wallet = self.wallets[who]
        return wallet.ledger(now).accepted - wallet.held(now)


@pytest.mark.parametrize("known_as", ["m", "j (judge)"])
def test_guests_and_workers_together_have_the_quota_once(known_as):
    site = Site(named("m"))
    for second in range(120):
        now = float(second)
        site.worker(now, want=400)
        for i, who in enumerate(("g1", "g2")):
            site.guest(who, named(known_as), now + 0.3 * (i + 1), want=400, pid=2 + i)
    due = [site.due(who, 120.0) for who in ("w", "g1", "g2")]
    assert sum(due) <= 0.99 * 100 * 121
    assert sum(due) > 0.9 * 100 * 118
    assert min(due) > 0.2 * sum(due)


def test_guest_at_rest_leaves_all_to_the_workers_and_is_shown_among_its_group():
    site = Site(named("m"))
    for second in range(60):
        site.worker(float(second), want=400)
        site.guest("g", named("j (judge)"), second + 0.5, want=0, pid=2)
    assert site.due("w", 60.0) > 0.9 * 100 * 58
    assert site.due("g", 60.0) == 0
    (group,) = site.desk.quotas.progress(60.0)
    assert (group.group, group.models) == ("q", ("m", "j (judge)"))


def test_pause_of_the_sweep_pauses_its_guests():
    site = Site(named("m"))
    site.desk.quotas.paused = True
    reply = site.guest("g", named("m"), 0.0, want=400, pid=2)
    assert (reply.permits, reply.slots) == ((), {"m": 0})


def test_places_of_a_model_without_a_quota_are_shared_with_its_guests():
    model = named("m", paced=False, most=8)
    site = Site(model, rpm=None)
    for second in range(20):
        site.worker(float(second), want=400)
        site.guest("g", model, second + 0.5, want=400, pid=2)
        assert site.slots["w"] + site.slots["g"] <= 8
    assert site.slots["g"] == 4


@pytest.mark.parametrize("end", ["done", "died"])
def test_what_a_guest_held_is_free_once_it_has_ended(end):
    model = named("m", paced=False, most=8)
    site = Site(model, rpm=None)
    site.guest("g", model, 0.0, want=400, pid=2)
    assert site.slots["g"] == 8
    site.worker(0.5, want=400)
    assert site.slots["w"] == 0
    if end == "done":
        site.guest("g", model, 1.0, want=0, pid=2, done=True)
    else:
        site.processes.dead.add(2)
        site.guests.look(2.0)  # heard of lately
        site.worker(2.5, want=400)
        assert site.slots["w"] == 0
    site.guests.look(6.0)
    site.worker(6.5, want=400)
    assert site.slots["w"] == 8


def test_places_of_a_silent_guest_stay_withheld_until_its_calls_must_have_ended():
    model = replace(named("m", paced=False, most=8), timeout_s=30.0)
    site = Site(model, rpm=None)
    site.guest("g", model, 0.0, want=400, pid=2)
    for second in range(1, 40):
        site.guests.look(float(second))
        site.worker(second + 0.5, want=400)
        assert site.slots["w"] == 0
    site.worker(60.0, want=400)
    site.worker(61.0, want=400)
    assert site.slots["w"] == 8


@pytest.mark.parametrize("end", ["done", "died"])
def test_guests_and_workers_together_spend_the_budget_once(end):
    """1,000 calls are paid for; what the guest spent is known apart, since its own sweep counts it too."""
    model, guest = named("m", paced=False), GUEST + "g"
    site = Site(model, rpm=None, tokens=100_000)
    site.purses = {"w": Allowance(limited=True), guest: Allowance(limited=True)}

    async def spent() -> None:
        await site.log.load()
        process = replace(PROCESS, pid=9)
        await site.log.claim(Claim(nonce="n", fleet="f", process=process, node="n", started_at=""))
        for second in range(60):
            site.guest(guest, model, float(second), want=20, pid=2)
            if second > 4:
                site.worker(second + 0.5, want=20)
            await site.funds.write()
            drawn = site.funds.ledger.drawn
            for who, purse in site.purses.items():
                assert purse.granted.within(drawn.get(who, NOTHING))
        if end == "done":
            site.guest(guest, model, 60.0, want=0, pid=2, done=True)
        else:
            site.processes.dead.add(2)
            site.guests.look(70.0)
        await site.funds.write()

    asyncio.run(spent())
    own, its = (site.purses[who].spent.tokens for who in ("w", guest))
    assert (own + its, its > 2000, own > 2000) == (100_000, True, True)
    ledger = site.funds.ledger
    if end == "done":
        assert (ledger.judged.tokens, ledger.of_guests()) == (its, ledger.judged)
        assert site.funds.spent().tokens == 100_000
    else:  # committed until the next session asks the judge's own sweep
        assert ledger.judged == NOTHING
        assert ledger.of_guests().tokens >= its
        assert site.funds.spent().tokens >= 100_000
