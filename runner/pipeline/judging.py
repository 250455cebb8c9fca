"""Runs a model judge over the rows of a sweep: a second plan on the same engine.

A judge's calls are a sweep of their own in `judging/<judge>@<digest>/` below the judged sweep: the
same retries, limits, journal, attempts table and dead letters, and the same promise that nothing
paid for is lost. Its cells are (judged cell × vote), its seeds those of the judged rows, so its plan
grows as rows are published and what is owed is found by arithmetic. When all votes on the rows of a
shard have ended, the shard's verdict file is written.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from pyroaring import BitMap

from runner.config.money_schema import BudgetConfig
from runner.config.resolved import dump_resolved
from runner.core.clock import SystemClock
from runner.core.process import LinuxProcesses
from runner.core.seams import Store
from runner.core.values import Job
from runner.dispatch.inprocess import InProcessBackend
from runner.dispatch.spec import SweepSpec, new_name
from runner.dispatch.terms import Preamble
from runner.grade.answers import messages_of
from runner.grade.judge import Judge, Vote
from runner.grade.registry import grader_digest
from runner.grade.run import (
    Cells,
    Graded,
    OnShard,
    card_of,
    clear_stale,
    nothing_to_judge,
    verdict_row,
)
from runner.grade.verdict import VerdictState
from runner.observe.console import Console
from runner.pipeline.estimating import refuse_unpriced
from runner.pipeline.judge_book import JudgeBook, JudgedRows
from runner.pipeline.shared_budget import spent_by_judges, without
from runner.pipeline.sweep import run_session
from runner.plan.cells import Cell
from runner.record.entries import Entry, OweAgain, PlanEntry
from runner.record.holder import Standing, who_holds
from runner.record.layout import CONFIGURATION
from runner.record.manifest import load_state
from runner.record.place import Place, open_store
from runner.record.plan_file import encode_plan, plan_key
from runner.record.reader import read
from runner.record.state import SweepState, seed_set
from runner.record.verdicts import (
    AnswerRow,
    GraderCard,
    VerdictRow,
    card_key,
    encode_card,
    encode_verdicts,
    verdict_key,
)
from runner.report.sweep import Sweep


def judging_folder(directory: Place, judge: Judge) -> str:
    """Return where a judge's sweep lies, as a path or URL."""
    return f"{directory.absolute()}/judging/{judge.name}@{grader_digest(judge)[:12]}"


async def judge_with(
    store: Store,
    directory: Place,
    judge: Judge,
    *,
    sweep: Sweep,
    cells: Cells,
    shards: Sequence[str],
    on_shard: OnShard = lambda _name, _done, _total: None,
    say: Callable[[str], None] = lambda _line: None,
    retry_failed: bool = False,
) -> Graded:
    """Run what a judge owes, then write the verdicts on every shard whose votes have all ended.

    With `retry_failed` its dead letters are owed again, and the shards with such votes judged anew:
    their verdict files are replaced when the calls have ended, not before.

    Raises:
        ConfigError: the judge's model cannot be called from here.
        SweepHeldError: another process runs this judge.
        RecordError: something is damaged.
        StorageError: a directory refuses.
    """
    card = card_of(judge, cells)
    present = await clear_stale(store, card, shards)
    await store.put(card_key(card), encode_card(card))
    folder = judging_folder(directory, judge)
    inner = open_store(folder)
    state = await load_state(inner)
    again = state.dead if retry_failed else dict[int, BitMap]()
    todo = [
        s
        for s in shards
        if verdict_key(card, s) not in present or _has_votes(Path(directory), s, again, judge)
    ]
    rows = JudgedRows(Path(directory), todo)
    live = any(rows.jobs.values()) and await _is_held(store, sweep)
    if live and sweep.config.budget.limited:
        say(f"{judge.name} waits: {directory} runs, and may spend all that its budget has left")
    elif any(rows.jobs.values()):
        version = state.plan_version + 1
        book = JudgeBook(judge, sweep, cells, rows, version=version, live=live)
        book.config.budget = await _budget(directory, judge, sweep)
        refuse_unpriced(book)
        state = await _run(book, state, folder, say, again)
    await Place(folder).refresh()
    votes = _votes(judge, Place(folder), state)
    written = new_rows = 0
    for shard in todo:
        verdicts = _fold(judge, cells, rows.rows(shard).values(), votes, state)
        if verdicts is not None:
            await store.put(verdict_key(card, shard), encode_verdicts(card, verdicts))
            written, new_rows = written + 1, new_rows + len(verdicts)
            on_shard(judge.name, written, len(todo))
    keys = await judged_keys(store, card, shards)
    return Graded(card=card, verdicts=keys, new_shards=written, new_rows=new_rows)


async def _is_held(store: Store, sweep: Sweep) -> bool:
    """Return whether somebody writes the judged sweep, or may."""
    take_over_s = sweep.config.engine.take_over_s
    found = await who_holds(
        store, LinuxProcesses(), SystemClock(), sweep.state, take_over_s=take_over_s, watch=False
    )
    return found.standing not in {Standing.FREE, Standing.DEAD}


