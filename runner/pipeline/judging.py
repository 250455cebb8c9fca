"""Runs a model judge over the rows of a sweep: a second plan on the same engine.

A judge's calls are a sweep of their own (`judge_calls.py`). The verdicts on a shard are written as soon as
its votes have ended (`judge_verdicts.py`), while the calls on others go on.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from pyroaring import BitMap

from runner.core.errors import AbortSweepError, RecordError, StorageError
from runner.core.seams import Store
from runner.grade.judge import Judge
from runner.grade.run import Cells, Graded, OnShard, card_of, clear_stale
from runner.pipeline.beside import beside
from runner.pipeline.judge_book import JudgedRows
from runner.pipeline.judge_calls import Called, JudgeCalls, judging_folder
from runner.pipeline.judge_verdicts import JudgeVerdicts
from runner.record.manifest import load_state
from runner.record.place import Place, open_store
from runner.record.verdicts import GraderCard, card_key, encode_card, verdict_key
from runner.report.sweep import Sweep

WRITE_EVERY_S = 3.0
"""Between two looks at which shards' votes have ended, while calls go on."""


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
    keep_going: bool = False,
) -> Graded:
    """Run what a judge owes, then write the verdicts on every shard whose votes have all ended.

    With `retry_failed` its dead letters are owed again, and the shards with such votes judged anew:
    their verdict files are replaced when the calls have ended, not before. With `keep_going` its first
    answers may be worth nothing. Where its model stops (wrong key, unknown model, tripwire), verdicts
    are written on what was answered, and the value says why.

    Raises:
        ConfigError: the judge's model cannot be called from here, or not while the sweep runs.
        SweepHeldError: another process runs this judge.
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
    verdicts = JudgeVerdicts(
        store,
        card,
        judge,
        cells=cells,
        directory=Path(directory),
        folder=Place(folder),
        owed=rows.jobs,
        on_shard=on_shard,
    )

    async def write() -> None:
        with contextlib.suppress(RecordError, StorageError):  # told by the look after the calls
            await verdicts.write(await load_state(open_store(folder)))

    called = Called(state)
    if any(rows.jobs.values()):
        calls = JudgeCalls(
            judge,
            sweep=sweep,
            cells=cells,
            rows=rows,
            directory=directory,
            say=say,
            keep_going=keep_going,
        )
        # Votes that are owed again have ended until the judge's sweep says so.
        early = contextlib.nullcontext() if again else beside(WRITE_EVERY_S, write)
        async with early:
            called = await calls.run(store, state, again)
    await verdicts.write(called.state)
    stopped = isinstance(called.trouble, AbortSweepError)
    if called.trouble is not None and not stopped:
        raise called.trouble
    keys = await judged_keys(store, card, shards)
    return Graded(
        card=card,
        verdicts=keys,
        new_shards=verdicts.shards,
        new_rows=verdicts.rows,
        failed=sum(map(len, called.state.dead.values())),
        unpaid=called.unpaid,
        stopped=str(called.trouble) if stopped else "",
    )


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
