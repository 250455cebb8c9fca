"""The sweep that a shape describes: its real Book, model configurations and engine bounds."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from runner.config.money_schema import BudgetConfig
from runner.config.quota_schema import ModelQuotaConfig, QuotaGroupConfig, RampConfig
from runner.config.schema import (
    EndConfig,
    EngineConfig,
    ModelConfig,
    RetryConfig,
    RoleConfig,
    ScenarioConfig,
    SweepConfig,
    called,
)
from runner.core.money import Rates, Row, Tariff
from runner.core.values import EndState, Job, Reply
from runner.execute.replay import Progressed
from runner.scenarios.book import Book
from runner.scenarios.build import build_book
from tests.dst.api import MAX_TOKENS, read
from tests.dst.desk import desk
from tests.dst.schedule import Shape

TIMEOUT_S = 20.0
"""Deadline of one attempt."""
JOB_FAILURES = 3
CALL_USD = 0.01
"""What each answered call costs: five tokens of output."""
TARIFF = Tariff(
    source="dst",
    rows=(Row(bands=((0, Rates(input=0.0, output=2000.0, cache_read=0.0, cache_write=0.0)),)),),
)


@dataclass(frozen=True, slots=True)
class Sweep:
    """What both the engine and the oracle know of the work."""

    book: Book
    models: dict[str, ModelConfig]
    engine: EngineConfig
    retry: RetryConfig

    @property
    def jobs(self) -> frozenset[Job]:
        return frozenset(Job(c.number, s) for c in self.book.plan.cells for s in c.seeds)

    def resolve(self, model: str, condition: str, seed: int) -> Job:
        """Return the job whose prompt names this condition and seed."""
        for cell in self.book.plan.of_model(model):
            if cell.axes["condition"] == condition:
                return Job(cell.number, seed)
        raise KeyError(model, condition, seed)

    def rollout_end(self, job: Job, bodies: list[bytes]) -> tuple[int, EndState] | None:
        """Return after how many of these answers the job's rollout ends, and how.

        None: it goes on.
        """
        rollout = self.book.rollout(job)
        progress = Progressed(job=job, rollout=rollout, conversation=rollout.conversation())
        for body in bodies:
            reply = read(body)
            assert isinstance(reply, Reply)
            if not progress.ended:
                progress.take(reply)
        if not progress.ended:
            return None
        return len(progress.replies), progress.finished(0.0).end_state


@lru_cache(maxsize=256)
def _book(  # a shape's numbers
    *,
    models: int,
    conditions: int,
    seeds: int,
    turns: int,
    block: int,
    flight: int,
    stage: str,
    rpm: float,
    itpm: float,
    otpm: float,
    shared: bool,
    budget_usd: float | None,
) -> Book:
    ramp = RampConfig(start=1.0)
    quota = None
    limits = {"rpm": rpm or None, "itpm": itpm or None, "otpm": otpm or None}
    limits["max_tokens_reserved"] = otpm > 0 or None
    paced = bool(rpm or itpm or otpm)
    if paced:
        quota = ModelQuotaConfig(group="q") if shared else ModelQuotaConfig(**limits, ramp=ramp)
    roles = [RoleConfig(name="aide", model="a0", plays="aide", system="You are the aide.")]
    config = SweepConfig(
        name="dst",
        scenarios=[
            ScenarioConfig(
                name="s",
                axes={"condition": [f"c{i}" for i in range(conditions)]},
                user="[job {{ condition }} seed {{ seed }}] say something",
                turns=[] if stage else [f"and then? ({i})" for i in range(1, turns)],
                environment={"desk": {}, "mail": _MAIL} if stage else {},
                end=EndConfig(turns=turns),
                roles=roles if stage == "roles" else [],
            )
        ],
        models=[_model(f"m{i}", flight, quota) for i in range(models)],
        actors=[_model("a0", flight, quota)] if stage == "roles" else [],
        quotas=[QuotaGroupConfig(name="q", **limits, ramp=ramp)] if paced and shared else [],
        seeds=seeds,
        seed_block=block,
        budget=BudgetConfig(usd=budget_usd),
    )
    if budget_usd is not None or otpm:
        for model in called(config):
            model.max_tokens = MAX_TOKENS
    tariffs = None
    if budget_usd is not None:
        tariffs = {m.name: TARIFF for m in called(config)}
    with desk():
        return build_book(config, sweep_id="dst", tariffs=tariffs)


_MAIL = {"address": "desk@x.example", "now": "2031-01-01 09:00", "only": ["list_contacts"]}
"""Roles are for those who can be written to."""


def _model(name: str, flight: int, quota: ModelQuotaConfig | None) -> ModelConfig:
    return ModelConfig(
        name=name,
        model=f"model-{name}",
        base_url="http://127.0.0.1:1",
        max_in_flight=flight,
        timeout_s=TIMEOUT_S,
        quota=quota,
    )


def first_budget_usd(shape: Shape) -> float | None:
    """Return the budget that a sweep begins with."""
    if not shape.budget:
        return None
    return round(shape.budget * shape.jobs * max(1, shape.turns / 2) * CALL_USD, 2)


def sweep_of(shape: Shape, budget_usd: float | None = None) -> Sweep:
    """Return the sweep of a shape; books are shared between schedules, being immutable."""
    book = _book(
        models=shape.models,
        conditions=shape.conditions,
        seeds=shape.seeds,
        turns=shape.turns,
        block=shape.seed_block,
        flight=shape.max_in_flight,
        stage=shape.stage,
        rpm=shape.rpm,
        itpm=shape.itpm,
        otpm=shape.otpm,
        shared=shape.shared_quota,
        budget_usd=budget_usd,
    )
    return Sweep(
        book=book,
        models=book.endpoints,
        engine=EngineConfig(
            heartbeat_s=shape.heartbeat_s,
            lease_ttl_s=shape.lease_ttl_s,
            seal_rows=shape.seal_rows,
            seal_age_s=shape.seal_age_s,
            publish_s=1.0,
            snapshot_every=shape.snapshot_every,
            grace_s=TIMEOUT_S + 5,
            take_over_s=6.0,
        ),
        retry=RetryConfig(
            job_failures=JOB_FAILURES,
            wait_initial_s=0.5,
            wait_max_s=4.0,
            infrastructure_wait_s=40.0,
        ),
    )
