"""Runs a model judge over the rows of a sweep: a second plan on the same engine.

A judge's calls are a sweep of their own (`judge_calls.py`). When all votes on the rows that were published
when it began have ended, the verdict files of their shards are written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from pyroaring import BitMap

from runner.core.seams import Store
from runner.core.values import Job
from runner.grade.answers import messages_of
from runner.grade.judge import Judge, Vote
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
from runner.pipeline.judge_book import JudgedRows
from runner.pipeline.judge_calls import Called, JudgeCalls, judging_folder
from runner.record.manifest import load_state
from runner.record.place import Place, open_store
from runner.record.reader import read
from runner.record.state import SweepState
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
        ConfigError: the judge's model cannot be called from here, or not while the sweep runs.
        SweepHeldError: another process runs this judge.
        AbortSweepError: its model stopped: wrong key, unknown model.
        KeyboardInterrupt: the user ended its session.
        RecordError: something is damaged.
        StorageError: a directory refuses.
    """
    card = card_of(judge, cells)
    present = await clear_stale(store, card, shards)
    await store.put(card_key(card), encode_card(card))
    folder = judging_folder(directory, card.grader, card.digest)
    state = await load_state(open_store(folder))
    again = state.dead if retry_failed else dict[int, BitMap]()
    todo = [
        s
        for s in shards
        if verdict_key(card, s) not in present or _has_votes(Path(directory), s, again, judge)
    ]
    rows = JudgedRows(Path(directory), todo)
    called = Called(state)
    if any(rows.jobs.values()):
        calls = JudgeCalls(judge, sweep=sweep, cells=cells, rows=rows, directory=directory, say=say)
        called = await calls.run(store, state, again)
        state = called.state
    await Place(folder).refresh()
    votes = _votes(judge, Place(folder), state)
    written = new_rows = 0
    for shard in todo:
        verdicts = _fold(judge, cells, rows.rows(shard).values(), votes, state)
        if verdicts is not None:
            await store.put(verdict_key(card, shard), encode_verdicts(card, verdicts))
            written, new_rows = written + 1, new_rows + len(verdicts)
            on_shard(judge.name, written, len(todo))
    if called.trouble is not None:
        raise called.trouble
    keys = await judged_keys(store, card, shards)
    return Graded(card=card, verdicts=keys, new_shards=written, new_rows=new_rows)


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


async def judged_keys(store: Store, card: GraderCard, shards: Sequence[str]) -> tuple[str, ...]:
    """Return the keys of the verdict files of a judge that are there."""
    there = set(await store.list(card.folder))
    return tuple(key for s in shards if (key := verdict_key(card, s)) in there)


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
