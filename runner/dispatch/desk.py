"""Answers heartbeats: who gets which jobs and how many places, and which models are stopped.

Pure but for the line it reports when a model stops: heartbeats in, replies out, time as an argument.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Container, Mapping

from runner.config.money_schema import TripwireConfig
from runner.config.schema import ModelConfig
from runner.config.streaming import longest_call_s
from runner.core.values import Amount
from runner.dispatch.board import Board
from runner.dispatch.leases import LeaseTable
from runner.dispatch.prefixes import Prefixes
from runner.dispatch.quotas import QuotaDesk
from runner.dispatch.witnesses import Witnesses
from runner.execute.messages import Heartbeat, HeartbeatReply, Lease
from runner.limits.slots import SlotAuthority
from runner.limits.tripwire import Tripwire
from runner.observe.events import ModelStopped, Sink, WorkerJoined
from runner.providers.caching import asks_to_cache


class Desk:
    """Leases and places of one claim."""

    def __init__(
        self,
        table: LeaseTable,
        *,
        models: Mapping[str, ModelConfig],
        quotas: QuotaDesk,
        witnesses: Witnesses,
        board: Board,
        lease_ttl_s: float,
        claim: int,
        report: Callable[[str], None],
        events: Sink,
        allow: Callable[[Heartbeat, bool], Amount | None] = lambda _beat, _owing: None,
        scarce: Callable[[], bool] = lambda: False,
        tripwire: Tripwire | None = None,
    ) -> None:
        """Start with no worker known.

        Args:
            table: who holds what.
            models: by name, for their places and timeouts.
            quotas: grants permits, and says how many requests may be in flight.
            witnesses: asks workers who on their hosts is gone.
            board: keeps the counts of workers that left.
            lease_ttl_s: for every reply.
            claim: number of the claim, for every reply.
            report: told when a model is stopped.
            events: told of it too, and of workers that register.
            allow: takes in what a worker spends, and whether it may get jobs; returns what it may.
            scarce: returns whether money is dealt out: then queued jobs stay where it is sent.
            tripwire: stops models by their first jobs; None where nothing does.
        """
        self.table = table
        self.quotas = quotas
        self.slots = {name: SlotAuthority(m.max_in_flight) for name, m in models.items()}
        self._prefixes = Prefixes(
            cached=frozenset(name for name, model in models.items() if asks_to_cache(model)),
            model_of=lambda cell: table.plan.cell(cell).model,
        )
        self._models = models
        self._allow = allow
        self._scarce = scarce
        self._tripwire = tripwire or Tripwire(TripwireConfig(jobs=0))
        self._witnesses = witnesses
        self._board = board
        self.lease_ttl_s = lease_ttl_s
        self.claim = claim
        self._report = report
        self._events = events
        self._replies: dict[str, HeartbeatReply] = {}

    def known(self, beat: Heartbeat) -> HeartbeatReply | None:
        """Return the answer already given to a heartbeat that came twice, or late."""
        last = self._replies.get(beat.incarnation)
        return last if last is not None and beat.seq <= last.seq else None

    def answer(
        self,
        beat: Heartbeat,
        now: float,
        *,
        leasing: bool,
        published: Container[str],
        drain_s: float | None,
    ) -> HeartbeatReply:
        """Take in a heartbeat and answer it.

        Args:
            beat: not seen before.
            now: monotonic seconds.
            leasing: whether anything new may be granted to this worker.
            published: seals in the manifest.
            drain_s: what is left of the grace period, None where nothing drains.
        """
        if beat.incarnation not in self.table.workers:
            joined = WorkerJoined(worker=beat.worker, incarnation=beat.incarnation, node=beat.node)
            self._events.emit(joined)
        self._witnesses.heard(beat)
        found = self.table.reconcile(beat, now)
        self._report_places(beat, now)
        self._stop_models(beat)
        slots = {
            model: authority.grant(
                beat.incarnation, now, most=None if leasing else beat.slots.get(model, 0)
            )
            for model, authority in self.slots.items()
        }
        grants: list[Lease] = list(found.resend)
        revoke = list(found.revoke)
        if leasing:
            if not found.returned_seen:  # what it handed back is for others first
                grants += self._grants(beat, slots)
            for model in () if self._scarce() else beat.queued:
                revoke += self.table.steal(beat.incarnation, model)
        new = Counter(self.table.plan.cell(lease.job.cell).model for lease in grants)
        quota = self.quotas.answer(beat, granted=new, slots=slots, now=now)
        cells = (lease.job.cell for lease in grants)
        readable, elsewhere = self._prefixes.answer(
            beat.incarnation, beat.prefixes, cells, now, outages=quota.outages
        )
        reply = HeartbeatReply(
            seq=beat.seq,
            claim=self.claim,
            lease_ttl_s=self.lease_ttl_s,
            grants=tuple(grants),
            slots=slots,
            permits=tuple(quota.permits),
            allowance=self._allow(beat, bool(grants) or self._owing()),
            readable=readable,
            elsewhere=elsewhere,
            holds=quota.holds,
            outages=frozenset(quota.outages),
            quota_notes=quota.notes,
            published=tuple(s for s in beat.sealed if s in published),
            returned_seen=found.returned_seen,
            revoke=tuple(revoke),
            stopped_models=dict(self.table.stopped),
            missing=self._witnesses.questions(beat),
            drain_s=drain_s,
        )
        self._replies[beat.incarnation] = reply
        return reply

    def gone(self, incarnation: str, beat: Heartbeat | None) -> None:
        """Forget a worker that provably runs no more; its last heartbeat's counts are kept."""
        if beat is not None:
            self._board.bury(beat)
        self.table.remove(incarnation)
        self._prefixes.gone(incarnation)
        self._replies.pop(incarnation, None)
        for authority in self.slots.values():
            authority.gone(incarnation)
        self.quotas.gone(incarnation)

    def lost(self, incarnation: str, now: float) -> None:
        """Owe a silent worker's jobs again; its places stay withheld until its calls have ended."""
        self.table.release(incarnation)
        self._prefixes.gone(incarnation)
        for name, authority in self.slots.items():
            authority.lost(incarnation, now + longest_call_s(self._models[name]))
        self.quotas.lost(incarnation, now)

    def unheard(self, incarnation: str, wire: Mapping[str, int], since: float) -> None:
        """Withhold the places of calls that a worker of before may still have on the wire.

        Args:
            incarnation: it did not register, and may run.
            wire: model to calls that its journal shows begun and not ended.
            since: monotonic seconds; none of them was started later.
        """
        for name, authority in self.slots.items():
            until = since + longest_call_s(self._models[name])
            authority.unheard(incarnation, wire.get(name, 0), until)

    def _report_places(self, beat: Heartbeat, now: float) -> None:
        total = {model: authority.counted() for model, authority in self.slots.items()}
        limits = self.quotas.in_flight_limits(beat, total, now)
        for model, authority in self.slots.items():
            authority.limit = limits[model]
        while self.quotas.limited:
            self._report(
                f"models.{self.quotas.limited.pop()}: the server limits its rate (429s) and no quota "
                "is set; fewer are sent at a time. `quota: auto` would learn the rate"
            )
        broke = beat.spending.broke if beat.spending is not None else frozenset[str]()
        for model, tally in beat.tallies.items():
            wanted = min(beat.wants.get(model, 0), max(0, self.table.owed(model)))
            self.slots[model].report(
                beat.incarnation,
                obeyed=beat.slots.get(model, 0),
                in_flight=tally.in_flight,
                demand=tally.in_flight
                + (0 if model in broke else tally.waiting + tally.ready)
                + (0 if model in broke else beat.queued.get(model, 0) + wanted),
            )

    def _grants(self, beat: Heartbeat, slots: Mapping[str, int]) -> list[Lease]:
        grants = self.table.grant_alone(beat.incarnation)
        if grants or self.table.isolating(beat.incarnation):
            return grants
        for model, want in beat.wants.items():
            if slots.get(model, 0) == 0:
                continue  # with fewer places than workers, jobs would wait here for nothing
            few = min(want, self._grantable(model))
            grants += self.table.grant(beat.incarnation, model, few)
        return grants

    def _grantable(self, model: str) -> int:
        """Return how many jobs of a model may be handed out by now."""
        owed = max(0, self.table.owed(model))
        most = self._tripwire.allowance(
            model, owed=owed, out=self.table.leased(model), recorded=self.table.done(model)
        )
        return owed if most is None else min(owed, most)

    def _owing(self) -> bool:
        """Return whether a worker may get jobs: money sent to one that gets none would lie there."""
        models = (m for m in self.table.plan.models if m not in self.table.stopped)
        return any(self._grantable(m) > 0 for m in models)

    def _stop_models(self, beat: Heartbeat) -> None:
        for model, reason in beat.stopped_models.items():
            self.stop(model, reason)
        for model, reason in beat.unreachable.items():
            if not self._board.answered(self.table, model):
                self.stop(model, reason)
        for model in filter(self._tripwire.undecided, beat.tallies):
            tally = self._board.tally(self.table, model)
            reason = self._tripwire.tripped(model, tally.ended, running=tally.in_flight)
            if reason is not None:
                self.stop(model, reason)

    def stop(self, model: str, reason: str) -> None:
        """Grant nothing more of a model, and say why."""
        if model not in self.table.stopped:
            self.table.stopped[model] = reason
            self._events.emit(ModelStopped(model=model, reason=reason))
            self._report(f"models.{model} stopped: {reason}")
