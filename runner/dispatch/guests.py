"""Guests of a live sweep: other processes whose calls draw on its quotas, under its one authority.

A guest is a judge: a sweep of its own, with a coordinator, journal and manifest of its own, but neither
quota nor places. Its worker's heartbeats come here too, under the names that this sweep has for what it
calls, and are settled and answered by the same desk as those of workers: same permits, same bound on
calls in flight, same breaker, same pauses, and an account of its own in the same budget.

Failure cases, as for workers: a message is lost (sums tell the same again); a guest falls silent (what it
holds stays charged, its calls count until they must have ended); its process is provably gone (freed,
but for money: what it drew stays committed until the next session, which asks the judge's own sweep);
this coordinator is replaced (a guest drops what it holds, see `door.py`, and registers with the next).

Pure but for the process table: heartbeats in, replies out, time as an argument.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from runner.config.schema import ModelConfig
from runner.config.streaming import longest_call_s
from runner.core.seams import Processes
from runner.dispatch.desk import Desk
from runner.dispatch.funds import Funds
from runner.dispatch.quota_plan import QuotaPlan
from runner.execute.messages import Heartbeat, HeartbeatReply
from runner.limits.slots import SlotAuthority


@dataclass(frozen=True, slots=True, kw_only=True)
class GuestBeat:
    """A guest's heartbeat, and what a coordinator needs that has never heard of it."""

    beat: Heartbeat
    """Models under the names that the sweep has for them; no jobs."""
    plan: QuotaPlan
    """What these models draw on, as the guest has it; the sweep's own configuration goes first."""
    models: Mapping[str, ModelConfig]


@dataclass(slots=True)
class _Guest:
    beat: Heartbeat
    heard_at: float
    lost: bool = False


@dataclass(slots=True, kw_only=True)
class Guests:
    """Those of one claim."""

    desk: Desk
    funds: Funds
    processes: Processes
    _guests: dict[str, _Guest] = field(default_factory=dict[str, _Guest])
    _places: dict[str, SlotAuthority] = field(default_factory=dict[str, SlotAuthority])
    """Of models that only guests call."""
    _models: dict[str, ModelConfig] = field(default_factory=dict[str, ModelConfig])

    def answer(self, said: GuestBeat, now: float, *, leasing: bool) -> HeartbeatReply:
        """Take in a guest's heartbeat and answer it.

        Args:
            said: later than the one before.
            now: monotonic seconds.
            leasing: every worker of before is known: places may be given that were not before.
        """
        beat, quotas = said.beat, self.desk.quotas
        quotas.admit(said.plan, said.models, now)
        for name, model in said.models.items():
            self._models[name] = model
            if name not in self.desk.slots:
                self._places.setdefault(name, SlotAuthority(model.max_in_flight))
        self._guests[beat.incarnation] = _Guest(beat, now)
        authorities = {name: self._authority(name) for name in said.models}
        total = {name: authority.counted() for name, authority in authorities.items()}
        limits = quotas.in_flight_limits(beat, total, now)
        slots: dict[str, int] = {}
        for name, authority in authorities.items():
            tally = beat.tallies[name]
            obeyed = beat.slots.get(name, 0)
            authority.limit = limits[name]
            authority.report(
                beat.incarnation,
                obeyed=obeyed,
                in_flight=tally.in_flight,
                demand=tally.in_flight + tally.waiting + tally.ready + beat.queued.get(name, 0),
            )
            slots[name] = authority.grant(beat.incarnation, now, most=None if leasing else obeyed)
        answer = quotas.answer(beat, granted={}, slots=slots, now=now)
        allowance = self.funds.answer_guest(beat)
        if beat.done:
            self.funds.left(beat.incarnation)
            self._forget(beat.incarnation)
        return HeartbeatReply(
            seq=beat.seq,
            claim=self.desk.claim,
            lease_ttl_s=self.desk.lease_ttl_s,
            slots=slots,
            permits=tuple(answer.permits),
            allowance=allowance,
            holds=answer.holds,
            outages=frozenset(answer.outages),
            quota_notes=answer.notes,
        )

    def look(self, now: float) -> None:
        """Free what guests held that are provably gone; withhold what silent ones hold."""
        for incarnation, guest in list(self._guests.items()):
            silent_s = now - guest.heard_at
            if silent_s < self.desk.lease_ttl_s / 4:
                continue
            if self.processes.is_dead(guest.beat.process):
                self.funds.lost(incarnation)
                self._forget(incarnation)
            elif silent_s > self.desk.lease_ttl_s and not guest.lost:
                guest.lost = True
                for name in guest.beat.tallies:
                    until = now + longest_call_s(self._models[name])
                    self._authority(name).lost(incarnation, until)
                self.desk.quotas.lost(incarnation, now)
                self.funds.lost(incarnation)

    def _authority(self, model: str) -> SlotAuthority:
        return self.desk.slots.get(model) or self._places[model]

    def _forget(self, incarnation: str) -> None:
        guest = self._guests.pop(incarnation)
        for name in guest.beat.tallies:
            self._authority(name).gone(incarnation)
        self.desk.quotas.gone(incarnation)
