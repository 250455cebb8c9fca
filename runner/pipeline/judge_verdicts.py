"""Turns a judge's votes into verdict files: a shard's as soon as all votes on it have ended.

Looks are cheap: each reads what the judge's sweep has published since the last one, and folds the shards
whose votes are all there. Pure work runs in a thread, so that the calls beside it go on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from pyroaring import BitMap

from runner.core.seams import Store
from runner.core.values import Job
from runner.grade.answers import messages_of
from runner.grade.judge import Judge, Vote
from runner.grade.run import Cells, OnShard, nothing_to_judge, verdict_row
from runner.grade.verdict import VerdictState
from runner.record.place import Place
from runner.record.reader import read
from runner.record.state import SweepState
from runner.record.verdicts import (
    AnswerRow,
    GraderCard,
    VerdictRow,
    answer_rows,
    encode_verdicts,
    verdict_key,
)

_Votes = dict[tuple[int, int], Vote]
"""(judge's cell, seed) to the vote; those of a shard go when its verdicts are written."""


class JudgeVerdicts:
    """The verdict files that a judge owes."""

    def __init__(
        self,
        store: Store,
        card: GraderCard,
        judge: Judge,
        *,
        cells: Cells,
        directory: Path,
        folder: Place,
        owed: Mapping[str, Mapping[int, BitMap]],
        on_shard: OnShard,
    ) -> None:
        """Start with nothing read.

        Args:
            store: of the judged sweep.
            card: of the judge.
            judge: folds votes.
            cells: those that use it, with their facts.
            directory: the judged sweep, where its shards lie as files.
            folder: the judge's own sweep.
            owed: shards without verdicts, and what in them there is to judge, by cell.
            on_shard: progress.
        """
        self._store = store
        self._card = card
        self._judge = judge
        self._cells = cells
        self._directory = directory
        self._folder = folder
        self._owed = dict(owed)
        self._all = len(owed)
        self._on_shard = on_shard
        self._votes: _Votes = {}
        self._read: set[str] = set()
        self.shards = 0
        """Written."""
        self.rows = 0

    async def write(self, state: SweepState) -> None:
        """Write the verdicts of the shards whose votes have ended.

        Args:
            state: of the judge's sweep, read before.

        Raises:
            RecordError: a shard cannot be read.
            StorageError: a directory refuses.
        """
        ended = state.ended()
        ready = [s for s, jobs in self._owed.items() if self._is_over(jobs, ended)]
        if not ready:
            return
        await self._folder.refresh()
        fresh = [p for p in read(Path(self._folder)).paths() if p not in self._read]
        self._votes |= await asyncio.to_thread(_votes, self._judge, fresh)
        self._read |= set(fresh)
        for shard in ready:
            verdicts = await asyncio.to_thread(self._verdicts, shard, state)
            if verdicts is None:
                continue  # the row of a vote is named and not in place yet
            data = await asyncio.to_thread(encode_verdicts, self._card, verdicts)
            await self._store.put(verdict_key(self._card, shard), data)
            del self._owed[shard]
            self.shards, self.rows = self.shards + 1, self.rows + len(verdicts)
            self._on_shard(self._judge.name, self.shards, self._all)

    def _is_over(self, jobs: Mapping[int, BitMap], ended: Mapping[int, BitMap]) -> bool:
        count = self._judge.config.votes
        return all(
            seeds <= ended.get(cell * count + vote, BitMap())
            for cell, seeds in jobs.items()
            if self._cells.get(cell) is not None
            for vote in range(count)
        )

    def _verdicts(self, shard: str, state: SweepState) -> list[VerdictRow] | None:
        rows = answer_rows((self._directory / shard).read_bytes(), shard)
        found = _fold(self._judge, self._cells, rows, self._votes, state)
        if found is not None:
            count = self._judge.config.votes
            for cell, seeds in self._owed[shard].items():
                for vote in range(count):
                    for seed in seeds:
                        self._votes.pop((cell * count + vote, seed), None)
        return found


def _votes(judge: Judge, paths: Sequence[str]) -> _Votes:
    """Read the votes in shards of a judge's sweep."""
    out: _Votes = {}
    for path in paths:
        for row in answer_rows(Path(path).read_bytes(), path):
            said = messages_of(row.messages, f"judge call {row.job_key}")
            out[row.cell, row.seed] = judge.vote(row.end_state, said, row.job_key)
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
