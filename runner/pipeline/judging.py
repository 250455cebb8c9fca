"""Runs a model judge over the rows of a sweep: a second plan on the same engine.

A judge's calls are a sweep of their own in `judging/<judge>@<digest>/` below the judged sweep: the
same retries, limits, journal, attempts table and dead letters, and the same promise that nothing
paid for is lost. Its cells are (judged cell × vote), its seeds those of the judged rows, so its plan
grows as rows are published and what is owed is found by arithmetic. When all votes on the rows of a
shard have ended, the shard's verdict file is written.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from pyroaring import BitMap

from runner.config.resolved import dump_resolved
from runner.config.schema import ModelConfig, SweepConfig
from runner.core.clock import SystemClock
from runner.core.facts import CellFacts
from runner.core.identity import digest
from runner.core.seams import Store
from runner.core.values import TARGET, Conversation, Job, Reply
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
    record_of,
    verdict_row,
)
from runner.grade.verdict import VerdictState
from runner.observe.console import Console
from runner.pipeline.sweep import run_session
from runner.plan.cells import Cell, Plan
from runner.providers.price_list import tariffs_of
from runner.record.entries import Entry, OweAgain, PlanEntry
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
    answer_rows,
    card_key,
    encode_card,
    encode_verdicts,
    verdict_key,
)
from runner.report.sweep import Sweep
from runner.scenarios.book import Book
from runner.scenarios.rollout import Transcript
from runner.scenarios.targets import endpoint_id

_SHARDS_HELD = 4


class _Rows:
    """The judged rows, one shard in memory for each of the last few asked for."""

    def __init__(self, folder: Path, shards: Sequence[str]) -> None:
        self._folder = folder
        self.jobs: dict[str, dict[int, BitMap]] = {}
        """Shard to the seeds, by cell, that a judge has something to judge of."""
        self._held: OrderedDict[str, dict[tuple[int, int], AnswerRow]] = OrderedDict()
        for shard in shards:
            found: dict[int, BitMap] = {}
            for row in self.rows(shard).values():
                if nothing_to_judge(row.end_state) is None:
                    found.setdefault(row.cell, BitMap()).add(row.seed)
            self.jobs[shard] = found

    def rows(self, shard: str) -> dict[tuple[int, int], AnswerRow]:
        if shard not in self._held:
            data = (self._folder / shard).read_bytes()
            self._held[shard] = {(r.cell, r.seed): r for r in answer_rows(data, shard)}
            while len(self._held) > _SHARDS_HELD:
                self._held.popitem(last=False)
        self._held.move_to_end(shard)
        return self._held[shard]

    def row(self, cell: int, seed: int) -> AnswerRow:
        for shard, jobs in self.jobs.items():
            if seed in jobs.get(cell, ()):
                return self.rows(shard)[cell, seed]
        raise KeyError((cell, seed))


class _JudgeRollout:
    """One vote: one call."""

    role = TARGET
    actor = None
    end_state = None

    def __init__(self, asked: Conversation) -> None:
        self._asked = asked
        self._ended = False

    def conversation(self) -> Conversation:
        return self._asked

    def transcript(self) -> Transcript:
        return Transcript(self._asked, whole=False)

    def notes(self) -> Mapping[str, object]:
        return {"ended_by": "answer"} if self._ended else {}

    def answer(self, reply: Reply) -> bool:
        if self._ended:
            msg = "a reply was fed to a rollout that has ended"
            raise RuntimeError(msg)
        self._ended = reply is not None
        return True


class JudgeBook(Book):
    """The book of a judge's sweep; runs in this process only."""

    def __init__(  # pyright: ignore[reportMissingSuperCall]  # nothing of a scenario's book is used
        self, judge: Judge, sweep: Sweep, cells: Cells, rows: _Rows, *, version: int
    ) -> None:
        self._judge = judge
        self._sweep = sweep
        self._cells_facts = cells
        self._rows = rows
        self._model = judge.endpoint()
        self.config = _config(judge, self._model, sweep.config)
        self.sweep_id = grader_digest(judge)[:16]
        self.tariffs = tariffs_of(self.config)
        seeds: dict[int, BitMap] = {}
        for jobs in rows.jobs.values():
            for number, found in jobs.items():
                if cells.get(number) is not None:
                    seeds.setdefault(number, BitMap()).update(found)
        votes = judge.config.votes
        whole = grader_digest(judge)
        self.plan = Plan(
            [
                self._cell(cell, vote, seeds[cell.number], votes, whole)
                for cell in sweep.plan.cells
                if cell.number in seeds
                for vote in range(votes)
            ],
            seed_block=sweep.plan.seed_block,
            version=version,
        )

    def _cell(self, judged: Cell, vote: int, seeds: BitMap, votes: int, whole: str) -> Cell:
        return Cell(
            number=judged.number * votes + vote,
            digest=digest({"judge": whole, "cell": judged.digest, "vote": vote}),
            scenario=judged.scenario,
            condition=judged.condition,
            axes=judged.axes,
            model=self._model.name,
            seeds=seed_set(seeds),
            prompt_digest=judged.prompt_digest,
        )

    @property
    def endpoints(self) -> dict[str, ModelConfig]:
        """Return the judging model."""
        return {self._model.name: self._model}

    def rollout(self, job: Job) -> _JudgeRollout:
        """Return the one call of a vote; reads the judged row from its shard."""
        number = job.cell // self._judge.config.votes
        facts = self._cells_facts[number]
        assert facts is not None
        record = record_of(self._rows.row(number, job.seed), facts(job.seed))
        return _JudgeRollout(self._judge.conversation(record))

    def facts(self, cell_number: int) -> CellFacts:
        """Return what every row of a judge's cell says: scenario and condition of the judged one."""
        cell = self.plan.cell(cell_number)
        judged = self._sweep.plan.cell(cell_number // self._judge.config.votes)
        labels = {
            "judge": self._judge.name,
            "vote": cell_number % self._judge.config.votes,
            "judged_model": judged.model,
            "judged_cell": judged.number,
        }
        return CellFacts(
            sweep=self.config.name,
            sweep_id=self.sweep_id,
            number=cell.number,
            digest=cell.digest,
            scenario=cell.scenario,
            scenario_version=self._judge.version,
            condition=cell.condition,
            axes=cell.axes,
            model=cell.model,
            provider=self._model.provider.value,
            model_id=self._model.model,
            params={**self._model.params, "max_tokens": self._model.max_tokens},
            endpoint_id=endpoint_id(self._model),
            prompt_digest=cell.prompt_digest,
            labels=labels,
            canary=None,
            tariffs=self.tariffs,
        )

    def parts_json(self, cell_number: int) -> tuple[str, str]:
        """Return what stands for a judge's identity in the plan table."""
        return "{}", f'{{"judge":"{self.plan.cell(cell_number).digest[:16]}"}}'


def _config(judge: Judge, model: ModelConfig, judged: SweepConfig) -> SweepConfig:
    """Return the configuration of the judge's sweep: the judged sweep's engine and retries."""
    return SweepConfig(
        name=f"{judged.name}-{judge.name}",
        models=[model],
        prices={k: v for k, v in judged.prices.items() if k == model.name},
        seed_block=judged.seed_block,
        retry=judged.retry,
        engine=judged.engine,
    )


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
    rows = _Rows(Path(directory), todo)
    if any(rows.jobs.values()):
        version = state.plan_version + 1
        book = JudgeBook(judge, sweep, cells, rows, version=version)
        state = await _run(book, state, folder, say, again)
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


def _has_votes(directory: Path, shard: str, jobs: Mapping[int, BitMap], judge: Judge) -> bool:
    """Return whether a shard has rows on which one of these votes is."""
    if not any(jobs.values()):
        return False
    votes = judge.config.votes
    judged: dict[int, BitMap] = {}
    for number, seeds in jobs.items():
        judged.setdefault(number // votes, BitMap()).update(seeds)
    rows = _Rows(directory, [shard])
    return any(found & judged.get(cell, BitMap()) for cell, found in rows.jobs[shard].items())


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
