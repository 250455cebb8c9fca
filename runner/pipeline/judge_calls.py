"""Runs the calls that a judge owes: a sweep of its own below the judged one, in as many sessions as it takes.

In `judging/<judge>@<digest>/`: the same retries, limits, journal, attempts table and dead letters, and
the same promise that nothing paid for is lost. Its cells are (judged cell × vote), its seeds those of
the judged rows, so its plan grows as rows are published and what is owed is found by arithmetic.

Each session draws on its quota in one way (`judge_quotas.py`): inside the judged sweep while that is
driven from this host, beside it on a declared share, or alone. When that changes (the judged sweep ends, is
killed, or is resumed), the session ends in order and another begins; a call that was answered is never
made again.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass, replace

from pyroaring import BitMap

from runner.config.money_schema import BudgetConfig
from runner.config.resolved import dump_resolved
from runner.core.clock import SystemClock
from runner.core.errors import AbortSweepError, FencedError, StorageError
from runner.core.process import LinuxProcesses
from runner.core.seams import Store
from runner.dispatch.door import GuestPeer, knock
from runner.dispatch.inprocess import InProcessBackend
from runner.dispatch.quota_plan import quota_plan
from runner.dispatch.spec import SweepSpec, new_name
from runner.dispatch.terms import Preamble
from runner.execute.terms import Peer
from runner.grade.judge import Judge
from runner.grade.registry import grader_digest
from runner.grade.run import Cells
from runner.observe.console import Console
from runner.pipeline.estimating import refuse_unpriced
from runner.pipeline.judge_book import JudgeBook, JudgedRows
from runner.pipeline.judge_quotas import (
    Drawing,
    by_itself,
    declared_share,
    inside,
    shares_limit,
    wait_for_others,
)
from runner.pipeline.shared_budget import spent_by_judges, without
from runner.pipeline.sweep import SessionEnd, run_session
from runner.plan.cells import Cell
from runner.record.entries import Entry, OweAgain, PlanEntry
from runner.record.holder import Standing, who_holds
from runner.record.layout import CONFIGURATION
from runner.record.manifest import load_state
from runner.record.place import Place, open_store
from runner.record.plan_file import encode_plan, plan_key
from runner.record.state import SweepState, seed_set
from runner.report.sweep import Sweep

DOOR_S = 20
"""How long a sweep that is held may take to open its door: it has been claimed, and starts."""
LOOK_S = 1.0
"""Between two looks whether the way in which a judge draws is still right."""
HELD_EVERY = 5
"""Looks between two at the judged sweep's manifest."""


def judging_folder(directory: Place, name: str, digest: str) -> str:
    """Return where the sweep of a judge of that digest lies, as a path or URL."""
    return f"{directory.absolute()}/judging/{name}@{digest[:12]}"


@dataclass(frozen=True, slots=True)
class Called:
    """How far a judge came."""

    state: SweepState
    """Of its sweep."""
    trouble: BaseException | None = None
    """To be raised once what was answered has become verdicts."""
    unpaid: bool = False
    """The budget did not pay for all that is owed."""
    moved: bool = False
    """The session ended so that another one draws in another way."""


