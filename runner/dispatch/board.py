"""The sweep's counts as people see them: folds workers' tallies into `Progress`. Pure."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from pyroaring import BitMap

from runner.dispatch.leases import LeaseTable
from runner.dispatch.quotas import QuotaDesk
from runner.execute.messages import Heartbeat, ModelTally
from runner.observe.budget import BudgetProgress
from runner.observe.progress import ModelProgress, Phase, Progress
from runner.plan.cells import Plan
from runner.record.state import SweepState

_WINDOW_S = 60.0


@dataclass(slots=True)
class Board:
    """Running counts of one coordinator."""

    sweep: str
    directory: str
    started: str
    started_at: float
    """Monotonic seconds."""
    _past: dict[str, ModelTally] = field(default_factory=dict[str, ModelTally])
    """Tallies of workers that are gone, per model."""
    _ends: deque[tuple[float, int]] = field(default_factory=deque[tuple[float, int]])

    def bury(self, beat: Heartbeat) -> None:
        """Keep the counts of a worker that is gone."""
        for model, tally in beat.tallies.items():
            self._past[model] = _plus(self._past.get(model, ModelTally()), tally, alive=False)

    def answered(self, table: LeaseTable, model: str) -> int:
        """Return the answers of a model since this coordinator began."""
        return self.tally(table, model).answered

    def tally(self, table: LeaseTable, model: str) -> ModelTally:
        """Return one model's counts over all workers."""
        total = self._past.get(model, ModelTally())
        for view in table.workers.values():
            if model in view.beat.tallies:
                total = _plus(total, view.beat.tallies[model], alive=not view.lost)
        return total

    def progress(
        self,
        table: LeaseTable,
        state: SweepState,
        *,
        now: float,
        phase: Phase,
        text: str,
        lost_calls: int = 0,
        quotas: QuotaDesk | None = None,
        budget: BudgetProgress | None = None,
    ) -> Progress:
        """Return the sweep at this moment.

        Args:
            table: leases and what is owed.
            state: what is recorded.
            now: monotonic seconds.
            phase: what the coordinator is doing.
            text: the same in words, where the phase does not say it.
            lost_calls: calls on the wire when their worker died.
            quotas: the state of every quota group.
            budget: what the sweep has spent.
        """
        dead = _by_model(table.plan, state.dead)
        models = [self._model(table, m, dead[m]) for m in table.plan.models]
        actors = [self._model(table, name, 0) for name in self._actors(table)]
        ended = sum(m.done + m.unpublished + m.failed for m in models)
        rate = self._rate(now, ended)
        owed = table.plan.jobs - ended
        coming = sum(m.owed for m in models if m.name not in table.stopped)
        beats = [w.beat for w in table.workers.values()]
        groups = () if quotas is None else quotas.progress(now)
        away = bool(groups) and all(q.breaker != "closed" for q in groups)
        return Progress(
            sweep=self.sweep,
            directory=self.directory,
            phase=phase,
            text=text,
            planned=table.plan.jobs,
            recorded=sum(m.done for m in models),
            failed=sum(m.failed for m in models),
            unpublished=sum(m.unpublished for m in models),
            owed=owed,
            in_flight=sum(m.in_flight for m in (*models, *actors)),
            models=tuple(models),
            actors=tuple(actors),
            rate_per_s=rate,
            # Nobody knows when an endpoint will be back.
            eta_s=coming / rate if rate > 0 and not away else None,
            elapsed_s=now - self.started_at,
            started=self.started,
            workers=sum(not w.lost for w in table.workers.values()),
            draining=sum(w.beat.draining for w in table.workers.values()),
            sealed=sum(m.done for m in models),
            journal_lag_s=max((b.journal_lag_s for b in beats), default=0.0),
            loop_lag_s=max((b.vitals.loop_lag_s for b in beats), default=0.0),
            seal_s=max((b.vitals.seal_s for b in beats), default=0.0),
            memory_bytes=sum(b.vitals.memory_bytes for b in beats),
            lost_calls=lost_calls,
            stopped_models=dict(table.stopped),
            quotas=groups,
            budget=budget or BudgetProgress(),
        )

    def _actors(self, table: LeaseTable) -> list[str]:
        """Return the models that were called and have no jobs of their own."""
        names = {*self._past, *(name for w in table.workers.values() for name in w.beat.tallies)}
        return sorted(names - {*table.plan.models})

    def _model(self, table: LeaseTable, model: str, dead: int) -> ModelProgress:
        tally = self.tally(table, model)
        # What was published since a worker's last heartbeat is in both counts: once is enough.
        unpublished = sum(
            max(0, w.beat.unpublished.get(model, 0) - w.listed[model])
            for w in table.workers.values()
        )
        return ModelProgress(
            name=model,
            planned=table.planned(model),
            done=table.done(model) - dead,
            failed=dead,
            unpublished=unpublished,
            in_flight=tally.in_flight,
            waiting=tally.waiting,
            requests=tally.requests,
            input_tokens=tally.input_tokens + tally.cache_read_tokens + tally.cache_write_tokens,
            output_tokens=tally.output_tokens,
            cached_tokens=tally.cache_read_tokens,
            cost_usd=tally.cost_usd,
            uncounted=tally.uncounted,
            saved_usd=tally.saved_usd,
            retries=tally.failures,
        )

    def _rate(self, now: float, ended: int) -> float:
        self._ends.append((now, ended))
        while len(self._ends) > 2 and now - self._ends[0][0] > _WINDOW_S:
            self._ends.popleft()
        since, before = self._ends[0]
        # With a worker that is lost goes what it had ended, until its journal is recovered.
        return max(0.0, (ended - before) / (now - since)) if now > since else 0.0


def _by_model(plan: Plan, bits: Mapping[int, BitMap]) -> Counter[str]:
    counts: Counter[str] = Counter()
    for number, seeds in bits.items():
        if number in plan:
            cell = plan.cell(number)
            counts[cell.model] += sum(seeds.range_cardinality(a, b) for a, b in cell.seeds.ranges)
    return counts


def _plus(a: ModelTally, b: ModelTally, *, alive: bool) -> ModelTally:
    return ModelTally(
        requests=a.requests + b.requests,
        answered=a.answered + b.answered,
        troubles=a.troubles + b.troubles,
        failures=_sum(a.failures, b.failures),
        input_tokens=a.input_tokens + b.input_tokens,
        output_tokens=a.output_tokens + b.output_tokens,
        cache_read_tokens=a.cache_read_tokens + b.cache_read_tokens,
        cache_write_tokens=a.cache_write_tokens + b.cache_write_tokens,
        cost_usd=a.cost_usd + b.cost_usd,
        uncounted=a.uncounted + b.uncounted,
        saved_usd=a.saved_usd + b.saved_usd,
        ended=_sum(a.ended, b.ended),
        waiting=a.waiting + (b.waiting if alive else 0),
        in_flight=a.in_flight + (b.in_flight if alive else 0),
    )


def _sum(a: dict[str, int], b: dict[str, int]) -> dict[str, int]:
    """Return the counts added up; most workers have none of most kinds."""
    if not a or not b:
        return a or b
    return a | {kind: a.get(kind, 0) + count for kind, count in b.items()}
