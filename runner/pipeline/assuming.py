"""From a prepared sweep to the scene of its rehearsal: what is assumed, and in words where from.

The first that says it counts: the command line, the settings of a simulated server, recorded rows
of the output directory, the configured quota, a stated guess.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar

from pyroaring import BitMap

from runner.config.quota_schema import QuotaConfig
from runner.config.quotas import groups_of, limits_rate
from runner.config.schema import ModelConfig, ProviderKind, SweepConfig, called
from runner.core.clock import SystemClock
from runner.core.seeds import SeedSet
from runner.dispatch.quota_plan import quota_plan
from runner.grade.judge import Judge
from runner.grade.registry import Graders
from runner.limits.quota import Charging
from runner.observe.amounts import many, short
from runner.pipeline.casting import Known, cast_of, told
from runner.pipeline.judge_book import judge_sweep
from runner.pipeline.judge_quotas import by_itself
from runner.pipeline.prepare import Prepared
from runner.plan.cells import Cell, Plan
from runner.plan.estimate import (
    ENOUGH_ROWS,
    EPISODE_CALLS,
    GUESSED_OUTPUT_TOKENS,
    JUDGE_TOKENS,
    Cast,
)
from runner.record.observed import Pace, Taken
from runner.record.state import SweepState, seed_set
from runner.rehearse.scene import (
    CHARACTERS_PER_TOKEN,
    Companion,
    Scene,
    Serving,
    Shape,
    owed_plan,
)
from runner.rehearse.shapes import Answers, shapes
from runner.rehearse.tiers import tiers_of
from runner.simulate.config import GroupConfig, LatencyConfig, OutputConfig, SimulateConfig

_T = TypeVar("_T")

CPU_S = {ProviderKind.anthropic: 0.0009, ProviderKind.openai: 0.0005, ProviderKind.local: 0.0005}
"""Processor time of a worker for one call, everything included (docs/performance.md), rounded up."""
OVERLOADS = ("overloaded", "server_error", "bad_gateway", "unavailable", "gateway_timeout")
"""Faults of a simulated server that a rehearsal knows: all are an overload to it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What the command line says beside the configuration; by model name, "" for all others."""

    workers: int = 1
    latency: Mapping[str, LatencyConfig] = field(default_factory=dict[str, LatencyConfig])
    output: Mapping[str, float] = field(default_factory=dict[str, float])
    """Tokens of an answer."""
    calls: Mapping[str, float] = field(default_factory=dict[str, float])
    """Of a job."""
    burst_s: float = 60.0
    server: SimulateConfig | None = None


class Stage:
    """Sets scenes for one configuration, and remembers what it assumed."""

    def __init__(self, prepared: Prepared, state: SweepState, known: Known, given: Given) -> None:
        """Take what is known.

        Args:
            prepared: the sweep.
            state: what it has recorded.
            known: what its rows say.
            given: what the command line says.
        """
        self.assumed: list[str] = []
        self._book = prepared.book
        self._config = prepared.book.config
        self._state = state
        self._again = prepared.counts.again
        self._known = known
        self._given = given
        self._at = SystemClock().wall()

    # -- the sweep ---------------------------------------------------------------------------

    def scene(self) -> Scene:
        """Return the scene of the sweep itself, of what is owed."""
        config, book = self._config, self._book
        servings = {m.name: self._serving(m) for m in called(config)}
        shape = shapes(
            book.plan,
            size=book.size,
            cast=self._cast,
            answers={m.name: self._answers(m, servings[m.name]) for m in config.models},
        )
        self._say_calls(servings)
        groups, own = self._limits(config)
        return Scene(
            config=config,
            plan=owed_plan(book.plan, self._owed),
            shape=shape,
            groups=groups,
            own=own,
            serving=servings,
            tariffs=book.tariffs,
            at=self._at,
            workers=self._given.workers,
            cpu_s={m.name: CPU_S[m.provider] for m in called(config)},
        )

    def _owed(self, number: int) -> SeedSet:
        seeds = self._book.plan.cell(number).seeds
        ended = self._state.recorded.get(number, BitMap())
        if not self._again:
            ended = ended | self._state.dead.get(number, BitMap())
        return seeds.minus(seed_set(ended)) if ended else seeds

    def _taken(self, model: str) -> Taken | None:
        taken = self._known.taken.get(model)
        return taken if taken is not None and taken.jobs >= ENOUGH_ROWS else None

    def _pace(self, model: str) -> Pace | None:
        pace = self._known.paces.get(model)
        return pace if pace is not None and pace.calls >= ENOUGH_ROWS else None

    def _answers(self, model: ModelConfig, serving: Serving) -> Answers:
        taken, seen = self._taken(model.name), self._known.observed(model.name)
        calls = _of(self._given.calls, model.name)
        companions: dict[str, Companion] = {}
        if taken is not None:
            for name, other in self._known.others(model.name).items():
                companions[name] = Companion(
                    model=name,
                    calls=other.calls,
                    input_tokens=other.input_tokens / other.calls,
                )
        if calls is None and taken is not None:
            calls = taken.calls / taken.jobs
        if calls is None:
            cells = self._book.plan.of_model(model.name)
            turns = [t for c in cells if (t := self._book.most_turns(c.number)) is not None]
            if turns:
                calls = float(min(EPISODE_CALLS, max(turns)))
                self.assumed.append(
                    f"{model.name}: an episode with tools takes {calls:.0f} calls (guess; --calls N)"
                )
        return Answers(
            tokens=min(serving.output.mean_tokens, model.max_tokens),
            calls=calls,
            input_tokens=None if taken is None or seen is None else seen.input_tokens,
            companions=companions,
        )

    def _cast(self, number: int) -> tuple[Cast, ...]:
        return cast_of(self._book, self._config, number)

    # -- servers -----------------------------------------------------------------------------

    def _serving(self, model: ModelConfig) -> Serving:
        server, pace, name = self._given.server, self._pace(model.name), model.name
        own = None if server is None else server.models.get(model.model)
        output = OutputConfig(mean_tokens=min(model.max_tokens, GUESSED_OUTPUT_TOKENS))
        latency = LatencyConfig()
        if server is not None:
            output = (own and own.output) or server.output
            latency = (own and own.latency) or server.latency
        elif pace is not None:
            first, speed = pace.speed
            output = OutputConfig(mean_tokens=pace.tokens / pace.calls, sigma=pace.sigma)
            latency = LatencyConfig(first_token_s=first, tokens_per_s=speed)
        tokens = _of(self._given.output, name)
        if tokens is not None:
            output = replace(output, mean_tokens=tokens)
        latency = _of(self._given.latency, name) or latency
        faults = {} if server is None else server.faults
        cache = None if server is None else (own and own.cache) or server.cache
        return Serving(
            output=output,
            latency=latency,
            overloads=sum(faults.get(kind, 0.0) for kind in OVERLOADS),
            storms=() if server is None else tuple(server.storms),
            cache_min_tokens=0 if cache is None else cache.min_tokens,
        )

    def _say_calls(self, servings: Mapping[str, Serving]) -> None:
        for name, serving in servings.items():
            output, latency = serving.output, serving.latency
            pace = self._pace(name)
            source = "guess; --output-tokens, --latency"
            if self._given.server is not None:
                source = "--server"
            elif pace is not None:
                source = f"from {many(pace.calls, 'recorded call')}"
            asked = [
                option
                for option, given in (
                    ("--output-tokens", _of(self._given.output, name)),
                    ("--latency", _of(self._given.latency, name)),
                )
                if given is not None
            ]
            if len(asked) == 2:
                source = "as given"
            elif asked:
                source = f"{asked[0]} as given, else {source.split(';')[0]}"
            speed = f"{short(latency.tokens_per_s)} tokens/s" if latency.tokens_per_s else "at once"
            self.assumed.append(
                f"{name}: answers of {short(output.mean_tokens)} tokens, "
                f"{latency.first_token_s:.2g} s + {speed} ({source})"
            )

    def _limits(self, config: SweepConfig) -> tuple[dict[str, GroupConfig], dict[str, GroupConfig]]:
        """Return the limits that servers hold us to, of groups and of models beside them."""
        plan = quota_plan(config)
        configured, uses = groups_of(config)
        members: dict[str, list[ModelConfig]] = {}
        for model in called(config):
            members.setdefault(uses[model.name].group, []).append(model)
        groups: dict[str, GroupConfig] = {}
        for name, of in members.items():
            reserves = plan.groups[name].charging is Charging.RESERVED
            groups[name] = self._group(name, configured[name], of[0], reserves=reserves)
        own = {
            name: _held_to(use.own, self._given.burst_s, reserves=False)
            for name, use in uses.items()
            if use.own is not None
        }
        return groups, own

    def _group(
        self, name: str, quota: QuotaConfig, model: ModelConfig, *, reserves: bool
    ) -> GroupConfig:
        server, burst_s = self._given.server, self._given.burst_s
        if server is not None:
            listed = server.models.get(model.model)
            group = listed.group if listed is not None else None
            self.assumed.append(f"{name}: limits of --server")
            return server.quota if group is None else server.groups[group]
        held = _held_to(quota, burst_s, reserves=reserves)
        if not limits_rate(quota):
            self.assumed.append(
                f"{name}: no limit by rate; answers take as long however many are asked for at once"
            )
        elif held.rpm is held.itpm is held.otpm is None:
            tiers = tiers_of(model.model)
            if tiers:
                first = tiers[0]
                held = replace(held, rpm=first.rpm, itpm=first.itpm, otpm=first.otpm)
                self.assumed.append(
                    f"{name}: quota auto, rehearsed with the published limits of tier {first.name}: "
                    f"{short(first.rpm)} requests, {short(first.itpm)} input, {short(first.otpm)} "
                    f"output a minute (guess; models.{model.name}.quota.rpm=… or --server)"
                )
            else:
                self.assumed.append(
                    f"{name}: quota auto, and nothing is known of its limits: rehearsed without any "
                    f"(models.{model.name}.quota.rpm=… or --server)"
                )
        else:
            self.assumed.append(
                f"{name}: the server holds us to the configured quota, with buckets of "
                f"{burst_s:g} s (guess; --burst)"
            )
        return held

    # -- judges ------------------------------------------------------------------------------

    def judges(self, main: Scene) -> Iterator[tuple[str, Scene]]:
        """Return the scene of each model judge that would judge these rows, with its name.

        Judges run after the sweep, each as a sweep of its own in one process (`pipeline/judging.py`).
        """
        graders = Graders(self._config)
        asked: dict[str, list[Cell]] = {}
        for cell in main.plan.cells:
            for name in self._book.graders(cell.number):
                if isinstance(graders.get(name), Judge):
                    asked.setdefault(name, []).append(cell)
        for name, cells in asked.items():
            judge = graders.get(name)
            assert isinstance(judge, Judge)
            yield name, self._judging(judge, cells, main)

    def _judging(self, judge: Judge, cells: list[Cell], main: Scene) -> Scene:
        model, votes = judge.endpoint(), judge.config.votes
        config = judge_sweep(judge, by_itself(model, self._config, live=False), self._config)
        plan = Plan(
            [
                replace(cell, number=cell.number * votes + vote, model=model.name)
                for cell in cells
                for vote in range(votes)
            ],
            seed_block=main.plan.seed_block,
        )
        characters = told(judge.config)
        serving = self._serving(model)
        if _of(self._given.output, model.name) is None and self._given.server is None:
            tokens = min(model.max_tokens, JUDGE_TOKENS)
            serving = replace(serving, output=replace(serving.output, mean_tokens=tokens))
            self.assumed.append(f"judge {judge.name}: answers of {tokens} tokens (guess)")
        answers = {m: s.output.mean_tokens for m, s in main.serving.items()}

        def judged(number: int) -> Shape:
            cell = number // votes
            said = main.shape(cell).calls * answers[main.plan.cell(cell).model]
            return Shape(calls=1.0, input_tokens=characters / CHARACTERS_PER_TOKEN + said)

        groups, own = self._limits(config)
        return Scene(
            config=config,
            plan=plan,
            shape=judged,
            groups=groups,
            own=own,
            serving={model.name: serving},
            tariffs=main.tariffs,
            at=self._at,
            workers=1,
            cpu_s={model.name: CPU_S[model.provider]},
        )


def _held_to(quota: QuotaConfig, burst_s: float, *, reserves: bool) -> GroupConfig:
    return GroupConfig(
        rpm=quota.rpm, itpm=quota.itpm, otpm=quota.otpm, burst_s=burst_s, reserve_output=reserves
    )


def _of(given: Mapping[str, _T], model: str) -> _T | None:
    return given.get(model, given.get(""))