def _has_votes(directory: Path, shard: str, jobs: Mapping[int, BitMap], judge: Judge) -> bool:
    """Return whether a shard has rows on which one of these votes is."""
    if not any(jobs.values()):
        return False
    votes = judge.config.votes
    judged: dict[int, BitMap] = {}
    for number, seeds in jobs.items():
        judged.setdefault(number // votes, BitMap()).update(seeds)
    rows = JudgedRows(directory, [shard])
    return any(found & judged.get(cell, BitMap()) for cell, found in rows.jobs[shard].items())


async def _budget(directory: Place, judge: Judge, sweep: Sweep) -> BudgetConfig:
    """Return what a judge may spend: what its sweep and the other judges have left."""
    own = judging_folder(directory, judge).rpartition("/")[2]
    others = await spent_by_judges(directory, but=own)
    return without(sweep.config.budget, sweep.state.ledger.committed().plus(others))


async def judged_keys(store: Store, card: GraderCard, shards: Sequence[str]) -> tuple[str, ...]:
    """Return the keys of the verdict files of a judge that are there."""
    there = set(await store.list(card.folder))
    return tuple(key for s in shards if (key := verdict_key(card, s)) in there)


async def _run(
    book: JudgeBook,
    state: SweepState,
    folder: str,
    say: Callable[[str], None],
    again: Mapping[int, BitMap],
) -> SweepState:
    """Run what is owed, dead letters in `again` too; returns the state after it."""
    version = book.plan.version
    if not book.plan.cells:
        return state
    owed = any(
        len(
            BitMap(_seeds(c))
            - state.recorded.get(c.number, BitMap())
            - (state.dead.get(c.number, BitMap()) - again.get(c.number, BitMap()))
        )
        for c in book.plan.cells
    )
    if not owed and state.released is not None:
        return state
    table = encode_plan(book.plan, book.parts_json)
    planned = {c.number: BitMap(_seeds(c)) for c in book.plan.cells}
    owe = {n: found for n, seeds in again.items() if (found := seeds & planned.get(n, BitMap()))}
    entries: tuple[Entry, ...] = (
        PlanEntry(version=version, sha256=hashlib.sha256(table).hexdigest()),
    )
    if owe:
        entries += (OweAgain(jobs={n: seed_set(found) for n, found in owe.items()}),)
    facts = {"sweep_id": book.sweep_id}
    spec = SweepSpec(
        book=book,
        directory=folder,
        fleet=new_name("j"),
        preamble=Preamble(
            base=state.head,
            files=(
                (CONFIGURATION, dump_resolved(book.config, facts).encode()),
                (plan_key(version), table),
            ),
            entries=entries,
        ),
    )
    say(f"{book.config.name}: {book.plan.jobs:,} judge calls planned → {folder}")
    with Console(SystemClock().monotonic) as console:
        backend = InProcessBackend(spec, console.say)
        await run_session(backend, console, grace_s=book.config.engine.grace_s)
    return await load_state(open_store(folder))


def _seeds(cell: Cell) -> list[int]:
    return [seed for start, stop in cell.seeds.ranges for seed in range(start, stop)]


_Votes = dict[tuple[int, int], Vote]
"""(judge's cell, seed) to the vote. Grows with judge calls, some hundred bytes each."""


def _votes(judge: Judge, folder: Place, state: SweepState) -> _Votes:
    out: _Votes = {}
    if not state.recorded:
        return out
    dataset = read(Path(folder)).arrow()
    columns = ["transcript_id", "cell", "seed", "end_state", "messages"]
    for batch in dataset.to_batches(columns=columns, batch_size=256):
        for row in batch.to_pylist():
            key = row["transcript_id"]
            said = messages_of(row["messages"], f"judge call {key}")
            out[row["cell"], row["seed"]] = judge.vote(row["end_state"], said, key)
    return out


def _fold(
    judge: Judge, cells: Cells, rows: Iterable[AnswerRow], votes: _Votes, state: SweepState
) -> list[VerdictRow] | None:
    """Return the verdict rows of a shard, None while votes on it are owed."""
    out: list[VerdictRow] = []
    count = judge.config.votes
    for row in rows:
        if cells.get(row.cell) is None:
            continue
        verdict = nothing_to_judge(row.end_state)
        given: list[Vote] = []
        if verdict is None:
            for vote in range(count):
                number = row.cell * count + vote
                found = votes.get((number, row.seed))
                if found is None and state.is_dead(Job(number, row.seed)):
                    found = Vote(state=VerdictState.JUDGE_ERROR, reason="the judge's call failed")
                if found is None:
                    return None
                given.append(found)
            verdict = judge.verdict(given)
        valid = sum(v.state is VerdictState.GRADED for v in given)
        out.append(replace(verdict_row(row, verdict), votes=count, votes_valid=valid))
    return out
