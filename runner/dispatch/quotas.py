"""Quotas of one claim: the authorities of all groups, fed by heartbeats, answered with permits.

One authority per quota group, one breaker per model. A model without limits by rate gets no
permits; its number of requests in flight adapts itself (`limits/concurrency.py`), and its breaker
acts through that number: none while it is open, one as the probe.

Pure: heartbeats in, permits out, time as an argument.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from runner.config.schema import ModelConfig
from runner.config.streaming import longest_call_s
from runner.dispatch.quota_plan import QuotaPlan
from runner.execute.messages import Heartbeat, ModelTally, QuotaWord
from runner.execute.purse import RATE_LIMITS
from runner.limits.authority import Authority
from runner.limits.breaker import RESTART_SHARE, Breaker, BreakerState, worst
from runner.limits.concurrency import Concurrency
from runner.limits.quota import GroupQuota, PermitBlock, QuotaStatus
from runner.observe.quotas import MeterProgress, QuotaProgress

NOTE_S = 0.5
"""How old what the attempts table says of a group may be."""

TELL_REFUSED = 20
"""429s of a model without a quota before people are told what would avoid them."""
UNKNOWN_WANTS = 1
"""Permits of a worker that cannot tell yet how large its calls are, where input tokens are limited:
a whole block of calls at no cost would be a debt that everybody pays off for minutes."""


@dataclass(slots=True)
class QuotaAnswer:
    """What a heartbeat reply says of quotas."""

    permits: list[PermitBlock] = field(default_factory=list[PermitBlock])
    holds: dict[str, float] = field(default_factory=dict[str, float])
    outages: set[str] = field(default_factory=set[str])
    notes: dict[str, str] = field(default_factory=dict[str, str])


@dataclass(slots=True)
class _Unpaced:
    """A model that waits for places only."""

    concurrency: Concurrency
    breaker: Breaker = field(default_factory=Breaker)
    refused: int = 0
    ended: int = 0
    held_until: float = 0.0
    """A 429 asked one of the workers to wait."""

    def hold_s(self, now: float) -> float:
        """Return for how long nothing may be sent."""
        return max(self.breaker.hold_s(now), self.held_until - now)

    def limit(self, now: float) -> int:
        """Return how many requests may be in flight."""
        if self.breaker.state is BreakerState.CLOSED:
            return int(self.concurrency.limit)
        if self.breaker.room(now):
            self.breaker.granted(now)
        return 1 if self.breaker.state is BreakerState.HALF_OPEN else 0


class QuotaDesk:
    """Permits and breakers of one claim."""

    def __init__(
        self,
        plan: QuotaPlan,
        models: Mapping[str, ModelConfig],
        *,
        now: float,
        silent_s: float | None,
    ) -> None:
        """Start with nothing granted.

        Args:
            plan: who draws on what.
            models: by name.
            now: monotonic seconds.
            silent_s: see `Authority`.
        """
        self.plan = plan
        self._silent_s = silent_s
        self._authorities: dict[str, Authority] = {}
        for name in plan.groups:
            self._open(name, now)
        self._unpaced = {
            name: _Unpaced(Concurrency(most=model.max_in_flight, at=now))
            for name, model in models.items()
            if name not in plan.paced
        }
        self.paused = False
        """An operator wants nothing new to be sent."""
        self.limited: list[str] = []
        """Models without a quota whose server refuses by rate all the same, to be told of once."""
        self._models = dict(models)
        self._most: dict[str, int] = {}
        self._changed: dict[str, GroupQuota] = {}
        self._tallies: dict[tuple[str, str], ModelTally] = {}
        self._known: set[str] = set()
        self._notes: dict[str, tuple[float, str]] = {}

    def _open(self, group: str, now: float) -> None:
        """Begin to pace a group, where any of its models waits for permits."""
        plan = self.plan
        members = [m for m in plan.paced if plan.uses[m].group == group]
        if members:
            own = {m: plan.own[m] for m in members if m in plan.own}
            self._authorities[group] = Authority(
                plan.groups[group], now=now, models=own, silent_s=self._silent_s
            )

    def admit(self, plan: QuotaPlan, models: Mapping[str, ModelConfig], now: float) -> None:
        """Let guests call models, too; of what is known already nothing changes.

        Args:
            plan: what the models draw on.
            models: by name.
            now: monotonic seconds.
        """
        new = {name: model for name, model in models.items() if name not in self.plan.uses}
        if not new:
            return
        self._models |= new
        self.plan = self.plan.joined(plan, frozenset(new))
        for name, model in new.items():
            group = self.plan.uses[name].group
            if name not in self.plan.paced:
                self._unpaced[name] = _Unpaced(Concurrency(most=model.max_in_flight, at=now))
            elif group not in self._authorities:
                self._open(group, now)
            elif name in self.plan.own:
                self._authorities[group].admit(name, self.plan.own[name], now)

    def in_flight_limits(
        self, beat: Heartbeat, total: Mapping[str, int], now: float
    ) -> dict[str, int]:
        """Take in what became of requests that need no permit; return how many may run at once.

        Args:
            beat: not seen before.
            total: requests in flight over the cluster, by model.
            now: monotonic seconds.
        """
        limits = {name: self._most_in_flight(name) for name in self.plan.paced}
        for model, tally in beat.tallies.items():
            if model in self._unpaced:
                before = self._tallies.get((beat.incarnation, model), ModelTally())
                self._tallies[beat.incarnation, model] = tally
                if beat.incarnation in self._known:
                    self._count(model, before, tally, total.get(model, 0), now)
        self._known.add(beat.incarnation)
        if self.paused:
            return dict.fromkeys((*limits, *self._unpaced), 0)
        return limits | {name: unpaced.limit(now) for name, unpaced in self._unpaced.items()}

    def _most_in_flight(self, model: str) -> int:
        return self._most.get(model, self._models[model].max_in_flight)

    def change_in_flight(self, most: Mapping[str, int]) -> list[str]:
        """Bound models by other numbers than the configured ones; returns unknown keys.

        Args:
            most: requests in flight by model; one that is not named gets its own number back.
        """
        self._most = {name: number for name, number in most.items() if name in self._models}
        for name, unpaced in self._unpaced.items():
            unpaced.concurrency.bound(self._most_in_flight(name))
        return [f"models.{name}.max_in_flight" for name in most if name not in self._models]

    def change_rates(self, wanted: Mapping[str, Mapping[str, float]], now: float) -> list[str]:
        """Pace groups by other limits than the configured ones; returns unknown keys.

        Permits already granted (a few seconds' worth) may still be used.

        Args:
            wanted: by group, then `rpm`, `itpm`, `otpm`; a group that is not named, or a limit
                of it, gets its configured value back.
            now: monotonic seconds.
        """
        for group, authority in self._authorities.items():
            configured = self.plan.groups[group]
            quota = replace(configured, **wanted.get(group, {}))
            if quota != self._changed.get(group, configured):
                self._changed[group] = quota
                authority.change(quota, now)
        return [f"quotas.{group}" for group in wanted if group not in self._authorities]

    def _count(
        self, model: str, before: ModelTally, tally: ModelTally, in_flight: int, now: float
    ) -> None:
        unpaced = self._unpaced[model]
        answered = tally.answered - before.answered
        bad = tally.troubles - before.troubles
        refused = sum(tally.failures.get(k, 0) - before.failures.get(k, 0) for k in RATE_LIMITS)
        unpaced.ended += answered + bad + refused
        if refused:
            unpaced.refused += refused
            unpaced.held_until = max(unpaced.held_until, now + tally.paused_s)
            if unpaced.refused >= TELL_REFUSED > unpaced.refused - refused:
                self.limited.append(model)
        unpaced.concurrency.observe(
            answered=answered, trouble=bad, refused=refused, in_flight=in_flight, now=now
        )
        unpaced.breaker.overloaded(bad, now)
        if unpaced.breaker.succeeded(answered, now):
            unpaced.concurrency.restart(now, RESTART_SHARE)

    def answer(
        self,
        beat: Heartbeat,
        *,
        granted: Mapping[str, int],
        slots: Mapping[str, int],
        now: float,
    ) -> QuotaAnswer:
        """Settle what a worker reports and grant it permits.

        Args:
            beat: not seen before.
            granted: jobs granted in the same reply, by model.
            slots: places granted in it.
            now: monotonic seconds.
        """
        out = QuotaAnswer()
        worker = beat.incarnation
        for model, word in beat.quota.items():
            authority = self._authority(model)
            if authority is not None:
                authority.resume(word.held_until_s, now)
                authority.settle(worker, model, word.ledger, now)
                own = model if model in self.plan.own else None
                authority.observe(word.readings, now, model=own)
        for model, word in beat.quota.items():
            authority = self._authority(model)
            if authority is None:
                continue
            tally = beat.tallies.get(model, ModelTally())
            room = max(0, slots.get(model, 0) - tally.in_flight) + word.ends + 1
            most = min(word.wants + granted.get(model, 0), room)
            want = min(most, self._known_wants(model, word)) - word.held
            nothing = self.paused or beat.draining or beat.done
            want = 0 if nothing else max(0, want)
            block = authority.grant(worker, model, want, word.cost, now, sizes=word.sizes)
            if block is not None:
                out.permits.append(block)
        for model, use in self.plan.uses.items():
            authority = self._authority(model)
            if authority is None:
                unpaced = self._unpaced[model]
                hold_s, state = unpaced.hold_s(now), unpaced.breaker.state
            else:
                hold_s, state = authority.hold_s(model, now), authority.breaker_state(model)
            if hold_s > 0:
                out.holds[model] = hold_s
            if state is not BreakerState.CLOSED:
                out.outages.add(model)
            out.notes[model] = self._note(use.group, model, now)
        return out

    def _known_wants(self, model: str, word: QuotaWord) -> int:
        """Return how many permits a worker may want by what it knows of its calls' sizes."""
        unknown = model in self.plan.sized and not word.cost.input_tokens
        return UNKNOWN_WANTS if unknown else sys.maxsize

    def all_registered(self, now: float) -> None:
        """Every worker of before has registered, is gone, or has fenced itself."""
        for authority in self._authorities.values():
            authority.all_registered(now)

    def lost(self, incarnation: str, now: float) -> None:
        """A worker fell silent: what it holds stays withheld, its calls may go on."""
        for group, authority in self._authorities.items():
            longest = max(
                longest_call_s(self._models[m])
                for m in self.plan.paced
                if self.plan.uses[m].group == group
            )
            authority.lost(incarnation, now, longest)

    def gone(self, incarnation: str) -> None:
        """A worker provably runs no more."""
        for authority in self._authorities.values():
            authority.gone(incarnation)
        for model in self._unpaced:
            self._tallies.pop((incarnation, model), None)
        self._known.discard(incarnation)

    # -- for people ----------------------------------------------------------------------------

    def progress(self, now: float) -> tuple[QuotaProgress, ...]:
        """Return every group as `runner status` shows it."""
        return tuple(self._progress(group, now) for group in self.plan.groups)

    def _progress(self, group: str, now: float) -> QuotaProgress:
        members = tuple(m for m, use in self.plan.uses.items() if use.group == group)
        authority = self._authorities.get(group)
        if authority is not None:
            return _shown(group, members, authority.status(now))
        mine = [self._unpaced[m] for m in members]
        ended = sum(m.ended for m in mine)
        return QuotaProgress(
            group=group,
            models=members,
            in_flight_limit=sum(int(m.concurrency.limit) for m in mine),
            refused_share=sum(m.refused for m in mine) / ended if ended else 0.0,
            breaker=worst([m.breaker.state for m in mine]).value,
            hold_s=max((m.hold_s(now) for m in mine), default=0.0),
        )

    def _note(self, group: str, model: str, now: float) -> str:
        at, text = self._notes.get(model, (-NOTE_S, ""))
        if now - at >= NOTE_S or not text:
            text = json.dumps(self._progress(group, now).note(), separators=(",", ":"))
            self._notes[model] = now, text
        return text

    def _authority(self, model: str) -> Authority | None:
        if model not in self.plan.paced:
            return None
        return self._authorities[self.plan.uses[model].group]


def _shown(group: str, models: tuple[str, ...], status: QuotaStatus) -> QuotaProgress:
    return QuotaProgress(
        group=group,
        models=models,
        meters=tuple(
            MeterProgress(
                meter=m.meter.value,
                limit=m.limit,
                source=m.source,
                target=m.target,
                utilisation=m.utilisation,
                foreign=m.foreign,
            )
            for m in status.meters
        ),
        binds=None if status.binds is None else status.binds.value,
        refused_share=status.refused_share,
        breaker=status.breaker,
        hold_s=status.hold_s,
        waiting_s=status.waiting_s,
    )