@dataclass(frozen=True, slots=True)
class JudgeCalls:
    """What one judge owes on some rows."""

    judge: Judge
    _: KW_ONLY
    sweep: Sweep
    """The judged one."""
    cells: Cells
    rows: JudgedRows
    directory: Place
    say: Callable[[str], None]
    keep_going: bool = False
    """Leave the tripwire off."""

    async def run(self, store: Store, state: SweepState, again: Mapping[int, BitMap]) -> Called:
        """Run what is owed, dead letters in `again` too.

        Args:
            store: of the judged sweep.
            state: of the judge's sweep.
            again: dead letters by cell, to be owed again.

        Raises:
            ConfigError: the judge's model cannot be called from here, or not while the sweep runs.
            SweepHeldError: another process runs this judge.
            RecordError: something is damaged.
            StorageError: a directory refuses.
        """
        while True:
            live = await self._is_held(store)
            drawing = await self._inside() if live else None
            if drawing is None and live and self.sweep.config.budget.limited:
                self.say(
                    f"{self.judge.name} waits: {self.directory} runs, and may spend all that its budget has left"
                )
                return Called(state, unpaid=True)
            drawing = drawing or await self._by_itself(live=live)
            book = JudgeBook(
                self.judge,
                self.sweep,
                self.cells,
                self.rows,
                version=state.plan_version + 1,
                drawing=drawing,
            )
            book.config.budget = await self._budget(store, inside=bool(drawing.known_as))
            if self.keep_going:
                book.config.tripwire.jobs = 0
            refuse_unpriced(book)
            called = await self._session(book, state, again, drawing, store, live=live)
            if not called.moved:
                return called
            state, again = called.state, {}

    @property
    def _folder(self) -> str:
        return judging_folder(self.directory, self.judge.name, grader_digest(self.judge))

    @property
    def _place(self) -> str:
        return self.directory.absolute()

    async def _is_held(self, store: Store) -> bool:
        """Return whether somebody writes the judged sweep, or may."""
        take_over_s = self.sweep.config.engine.take_over_s
        found = await who_holds(
            store,
            LinuxProcesses(),
            SystemClock(),
            await load_state(store),
            take_over_s=take_over_s,
            watch=False,
        )
        return found.standing not in {Standing.FREE, Standing.DEAD}

    async def _inside(self) -> Drawing | None:
        """Return how the judge draws inside the live sweep, None where it does not."""
        model, judged = self.judge.endpoint(), self.sweep.config
        if declared_share(model, judged) is not None and not judged.budget.limited:
            return None
        looks = DOOR_S if shares_limit(model, judged) else 1
        for look in range(looks):
            if look:
                await asyncio.sleep(1.0)
            if await knock(self._place):
                return inside(model, judged)
        return None

    async def _by_itself(self, *, live: bool) -> Drawing:
        """Return how the judge draws at a pace of its own, once nobody else does on the same."""
        found = by_itself(self.judge.endpoint(), self.sweep.config, live=live)
        own = self._folder.rpartition("/")[2]
        await wait_for_others(self.directory, found, but=own, say=self.say)
        return found

    async def _budget(self, store: Store, *, inside: bool) -> BudgetConfig:
        """Return what a judge may spend: what its sweep and the other judges have left.

        Inside, what workers drew and have not spent is no limit: the live sweep says what is.
        """
        own = self._folder.rpartition("/")[2]
        others = await spent_by_judges(self.directory, but=own)
        ledger = (await load_state(store)).ledger
        swept = ledger.own()
        if inside:
            swept = ledger.spent.plus(ledger.unproven).minus(ledger.judged)
        return without(self.sweep.config.budget, swept.plus(others))

    async def _session(
        self,
        book: JudgeBook,
        state: SweepState,
        again: Mapping[int, BitMap],
        drawing: Drawing,
        store: Store,
        *,
        live: bool,
    ) -> Called:
        """Run one session."""
        preamble = _preamble(book, state, again)
        if preamble is None:
            return Called(state)
        spec = SweepSpec(book=book, directory=self._folder, fleet=new_name("j"), preamble=preamble)
        guests: list[GuestPeer] = []

        def through(own: Peer) -> Peer:
            if not drawing.known_as:
                return own
            named = replace(drawing.model, name=drawing.known_as)
            guest = GuestPeer(
                own=own,
                place=self._place,
                model=drawing.model.name,
                known_as=named.name,
                plan=quota_plan(replace(book.config, models=[named])),
                models={named.name: named},
            )
            guests.append(guest)
            return guest

        how = " (inside the sweep)" if drawing.known_as else ""
        self.say(
            f"{book.config.name}: {book.plan.jobs:,} judge calls planned{how} → {self._folder}"
        )
        moved = asyncio.Event()
        with Console(SystemClock().monotonic) as console:
            backend = InProcessBackend(spec, console.say, through=through)
            looking = asyncio.ensure_future(self._until_moved(store, guests, live=live))

            async def drain() -> None:
                await looking
                moved.set()
                await backend.drain(book.config.engine.grace_s)

            draining = asyncio.ensure_future(drain())
            try:
                end = await run_session(backend, console, grace_s=book.config.engine.grace_s)
            finally:
                for task in (draining, looking):
                    task.cancel()
                    with contextlib.suppress(asyncio.CancelledError):
                        await task
                for guest in guests:
                    await guest.close()
        state = await load_state(open_store(self._folder))
        if moved.is_set() and end.ended.reason in {"done", "interrupted"}:
            return Called(state, moved=True)
        return Called(state, self._trouble(end), unpaid=end.ended.reason == "budget")

    def _trouble(self, end: SessionEnd) -> BaseException | None:
        """Return why a session ended before everything was answered, None where it was."""
        name, detail = self.judge.name, end.ended.detail
        match end.ended.reason:
            case "done":
                return None
            case "interrupted":
                return KeyboardInterrupt()
            case "budget":
                self.say(f"{name} stops: {detail}")
                return None
            case "stopped":
                last = end.progress
                why = "" if last is None else "; ".join(last.stopped_models.values())
                why = why or detail
                return AbortSweepError(
                    f"judge {name} stopped: {why}\nWhat it had answered is kept: mend this and run the same "
                    "command again."
                )
            case "storage":
                return StorageError(f"judge {name}: {detail}")
            case _:
                return FencedError(f"judge {name}: {detail}")

    async def _until_moved(self, store: Store, guests: list[GuestPeer], *, live: bool) -> None:
        """Return when the judge should draw in another way than it does."""
        looks = 0
        while True:
            await asyncio.sleep(LOOK_S)
            looks += 1
            if guests:
                if guests[0].left:
                    return
                continue
            if not live and await knock(self._place):
                return
            if looks % HELD_EVERY == 0:
                with contextlib.suppress(StorageError):
                    if await self._is_held(store) != live:
                        return


def _preamble(book: JudgeBook, state: SweepState, again: Mapping[int, BitMap]) -> Preamble | None:
    """Return what a session writes down first; None where nothing is owed."""
    version = book.plan.version
    if not book.plan.cells:
        return None
    owed = any(
        len(
            BitMap(_seeds(c))
            - state.recorded.get(c.number, BitMap())
            - (state.dead.get(c.number, BitMap()) - again.get(c.number, BitMap()))
        )
        for c in book.plan.cells
    )
    if not owed and state.released is not None:
        return None
    table = encode_plan(book.plan, book.parts_json)
    planned = {c.number: BitMap(_seeds(c)) for c in book.plan.cells}
    owe = {n: found for n, seeds in again.items() if (found := seeds & planned.get(n, BitMap()))}
    entries: tuple[Entry, ...] = (
        PlanEntry(version=version, sha256=hashlib.sha256(table).hexdigest()),
    )
    if owe:
        entries += (OweAgain(jobs={n: seed_set(found) for n, found in owe.items()}),)
    return Preamble(
        base=state.head,
        files=(
            (CONFIGURATION, dump_resolved(book.config, {"sweep_id": book.sweep_id}).encode()),
            (plan_key(version), table),
        ),
        entries=entries,
    )


def _seeds(cell: Cell) -> list[int]:
    return [seed for start, stop in cell.seeds.ranges for seed in range(start, stop)]
