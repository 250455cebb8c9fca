"""Planted faults of the protocol, to show that the oracle catches each.

A mutant replaces one function of the engine, or two where one hides behind the other. `profiles`
names the kinds of schedules that can show it; `python -m tests.dst.run --mutant NAME` runs all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from runner.core.errors import FencedError
from runner.dispatch.coordinator import Coordinator
from runner.dispatch.desk import Desk
from runner.dispatch.leases import LeaseTable
from runner.dispatch.publisher import Publisher
from runner.dispatch.salvage import Salvage
from runner.dispatch.watch import Watch
from runner.execute.worker import Worker
from runner.limits.pool import Pool
from runner.limits.quota import Cost, Ledger, Meter
from runner.limits.slots import SlotAuthority
from runner.limits.wallet import Wallet
from runner.record.journal import Journal
from runner.record.manifest import ManifestLog
from runner.record.segments import each

Patches = Mapping[tuple[type, str], Callable[..., Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """One planted fault."""

    name: str
    what: str
    profiles: tuple[str, ...]
    patches: Patches
    try_first: int | None = None
    """A seed that showed it once. Only the order of the same schedules depends on it."""


def _publish_without_the_fence() -> Patches:
    append = ManifestLog.append

    async def anyhow(self: ManifestLog, entry: Any) -> int:
        while True:
            try:
                return await append(self, entry)
            except FencedError:
                nonce, number = self._nonce, self.claim_number
                self._fenced = None
                await self.load()
                self._nonce, self.claim_number = nonce, number

    return {(ManifestLog, "append"): anyhow, (Coordinator, "_verify"): _unverified()}


def _unverified() -> Callable[..., Any]:
    async def verify(self: Coordinator) -> None:
        self._verified_at = self.world.clock.monotonic()

    return verify


def _no_wait_after_a_new_claim() -> Patches:
    begin = Watch.begin

    async def at_once(self: Watch, *, wait_s: float, first: bool) -> None:
        await begin(self, wait_s=wait_s, first=first)
        self.wait_until = None
        self.awaited.clear()

    return {(Watch, "begin"): at_once}


def _lease_counted_from_the_reply() -> Patches:
    obey = Worker._obey

    async def late(self: Worker, reply: Any, sent: float) -> None:
        await obey(self, reply, self._world.clock.monotonic() + 0.5 * reply.lease_ttl_s)

    return {(Worker, "_obey"): late}


def _fence_without_a_clock() -> Patches:
    def may_call(self: Worker) -> bool:
        return self._storage_error is None

    return {(Worker, "_may_call"): may_call}


def _append_without_waiting_for_the_sync() -> Patches:
    from runner.record import journal

    async def append(self: Journal, frame: Any) -> None:
        self._put(journal._Entry(journal.encode(frame), frame.job))
        self._kick()

    return {(Journal, "append"): append}


def _publish_without_removing_overlaps() -> Patches:
    from runner.record.layout import part_key

    async def add_rows(self: Publisher, batch: Any, seal: str, file: Any) -> None:
        self._take(batch, file.kind, seal, part_key(seal, file.kind), file)

    return {
        (Publisher, "_add_rows"): add_rows,
        (ManifestLog, "_refuse_twice"): lambda self, entry: None,
    }


def _journal_deleted_before_publication() -> Patches:
    begin_seal = Journal.begin_seal

    async def and_forget(self: Journal, seal: str, jobs: Any) -> None:
        await begin_seal(self, seal, jobs)
        await self.forget(each(jobs))

    return {(Journal, "begin_seal"): and_forget}


def _leased_again_before_the_lease_has_ended() -> Patches:
    expired = LeaseTable.expired

    def hasty(self: LeaseTable, now: float, after_s: float, **options: float) -> list[str]:
        return expired(self, now, after_s * 0.3, **options)

    return {(LeaseTable, "expired"): hasty}


def _places_multiplied_by_workers() -> Patches:
    return {(SlotAuthority, "grant"): lambda self, worker, now, *, most=None: self.limit}


def _places_of_a_silent_worker_free_at_once() -> Patches:
    return {(SlotAuthority, "lost"): lambda self, worker, until: self.gone(worker)}


def _moves_before_the_entry_is_won() -> Patches:
    win = Publisher._win

    async def move_first(self: Publisher, entry: Any) -> None:
        for source, target in entry.moves:
            await self._store.move(source, target)
        await win(self, entry)

    return {(Publisher, "_win"): move_first}


def _recovered_answers_not_carried() -> Patches:
    finish = Salvage._finish

    def forgetful(self: Salvage, progress: Any, trace: Any, table: Any) -> Any:
        done = finish(self, progress, trace, table)
        table.carried.pop(progress.job, None)
        return done

    return {(Salvage, "_finish"): forgetful}


def _recovery_before_publishing_skipped() -> Patches:
    async def recover(self: Watch, incarnation: str, *, gone: bool, crashed: bool) -> None:
        if gone:
            self.salvage.retained[incarnation] = set()

    return {(Watch, "_recover"): recover}


def _doubled_heartbeats_answered_anew() -> Patches:
    return {(Desk, "known"): lambda self, beat: None}


def _permits_without_a_common_line() -> Patches:
    return {(Pool, "first"): lambda self, now: now}


def _tokens_that_take_nothing(free: Meter) -> Patches:
    amount = Pool._amount

    def nothing(self: Pool, meter: Meter, model: str, cost: Cost) -> float:
        return 0.0 if meter is free else amount(self, meter, model, cost)

    return {(Pool, "_amount"): nothing}


def _input_given_back_when_it_was_used() -> Patches:
    settle = Pool.settle

    def twice(self: Pool, before: Ledger, after: Ledger, now: float) -> None:
        settle(self, before, after, now)
        self.give_back(after.charged_input - before.charged_input, 0.0)

    return {(Pool, "settle"): twice}


def _output_unknown_before_the_first_call() -> Patches:
    from runner.execute.purse import Purse

    word = Purse.word

    def of_the_latest(self: Purse, now: float, **rest: Any) -> Any:
        said = word(self, now, **rest)
        return replace(said, cost=replace(said.cost, output_tokens=self._mean_output))

    return {(Purse, "word"): of_the_latest}


def _permits_that_never_run_out() -> Patches:
    true = Wallet._resolve

    def resolve(self: Wallet, held: Any, count: int, *, lapsed: bool) -> None:
        true(self, held, count, lapsed=lapsed)
        if not lapsed and held.left == 0 and held.interval > 0:
            held.left = 1  # the last one again, an interval later
            self._held.appendleft(held)

    return {(Wallet, "_resolve"): resolve}


def _granted_before_it_is_written() -> Patches:
    """Allowances hold at once in memory and are written down behind, a minute later."""
    from runner.dispatch.funds import Funds
    from runner.record.entries import Fund

    late: dict[int, list[Any]] = {}

    async def write(self: Funds) -> None:
        draw = self._treasury.draw()
        waiting = late.setdefault(id(self), [])
        waiting.append(draw)
        if draw is not None:
            self.ledger.draw(draw.drawn)
        if len(waiting) > 60:
            old = [d for d in waiting if d is not None]
            waiting.clear()
            closed = {i: a for d in old for i, a in d.closed.items()}
            drawn = {i: a for d in old for i, a in d.drawn.items() if i not in closed}
            if old:
                await self.log.append(Fund(drawn=drawn, closed=closed))

    return {(Funds, "write"): write}


_ALL = ("kills", "hosts", "pauses", "partitions", "messages", "storage", "rivals", "mixed")
MUTANTS = {
    mutant.name: mutant
    for mutant in (
        Mutant(
            name="no-fence",
            what="publish without the fence: a superseded coordinator appends behind the claim",
            profiles=("rivals",),
            patches=_publish_without_the_fence(),
        ),
        Mutant(
            name="two-coordinators",
            what="two coordinators both accepted: nobody looks for a later claim",
            profiles=("rivals",),
            patches={(Coordinator, "_verify"): _unverified()},
            try_first=232,
        ),
        Mutant(
            name="no-wait",
            what="no wait after a new claim",
            profiles=("kills", "rivals", "mixed"),
            patches=_no_wait_after_a_new_claim(),
        ),
        Mutant(
            name="late-lease",
            what="the lease is counted from after the reply, not from sending",
            profiles=("partitions", "messages", "pauses", "mixed"),
            patches=_lease_counted_from_the_reply(),
        ),
        Mutant(
            name="no-clock",
            what="fence without a clock: calls start past the end of the lease",
            profiles=("partitions", "pauses", "rivals", "mixed"),
            patches=_fence_without_a_clock(),
        ),
        Mutant(
            name="no-sync",
            what="a journal append does not wait for its sync",
            profiles=_ALL,
            patches=_append_without_waiting_for_the_sync(),
        ),
        Mutant(
            name="no-overlap-removal",
            what="parts are published without taking out what is recorded",
            profiles=("partitions", "pauses", "messages", "rivals", "mixed"),
            patches=_publish_without_removing_overlaps(),
        ),
        Mutant(
            name="early-delete",
            what="a journal is deleted before its rows are published",
            profiles=_ALL,
            patches=_journal_deleted_before_publication(),
        ),
        Mutant(
            name="early-lease",
            what="jobs of a silent worker are leased again before its lease has ended",
            profiles=("partitions", "pauses", "messages", "mixed"),
            patches=_leased_again_before_the_lease_has_ended(),
            try_first=54,
        ),
        Mutant(
            name="slots-times-workers",
            what="every worker gets the whole number of places",
            profiles=_ALL,
            patches=_places_multiplied_by_workers(),
        ),
        Mutant(
            name="slots-of-the-silent",
            what="places of a silent worker are free at once",
            profiles=("partitions", "pauses", "mixed"),
            patches=_places_of_a_silent_worker_free_at_once(),
        ),
        Mutant(
            name="early-moves",
            what="files move before the entry is won",
            profiles=_ALL,
            patches=_moves_before_the_entry_is_won(),
        ),
        Mutant(
            name="not-carried",
            what="answers of unfinished jobs found in a journal are not handed on",
            profiles=("kills", "mixed"),
            patches=_recovered_answers_not_carried(),
        ),
        Mutant(
            name="no-recovery",
            what="a dead worker's journal is deleted unread",
            profiles=("kills", "mixed"),
            patches=_recovery_before_publishing_skipped(),
        ),
        Mutant(
            name="quota-each",
            what="permits of one worker do not lie behind those of the others",
            profiles=_ALL,
            patches=_permits_without_a_common_line(),
        ),
        Mutant(
            name="input-for-nothing",
            what="permits take no input tokens off the group's bucket",
            profiles=_ALL,
            patches=_tokens_that_take_nothing(Meter.INPUT),
            try_first=54,
        ),
        Mutant(
            name="input-given-back",
            what="input tokens of permits that were used are given back as if they had lapsed",
            profiles=_ALL,
            patches=_input_given_back_when_it_was_used(),
            try_first=54,
        ),
        Mutant(
            name="output-for-nothing",
            what="permits take no output tokens off the group's bucket",
            profiles=_ALL,
            patches=_tokens_that_take_nothing(Meter.OUTPUT),
        ),
        Mutant(
            name="output-unknown",
            what="a worker says what calls reserve only once it has had one: the first permits take nothing",
            profiles=_ALL,
            patches=_output_unknown_before_the_first_call(),
            try_first=58,
        ),
        Mutant(
            name="permits-twice",
            what="a worker uses the last permit of a block again and again",
            profiles=_ALL,
            patches=_permits_that_never_run_out(),
        ),
        Mutant(
            name="early-money",
            what="allowances are granted before the manifest says so",
            profiles=("kills", "hosts", "mixed"),
            patches=_granted_before_it_is_written(),
        ),
        Mutant(
            name="double-answers",
            what="a heartbeat that comes twice or late is taken for a new one",
            profiles=("messages",),
            patches=_doubled_heartbeats_answered_anew(),
        ),
    )
}


@contextmanager
def planted(name: str | None) -> Iterator[None]:
    """Run the block with a mutant in place of one function of the engine."""
    patches = MUTANTS[name].patches if name else {}
    before = [(owner, attribute, vars(owner)[attribute]) for owner, attribute in patches]
    try:
        for (owner, attribute), function in patches.items():
            setattr(owner, attribute, function)
        yield
    finally:
        for owner, attribute, function in before:
            setattr(owner, attribute, function)
