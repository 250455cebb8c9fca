"""The book of a judge's sweep: one call per vote, its cells (judged cell × vote), its seeds the judged rows'.

Its plan grows as rows are published; what is judged is read from the shards when a job runs, a bounded
number of shards in memory.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from pyroaring import BitMap

from runner.config.schema import ModelConfig, SweepConfig
from runner.core.facts import CellFacts
from runner.core.identity import digest
from runner.core.values import TARGET, Conversation, Job, Reply
from runner.grade.judge import Judge
from runner.grade.registry import grader_digest
from runner.grade.run import Cells, nothing_to_judge, record_of
from runner.pipeline.judge_quotas import Drawing
from runner.plan.cells import Cell, Plan
from runner.providers.price_list import tariffs_of
from runner.record.state import seed_set
from runner.record.verdicts import AnswerRow, answer_rows
from runner.report.sweep import Sweep
from runner.scenarios.rollout import Transcript
from runner.scenarios.targets import endpoint_id

_SHARDS_HELD = 4


class JudgedRows:
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
        """Return the rows of a shard by (cell, seed).

        Raises:
            RecordError: it cannot be read.
        """
        if shard not in self._held:
            data = (self._folder / shard).read_bytes()
            self._held[shard] = {(r.cell, r.seed): r for r in answer_rows(data, shard)}
            while len(self._held) > _SHARDS_HELD:
                self._held.popitem(last=False)
        self._held.move_to_end(shard)
        return self._held[shard]

    def row(self, cell: int, seed: int) -> AnswerRow:
        """Return one row that a judge has something to judge of.

        Raises:
            KeyError: there is none.
            RecordError: its shard cannot be read.
        """
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


class JudgeBook:
    """The book of a judge's sweep; runs in this process only."""

    def __init__(
        self,
        judge: Judge,
        sweep: Sweep,
        cells: Cells,
        rows: JudgedRows,
        *,
        version: int,
        drawing: Drawing,
    ) -> None:
        self._judge = judge
        self._sweep = sweep
        self._cells_facts = cells
        self._rows = rows
        self.config = judge_sweep(judge, drawing, sweep.config)
        (self._model,) = self.config.models
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


def judge_sweep(judge: Judge, drawing: Drawing, judged: SweepConfig) -> SweepConfig:
    """Return the configuration of the judge's sweep: the judged sweep's engine and retries."""
    return SweepConfig(
        name=f"{judged.name}-{judge.name}",
        models=[drawing.model],
        quotas=list(drawing.quotas),
        prices={k: v for k, v in judged.prices.items() if k == drawing.model.name},
        seed_block=judged.seed_block,
        tripwire=replace(judged.tripwire),
        retry=judged.retry,
        engine=judged.engine,
    )
